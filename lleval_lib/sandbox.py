"""Run a program that nobody trusts so that nothing gets out, with the program bubblewrap.

All it is given are files, and all that comes back are bytes: what it wrote to its answer, what it
printed, and how it ended. An answer is a claim of the program, which may be forged: hence whoever
calls compares it outside with what only he knows, and never unpickles or runs it.

It does not defend against faults of the kernel, against side channels, or against a program that
makes others slow on shared cores. What the kernel holds for a program's sockets is not counted as
its memory, and a socket in a folder that the caller shows could be used.
"""

import json
import math
import os
import re
import select
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Any

from . import sandbox_walls as walls
from .sandbox_calls import call_filter

MB = 2**20
_TICK = 0.02  # seconds between two looks at what a program uses
_MOST_FILES = 20_000
_WHY = {
    "finished": "The program finished.",
    "failed": "The program failed with exit status {status}: {last}",
    "killed": "The program was killed by signal {signal}.",
    "seconds": "The program was stopped after {seconds:g} seconds.",
    "memory": "The program was stopped: it used more than {memory} MB of memory.",
    "processes": "The program was stopped: it had more than {processes} processes and threads.",
    "files": f"The program was stopped: it made more than {_MOST_FILES:,} files.",
    "output": "The program was stopped: it printed more than {output:g} MB.",
    "answer": "The program was stopped: its answer has more than {answer:g} MB.",
}


@dataclass(frozen=True)
class Isolated:
    """What came of a program in the sandbox.

    ``ending`` is "finished" (exit status 0), "failed" (another one), "killed" (by a signal), or
    the limit at which it was stopped: "seconds", "memory", "processes", "files", "output" or
    "answer"; ``why`` says it in a sentence. ``answer`` are the bytes that it wrote to file
    descriptor 3, ``output`` and ``errors`` what it printed, cut at the limit, and ``seconds`` how
    long it ran.
    """

    ending: str
    why: str
    answer: bytes
    output: str
    errors: str
    seconds: float


def run_isolated(
    files: Mapping[str, bytes | str],
    *,
    seconds: float,
    command: Sequence[str] = ("main.py",),
    memory: int = 2048,
    processes: int = 64,
    disk: int = 256,
    output: float = 1,
    answer: float = 8,
    readable: Mapping[str, str | os.PathLike] | None = None,
    cache: bool = False,
    isolation: str = "bubblewrap",
) -> Isolated:
    """Run ``main.py``, one of `files`, where it can neither read, write nor send anything else.

    `files` are put by name into the empty folder ``/box``, where this Python runs `command` (the
    script and its arguments) for at most `seconds`. It writes its answer, if it has one, with
    ``open(3, "wb")``. `memory`, `disk` (what each of ``/box`` and ``/tmp`` holds), `output` (of
    each of the two streams) and `answer` are limits in MB (2**20 bytes), `processes` one for
    processes and threads together. `readable` are files and folders of this computer to be seen
    read-only, by their path inside; with `cache` the library's downloads are among them.

    Raises ``ValueError`` for files or limits that cannot be, and ``RuntimeError`` where bubblewrap
    cannot work: it needs Linux, and permission to make user namespaces. ``isolation="weak"`` must
    be asked for by name: it only sets limits, in a folder of its own, and the program can still
    read and write all that you can, use the network, and leave processes behind.
    """
    limits = {"seconds": seconds, "memory": memory, "processes": processes}
    limits |= {"disk": disk, "output": output, "answer": answer}
    _check(files, limits, readable or {}, isolation)
    shown = {path: Path(source).absolute() for path, source in (readable or {}).items()}
    job = _job(files, command, limits, isolation)
    with (
        _weak(cache) if isolation == "weak" else _strong(_bwrap(), shown, disk * MB, cache)
    ) as cell:
        with suppress(BrokenPipeError):
            cell.process.stdin.write(job)
        with suppress(BrokenPipeError):
            cell.process.stdin.close()
        start = time.monotonic()
        ending, kept = _watch(cell, limits)
        cell.end()
        return _result(ending, kept, cell.process.returncode, limits, time.monotonic() - start)


