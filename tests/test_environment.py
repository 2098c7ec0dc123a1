"""What is asked for, what is pinned and what is installed agree, and nothing names one machine."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import constraints
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))

# What Colab had installed on 19 August 2026 (googlecolab/backend-info on GitHub); a chapter must
# leave these as they are.
COLAB_PYTHON = "3.13.15"
COLAB = {
    "accelerate": "1.14.0",
    "filelock": "3.32.3",
    "ipykernel": "6.17.1",
    "jinja2": "3.1.6",
    "lazy-loader": "0.5",
    "matplotlib": "3.10.0",
    "numpy": "2.1.3",
    "pandas": "2.2.3",
    "peft": "0.20.0",
    "pillow": "11.3.0",
    "platformdirs": "4.11.3",
    "pyarrow": "18.1.0",
    "scikit-learn": "1.6.1",
    "scipy": "1.16.3",
    "statsmodels": "0.14.6",
    "torch": "2.11.0",
    "tqdm": "4.67.3",
    "transformers": "5.15.0",
}


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(r.name): str(r.specifier) for r in wanted}


def requirements(*groups):
    extras = PROJECT["optional-dependencies"]
    lists = [PROJECT["dependencies"] if group == "run" else extras[group] for group in groups]
    return [Requirement(line) for lines in lists for line in lines]


each_requirement = pytest.mark.parametrize(
    "wanted", requirements("run", *PROJECT["optional-dependencies"]), ids=lambda r: r.name
)


@each_requirement
def test_a_requirement_is_a_floor_that_its_pin_meets(wanted):
    assert "==" not in str(wanted.specifier)
    assert any(s.operator == ">=" for s in wanted.specifier)
    pin = re.fullmatch(r"==([\w.]+)", pins()[canonicalize_name(wanted.name)])
    assert pin, "constraints.txt must name one exact version"
    assert wanted.specifier.contains(pin[1])


@each_requirement
def test_what_is_installed_is_what_is_pinned(wanted):
    # A build of torch may carry a local label, such as +cpu.
    installed = Version(version(wanted.name)).public
    assert f"=={installed}" == pins()[canonicalize_name(wanted.name)]


def test_every_pin_is_exact_and_stands_once():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert len(pins()) == len(lines)
    assert all(re.fullmatch(r"==[\w.]+", specifier) for specifier in pins().values())


def test_colab_meets_the_floors_of_the_library():
    floors = {canonicalize_name(r.name): r.specifier for r in requirements("run")}
    assert floors.keys() - COLAB.keys() == {"gguf"}, "what Colab has to install"
    for name in floors.keys() & COLAB.keys():
        has = COLAB[name]
        assert floors[name].contains(has), f"Colab has {name} {has}, pyproject asks {floors[name]}"
    python = Requirement(f"python{PROJECT['requires-python']}")
    assert python.specifier.contains(COLAB_PYTHON)


def test_conda_users_get_the_same():
    assert ENVIRONMENT["name"] == "lleval"
    *plain, from_pip = ENVIRONMENT["dependencies"]
    assert "pip" in plain
    (python,) = [d.removeprefix("python=") for d in plain if d.startswith("python=")]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python)
    extras = ",".join(PROJECT["optional-dependencies"])
    assert from_pip == {"pip": ["--constraint constraints.txt", f"--editable .[{extras}]"]}


@pytest.mark.slow
def test_pip_understands_what_conda_hands_it(tmp_path):
    # conda writes the pip section to a file beside environment.yml and gives that file to pip.
    lines = "\n".join(ENVIRONMENT["dependencies"][-1]["pip"])
    (tmp_path / "requirements.txt").write_text(
        lines.replace(" .[", f" {ROOT}[").replace("constraints.txt", str(ROOT / "constraints.txt"))
    )
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--requirement", str(tmp_path / "requirements.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_pins_are_made_of_what_pip_reports(tmp_path, monkeypatch, capsys):
    reported = {"Ruamel.YAML": "0.19", "torch": "2.13.0+cpu", "zipp": "4.1"}
    metadata = [{"name": name, "version": version} for name, version in reported.items()]
    asked = []

    def resolve(root, torch):
        asked.append(torch)
        return {"install": [{"metadata": package} for package in metadata]}

    monkeypatch.setattr(constraints, "resolve", resolve)
    path = tmp_path / "constraints.txt"
    path.write_text("# A header.\ntorch==2.13.0\nzipp==4.0\n")
    constraints.main([], tmp_path)
    assert path.read_text() == "# A header.\nruamel-yaml==0.19\ntorch==2.13.0\nzipp==4.1\n"
    assert capsys.readouterr().out.splitlines() == [
        "+ ruamel-yaml==0.19",
        "- zipp==4.0",
        "+ zipp==4.1",
    ]
    constraints.main(["--torch", "2.14.0"], tmp_path)
    assert asked == ["2.13.0", "2.14.0"]


def test_every_make_command_that_a_page_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.M))
    pages = [*ROOT.glob("*.md"), *ROOT.glob("book/*.md"), *ROOT.glob(".github/**/*.md")]
    for page in pages:
        code = "\n".join(code_of(page.read_text(encoding="utf-8")))
        named = set(re.findall(r"\bmake ([a-z]+)\b(?=[^\n]*(?:`|#|$))", code))
        assert named <= targets, page.name
        assert page.name != "README.md" or {"book", "test"} <= named


def code_of(markdown):
    """Return what stands in code spans and code blocks."""
    return re.findall(r"```.*?```|`[^`\n]+`", markdown, re.S)


def test_licence_and_citation_are_there():
    assert "MIT License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["authors"]
    assert str(citation["version"]) == PROJECT["version"]


def test_no_committed_file_names_a_folder_of_one_machine():
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    homes = r"/(?:home|root|Users|work|workspace)/\w"
    here = "|".join(re.escape(str(p)) + r"\b" for p in (ROOT, Path.home()) if p != Path("/"))
    private = re.compile(rf"(?<![\w.:/\]}})-])(?:{homes}|{here})".encode())
    found = {}
    for name in filter(None, names.split("\0")):
        path = ROOT / name
        if not path.is_file() or b"\0" in (content := path.read_bytes()):
            continue
        if hit := private.search(content):
            found[name] = content[max(0, hit.start() - 20) : hit.end() + 40]
    assert not found
