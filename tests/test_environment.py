"""What is asked for, what is pinned and what is installed agree, and nothing names one machine."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))

# What Colab had installed in August 2026; a chapter must leave these as they are.
COLAB_PYTHON = "3.13.15"
COLAB = {
    "ipykernel": "6.17.1",
    "matplotlib": "3.10.0",
    "numpy": "2.1.3",
    "pandas": "2.2.3",
    "scikit-learn": "1.6.1",
    "scipy": "1.16.3",
    "statsmodels": "0.14.6",
    "torch": "2.11.0",
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
    listed = {name: has for name, has in COLAB.items() if name in floors}
    assert len(listed) >= 8
    for name, has in listed.items():
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


def test_the_commands_of_the_readme_are_in_the_makefile():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.M))
    named = set(re.findall(r"\bmake ([a-z]+)\b(?=[^\n]*(?:`|#|$))", "\n".join(code_of(readme))))
    assert {"book", "test"} <= named
    assert named <= targets


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