@dataclass
class _Cell:
    """A started sandbox that waits for its job: the pipes, and a hold of all its processes."""

    process: Any  # a Popen with three pipes
    answer: FileIO
    first: int | None = None  # the process with whose end all others end
    pidfd: int | None = None
    own: list[int] = field(default_factory=list)  # the processes that are not the program's
    disks: list[int] = field(default_factory=list)

    def over(self, limits: dict) -> str:
        """Return the name of the limit that is passed now, or "" if none is."""
        if self.first is None:
            return ""
        family = _family(self.first)
        if sum(map(_threads, set(family).difference(self.own))) > limits["processes"]:
            return "processes"
        disks = [os.fstatvfs(disk) for disk in self.disks]
        if sum(disk.f_files - disk.f_ffree for disk in disks) > _MOST_FILES:
            return "files"
        held = sum((disk.f_blocks - disk.f_bfree) * disk.f_frsize for disk in disks)
        most = limits["memory"] * MB - held
        # Forked processes share pages, which only the slower count tells.
        is_over = sum(map(_resident, family)) > most and sum(map(_share, family)) > most
        return "memory" if is_over else ""

    def end(self) -> None:
        """End every process of the sandbox, and wait until none is left."""
        if self.pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        elif self.first is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        if self.pidfd is not None:
            select.select([self.pidfd], [], [], 30)

    def close(self) -> None:
        """Close the pipes and what else is held open."""
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(BrokenPipeError):
                stream.close()
        for end in (*self.disks, self.pidfd):
            if end is not None:
                os.close(end)


def _check(files, limits, readable, isolation) -> None:
    if isolation not in ("bubblewrap", "weak"):
        raise ValueError(f'isolation must be "bubblewrap" or "weak", not {isolation!r}')
    for name, value in limits.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be a number above 0, not {value}")
    for name in files:
        path = PurePosixPath(name)
        if not path.name or path.is_absolute() or ".." in path.parts or "\0" in name:
            raise ValueError(f"files has the name {name!r}: it must be a path below the folder")
    if sum(map(len, files.values())) > limits["disk"] * MB / 2:
        raise ValueError(f"files hold more than half of disk={limits['disk']} MB: make disk larger")
    for inside, source in readable.items():
        if isolation == "weak":
            raise ValueError('readable needs isolation="bubblewrap": "weak" shows all there is')
        parts = PurePosixPath(inside).parts
        if len(parts) < 2 or parts[0] != "/" or ".." in parts or parts[1] in ("proc", "dev"):
            raise ValueError(f'readable has the path {inside!r}: use one such as "/data"')
        if not Path(source).exists():
            raise ValueError(f"readable names {source}, which does not exist")


def _job(files, command, limits, isolation) -> bytes:
    """Return what sandbox_inside reads: a line of JSON, and the files one after the other."""
    contents = {n: c.encode() if isinstance(c, str) else bytes(c) for n, c in files.items()}
    cores = os.cpu_count() or 1
    rlimits = {
        # For a program whose watcher sleeps: the watcher itself is stricter.
        "RLIMIT_CPU": math.ceil(limits["seconds"]) * cores + 1,
        # Not AS: a library reserves much that it never uses.
        "RLIMIT_DATA": limits["memory"] * MB * 5 // 4,
        "RLIMIT_FSIZE": limits["disk"] * MB,
        "RLIMIT_NOFILE": 256,
        "RLIMIT_SIGPENDING": 1024,
        "RLIMIT_CORE": 1,  # and not 0, with which a program of the system may still take the core
        "RLIMIT_MEMLOCK": 0,
    }
    if isolation != "weak":  # where it would count all processes of the user
        # A little more than the watcher allows, so that it sees who passes the limit.
        rlimits["RLIMIT_NPROC"] = limits["processes"] + 8
    sizes = [(name, len(content)) for name, content in contents.items()]
    head = {"files": sizes, "command": list(command), "limits": rlimits}
    return b"".join([json.dumps(head).encode() + b"\n", *contents.values()])


