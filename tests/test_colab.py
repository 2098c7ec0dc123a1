"""A chapter runs on Colab: alone in an empty folder, with what Colab has installed.

Colab has Python 3.13; this runs on the Python of the tests, because the CPU build of torch is at
hand for that one only. torch is the tested version for the same reason. Everything else that
Colab's list names has Colab's version.

``colab_good.json`` keeps the fingerprint with which each chapter last passed, and such a chapter
is skipped. With ``LLEVAL_COLAB=all``, as in ``make colab``, none is, and those that pass are
written there.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import address
import nbformat
import pytest
import refresh
from filelock import FileLock
from fingerprint import fingerprints
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
GOOD = Path(__file__).with_name("colab_good.json")
ALL = os.environ.get("LLEVAL_COLAB") == "all"
MOST = 8  # in one run of CI: after a change that all chapters use, make colab runs the others
# An address that leads to this working tree: the book's own may not be set yet.
URL = "https://github.com/a-teacher/a-book"

# August 2026. The last lines are what Colab also has, in whatever version goes with the others.
PREINSTALLED = [
    *("ipykernel==6.17.1", "ipython==7.34.0", "matplotlib==3.10.0", "numpy==2.1.3"),
    *("pandas==2.2.3", "peft==0.20.0", "scikit-learn==1.6.1", "scipy==1.16.3"),
    *("statsmodels==0.14.6", "torch==2.13.0", "transformers==5.15.0"),
    *("accelerate", "filelock", "jinja2", "lazy-loader", "pillow==11.*", "platformdirs"),
    *("pyarrow==18.*", "tqdm"),
]

# What lm-eval would else bring in other versions, and no chapter without the extra "tools" uses.
FOR_TOOLS = [
    *("datasets==4.0.0", "fsspec==2025.3.0", "multidict==6.7.1"),
    "python-dateutil==2.9.0.post0",
]


def fingerprint(path):
    """Return a hash of all on which it depends whether the chapter at `path` runs on Colab."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extra = "".join(
        address.extra_of(cell)
        for cell in notebook["cells"]
        if "setup" in cell["metadata"].get("tags", [])
    )
    parts = [
        fingerprints(notebook, refresh.number(path), ROOT / "lleval_lib"),
        [address.setup_cell(URL, extra), PREINSTALLED],
        [project["project"]["dependencies"], project["tool"]["setuptools"]],
    ]
    if extra:
        parts.append(project["project"]["optional-dependencies"][extra])
    if extra == "tools":
        parts.append(FOR_TOOLS)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def known_good():
    return json.loads(GOOD.read_text(encoding="utf-8")) if GOOD.exists() else {}


def due():
    """Return the chapters that CI runs: the first of those that are not known good as they are."""
    good = known_good()
    return [path for path in CHAPTERS if good.get(path.name) != fingerprint(path)][:MOST]


def remember(path, lock):
    """Write into ``colab_good.json`` that the chapter at `path` passed."""
    with FileLock(lock):
        good = known_good() | {path.name: fingerprint(path)}
        kept = {name: good[name] for name in sorted(good) if (path.parent / name).exists()}
        scratch = GOOD.with_suffix(".tmp")
        scratch.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        os.replace(scratch, GOOD)


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def installed(python):
    """Return the version of each package of the environment of `python`."""
    listed = run(python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check")
    return {package["name"]: package["version"] for package in json.loads(listed)}


@pytest.fixture(scope="session")
def colab(request):
    """Return the Python of an environment like Colab's.

    It takes minutes to make, so it is kept for the next run, which makes it anew when it is not
    exactly as it was when new.
    """
    folder = request.config.cache.mkdir("colab") / "environment"
    python, state = folder / "bin" / "python", folder / "state.json"

    def now():
        return json.dumps([PREINSTALLED, FOR_TOOLS, sys.version, installed(python)])

    with FileLock(f"{folder}.lock"):
        if not state.exists() or state.read_text() != now():
            shutil.rmtree(folder, ignore_errors=True)
            run(sys.executable, "-m", "venv", folder)
            # Most of the code is never imported, and compiling it would take half of the time.
            wanted = [*PREINSTALLED, *FOR_TOOLS]
            run(python, "-m", "pip", "install", "--quiet", "--no-compile", *wanted)
            state.write_text(now())
    return python


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """Return a git repository that holds the working tree as it is now."""
    folder = tmp_path_factory.mktemp("repository")
    names = run("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=ROOT)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    run("git", "init", "--quiet", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run("git", *author, "commit", "--quiet", "--message", "now", cwd=folder)
    return folder


@pytest.fixture
def python(colab, tmp_path):
    """Return the Python of an environment that has what Colab has, and is one chapter's own."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "environment")
    python = tmp_path / "environment" / "bin" / "python"
    paths = [
        run(p, "-c", "import sysconfig; print(sysconfig.get_path('purelib'), end='')")
        for p in (python, colab)
    ]
    # A .pth file may hold code; a bare path would leave out what Colab's own .pth files add.
    (Path(paths[0]) / "colab.pth").write_text(f"import site; site.addsitedir({paths[1]!r})\n")
    return python


@pytest.fixture
def kernel(python, repository, tmp_path, monkeypatch):
    """Let notebooks run in that environment, with the address leading to `repository`."""
    spec = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Colab",
        "language": "python",
    }
    (tmp_path / "jupyter" / "kernels" / "colab").mkdir(parents=True)
    (tmp_path / "jupyter" / "kernels" / "colab" / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    n = int(os.environ.get("GIT_CONFIG_COUNT", "0"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(n + 1))
    monkeypatch.setenv(f"GIT_CONFIG_KEY_{n}", f"url.{repository.as_uri()}.insteadOf")
    monkeypatch.setenv(f"GIT_CONFIG_VALUE_{n}", URL)
    for name in ("PYTHONPATH", "PIP_CONSTRAINT", "MPLBACKEND"):
        monkeypatch.delenv(name, raising=False)
    return "colab"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_alone_on_colab(path, tmp_path, request):
    if not ALL and known_good().get(path.name) == fingerprint(path):
        pytest.skip("known to run on Colab as it is; make colab runs it all the same")
    if not ALL and path not in due():
        pytest.skip(f"NOT RUN: CI runs {MOST} such chapters at most; make colab runs all")
    python, kernel = map(request.getfixturevalue, ("python", "kernel"))
    folder = tmp_path / "content"
    folder.mkdir()
    before = installed(python)
    assert "lleval_lib" not in before

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if "setup" in cell.metadata.get("tags", []):
            cell.source = address.setup_cell(URL, address.extra_of(cell))
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name=kernel,
        resources={"metadata": {"path": str(folder)}},
    ).execute()

    filled = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    assert all(cell.execution_count for cell in filled)
    library = run(python, "-c", "import lleval_lib; print(lleval_lib.__file__)", cwd=folder)
    assert Path(library.strip()).is_relative_to(python.parents[1])
    after = installed(python)
    assert "lleval_lib" in after
    assert {name: after.get(name) for name in before} == before
    if ALL:
        remember(path, request.config.cache.mkdir("colab") / "good.lock")