@contextmanager
def _strong(bwrap: Path, readable: dict[str, Path], disk: int, cached: bool) -> Iterator[_Cell]:
    told, info = _pipe()
    with told, info, open(os.memfd_create("calls"), "r+b", buffering=0) as calls:
        calls.write(call_filter())
        calls.seek(0)
        ends = {"info": info.fileno(), "calls": calls.fileno()}
        command = partial(walls.command, bwrap, readable, disk=disk, cached=cached)
        # An empty environment: what bubblewrap had, a program could read in /proc.
        with _started(command, ends, env={}) as cell:
            info.close()
            cell.first = json.loads(told.read())["child-pid"]
            cell.pidfd = os.pidfd_open(cell.first)
            *cell.own, last = _family(cell.first)
            if not cell.own:
                raise RuntimeError("this kernel does not list the children of a process")
            for folder in (*walls.DISKS, *(["/cache"] if cached else [])):
                cell.disks.append(os.open(f"/proc/{last}/root{folder}", os.O_RDONLY))
            yield cell


@contextmanager
def _weak(cached: bool) -> Iterator[_Cell]:
    if sys.platform == "win32":
        raise RuntimeError("Windows has no limits for programs: run this in WSL 2")
    with tempfile.TemporaryDirectory(prefix="lleval-weak-") as folder:
        inside = Path(__file__).with_name("sandbox_inside.py")
        variables = walls.environment(folder, str(inside.parents[1]))
        if cached:
            variables["LLEVAL_CACHE"] = str(walls.cache_dir())

        def command(ends):
            return [sys.executable, "-I", "-S", str(inside), "job", str(ends["answer"])]

        with _started(command, {}, cwd=folder, env=variables) as cell:
            yield cell


@contextmanager
def _started(command, ends: dict[str, int], **options) -> Iterator[_Cell]:
    """Start a command that is made for its open `ends`, and wait until it waits for its job."""
    answer, answer_end = _pipe()
    with answer, answer_end:
        ends = {**ends, "answer": answer_end.fileno()}
        pipe = subprocess.PIPE
        process: Any = subprocess.Popen(
            command(ends=ends),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,  # Ctrl-C is for the parent, which ends the program itself
            pass_fds=tuple(ends.values()),
            **options,
        )
        cell = _Cell(process, answer)
        try:
            answer_end.close()
            for end in (answer, process.stdout, process.stderr):
                os.fchmod(end.fileno(), 0o666)  # so that nobody can open /dev/stdout
            if not select.select([answer], [], [], 30)[0] or not answer.read(1):
                process.kill()
                raise RuntimeError(process.stderr.read(MB).decode(errors="replace").strip())
            yield cell
        finally:
            cell.end()
            cell.close()


def _pipe() -> tuple[FileIO, FileIO]:
    reader, writer = os.pipe()
    return open(reader, "rb", buffering=0), open(writer, "wb", buffering=0)


@cache
def _bwrap() -> Path:
    """Return the bubblewrap that works here; a ``RuntimeError`` says why none does."""
    reasons = []
    try:
        for bwrap in walls.candidates() if sys.platform == "linux" else ():
            try:
                with _strong(bwrap, {}, MB, False):
                    return bwrap
            except (RuntimeError, OSError) as error:
                reasons.append(f"{bwrap}: {error}")
    except (ConnectionError, ValueError) as error:
        reasons.append(str(error))
    raise RuntimeError(
        "Programs cannot be isolated here: bubblewrap, which does it, needs Linux (on Windows, "
        "WSL 2) and permission to make user namespaces. Install it (apt install bubblewrap), allow "
        "them (sysctl kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu; a container must "
        'be started with more rights), or ask for isolation="weak", which stops no attack.'
        + "".join(f"\n  {reason}" for reason in reasons)
    )


def _watch(cell: _Cell, limits: dict) -> tuple[str, dict[str, bytearray]]:
    """Return the limit that was passed, or "", and what was read until then."""
    streams = {"answer": cell.answer, "output": cell.process.stdout, "errors": cell.process.stderr}
    pipes = {name: stream.fileno() for name, stream in streams.items()}
    kept = {name: bytearray() for name in pipes}
    most = {name: int(limits["answer" if name == "answer" else "output"] * MB) for name in pipes}
    most["answer"] += 1  # the launcher's own byte
    deadline = time.monotonic() + limits["seconds"]
    look = 0.0
    with selectors.DefaultSelector() as selector:
        for name, end in pipes.items():
            os.set_blocking(end, False)
            selector.register(end, selectors.EVENT_READ, name)
        while cell.process.poll() is None:
            for key, _ in selector.select(_TICK):
                if _read(key.fd, kept[key.data], most[key.data]) == 0:
                    selector.unregister(key.fd)
                if len(kept[key.data]) > most[key.data]:
                    return _cut(key.data), kept
            now = time.monotonic()
            if now > deadline:
                return "seconds", kept
            if now > look:
                look = now + _TICK
                if passed := cell.over(limits):
                    return passed, kept
    cell.end()
    for name, end in pipes.items():
        while _read(end, kept[name], most[name]):
            if len(kept[name]) > most[name]:
                return _cut(name), kept
    return "", kept


def _cut(name: str) -> str:
    return "answer" if name == "answer" else "output"


def _read(end: int, kept: bytearray, most: int) -> int | None:
    """Add what waits in a pipe to `kept`, up to one byte past `most`, and return how much it was.

    It is 0 at the pipe's end, and None where nothing waits.
    """
    try:
        new = os.read(end, min(65536, most + 1 - len(kept)))
    except BlockingIOError:
        return None
    kept += new
    return len(new)


def _result(ending, kept, status, limits, seconds) -> Isolated:
    if not kept["answer"].startswith(b"2"):
        raise RuntimeError(
            f"the sandbox could not start its program: {kept['errors'].decode(errors='replace')}"
        )
    output, errors = (_text(kept[name], limits["output"]) for name in ("output", "errors"))
    number = -status if status < 0 else status - 128
    if not ending:
        ending = "finished" if status == 0 else "killed" if number > 0 else "failed"
        if number == signal.SIGXCPU:
            ending = "seconds"
    last = (errors.strip() or "it says nothing").splitlines()[-1][:200]
    last = "".join(sign if sign.isprintable() else "?" for sign in last)
    why = _WHY[ending].format(**limits, status=status, signal=number, last=last)
    answer = bytes(kept["answer"][1 : 1 + int(limits["answer"] * MB)])
    return Isolated(ending, why, answer, output, errors, seconds)


def _text(raw: bytearray, most: float) -> str:
    text = raw[: int(most * MB)].decode(errors="replace")
    return f"{text}\n[cut at {most:g} MB]" if len(raw) > most * MB else text


def _family(first: int) -> list[int]:
    """Return a process and all that come from it."""
    found = [first]
    for pid in found:
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                children = Path(f"/proc/{pid}/task/{thread}/children").read_text()
                found += map(int, children.split())
    return found


def _threads(pid: int) -> int:
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task"))
    return 0


def _resident(pid: int) -> int:
    """Return the bytes of memory that a process has, those it shares included."""
    return _kilobytes(f"/proc/{pid}/status", "VmRSS", "VmSwap", "VmPTE", "HugetlbPages")


def _share(pid: int) -> int:
    """Return the bytes of memory of a process, a page that n processes share as 1/n of it."""
    tables = _kilobytes(f"/proc/{pid}/status", "VmPTE")
    pages = _kilobytes(f"/proc/{pid}/smaps_rollup", "Pss", "SwapPss")
    # A process may be able to hide its pages, but not how many they are.
    return pages + tables if pages else _resident(pid)


def _kilobytes(path: str, *names: str) -> int:
    """Return the sum of some lines of a file such as ``VmRSS: 12 kB``, in bytes."""
    with suppress(OSError):
        # As bytes: a process may have any name, and it stands there too.
        lines = dict(re.findall(rb"^(\w+):\s+(\d+) kB$", Path(path).read_bytes(), re.MULTILINE))
        return sum(int(lines.get(name.encode(), 0)) * 1024 for name in names)
    return 0
