"""The sandbox: every way out that we know is tried for real, and leads nowhere."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import filelock
import lazy_loader
import platformdirs
import pytest
import tqdm

from lleval_lib import sandbox
from lleval_lib.fetching import fetch
from lleval_lib.sandbox import OUTPUT, run_isolated

ROOT = Path(__file__).resolve().parents[1]


def _works():
    try:
        return bool(sandbox._bubblewrap())
    except RuntimeError:
        return False


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("LLEVAL_REQUIRE_SANDBOX") and not _works(),
        reason="there is no sandbox on this computer",
    ),
]


def run(program, seconds=20, **options):
    """Run `program` in the sandbox; what it calls ``tell`` with comes back as a list."""
    head = "import json, os, sys\ndef tell(x): print(json.dumps(x), file=open('/answer', 'a'))\n"
    done = run_isolated({"main.py": head + textwrap.dedent(program)}, seconds=seconds, **options)
    told = []
    for line in done.answer.decode("utf-8", "replace").splitlines():
        told.append(json.loads(line))
    return done, told


def test_a_program_runs_and_answers():
    done, told = run("print('out'); print('err', file=sys.stderr); tell([1, 'é'])")
    assert (done.ending, done.output, done.errors) == ("finished", "out\n", "err\n")
    assert told == [[1, "é"]]


def test_files_are_there_and_can_be_changed_without_a_trace(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(b"\x00\xff")
    program = (
        "open('/answer', 'wb').write(open('a.txt', 'rb').read() + open('b', 'rb').read())\n"
        "open('b', 'wb').write(b'changed')"
    )
    done = run_isolated({"main.py": program, "a.txt": "é", "b": path}, seconds=20)
    assert done.answer == "é".encode() + b"\x00\xff"
    assert path.read_bytes() == b"\x00\xff"


def test_the_library_and_its_data_are_there():
    _, told = run(
        """
        import lleval_lib as ll
        tell([len(ll.load_reviews()), len(ll.load_records("reviews"))])
        """,
        seconds=120,
        cache=True,
    )
    assert told == [[12808, 23670]]


ENDINGS = {
    "an exit status": ("sys.exit(3)", "ended with exit status 3"),
    "an error": ("1 / 0", "ended with exit status 1"),
    "no Python": ("x = (", "ended with exit status 1"),
    "a signal": ("os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
    "left early": ("os._exit(0)", "finished"),
    "an endless loop": ("while True: pass", "stopped after 2 seconds"),
    "sleep": ("import time; time.sleep(1000)", "stopped after 2 seconds"),
    "deaf": (
        "import signal\nfor s in range(1, 32):\n"
        "    try: signal.signal(s, signal.SIG_IGN)\n    except OSError: pass\nwhile True: pass",
        "stopped after 2 seconds",
    ),
    "output closed": ("os.close(1); os.close(2)\nwhile True: pass", "stopped after 2 seconds"),
    "its process stopped": ("os.kill(os.getpid(), 19)", "stopped after 2 seconds"),
    "everything killed": ("os.kill(-1, 9)", "ended with exit status 1"),  # there is nothing else
    "itself killed": ("os.kill(os.getpid(), 9)", "killed by SIGKILL"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_how_it_ended(name):
    program, ending = ENDINGS[name]
    done, _ = run(program, seconds=2)
    assert ending in done.ending
    assert done.seconds < 10


LIMITS = {
    "output": ("while True: print('x' * 1_000_000)", "MB of output"),
    "errors": ("while True: os.write(2, b'x' * 1_000_000)", "MB of output"),
    "memory": ("x = []\nwhile True: x.append(b'x' * 10_000_000)", "memory"),
    "memory of many": (
        "for _ in range(20):\n"
        "    if not os.fork():\n"
        "        x = b'x' * 60_000_000\n"
        "        break\n"
        "import time; time.sleep(30)",
        "memory",
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name):
    program, ending = LIMITS[name]
    done, _ = run(program, memory=500)
    assert ending in done.ending or "MemoryError" in done.errors
    assert len(done.output) <= OUTPUT
    assert len(done.errors) <= OUTPUT


def _processes():
    """Return how many processes of the sandbox's users there are on this computer."""
    users = [str(user) for user in sandbox.USERS] if os.getuid() == 0 else []
    count = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        count += any(f"Uid:\t{user}\t" in text for user in users if user in text)
    return count


BOMBS = {
    "forks": "while True:\n    try: os.fork()\n    except OSError: pass",
    "threads": (
        "import threading, time\n"
        "while True:\n"
        "    try: threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "    except RuntimeError: pass"
    ),
    "a daemon": (
        "if os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
        "import time; time.sleep(1000)"
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_and_daemons_leave_nothing(name):
    done, _ = run(BOMBS[name], seconds=3)
    assert done.seconds < 15
    time.sleep(0.3)
    assert _processes() == 0


def test_the_number_of_processes():
    _, (count,) = run(
        """
        count = 0
        import time
        try:
            while count < 200:
                if not os.fork(): time.sleep(20); os._exit(0)
                count += 1
        except OSError: pass
        tell(count)
        """,
        processes=20,
    )
    assert count <= 20


DISKS = {
    "a large file": "open('/box/x', 'wb').write(b'x' * 300_000_000)",
    "a sparse file": "open('/box/x', 'wb').truncate(10**12)",
    "many large files": ("for i in range(100): open(f'/box/{i}', 'wb').write(b'x' * 10_000_000)"),
    "shared memory": ("for i in range(100): open(f'/dev/shm/{i}', 'wb').write(b'x' * 10_000_000)"),
    "a large answer": "open('/answer', 'wb').write(b'[' * 100_000_000)",
}


@pytest.mark.parametrize("name", DISKS)
def test_disks_are_small(name):
    program = f"try:\n    {DISKS[name]}\nexcept OSError as e: print(e)\nelse: print('wrote it')"
    done = run_isolated({"main.py": program}, seconds=20)
    assert "wrote it" not in done.output
    assert len(done.answer) <= sandbox.ANSWER


def test_a_million_files_cost_no_more_than_the_limit():
    done, _ = run("for i in range(10**7): open(f'/box/{i}', 'w').close()", seconds=4)
    assert done.ending != "finished"


def test_nothing_outside_can_be_written():
    _, (wrote,) = run(
        """
        import lleval_lib
        wrote = []
        places = ["/", "/usr", "/usr/bin", "/etc", "/bin", "/proc/sys/kernel", "/sys", "/dev",
                  sys.prefix, sys.base_prefix, os.path.dirname(os.__file__),
                  os.path.dirname(sys.executable), *lleval_lib.__path__, "/cache/wheels/x"]
        for place in places:
            try:
                with open(os.path.join(place, "hello"), "w") as file: file.write("x")
                wrote.append(place)
            except OSError: pass
        for path in (os.__file__, lleval_lib.__file__, sys.executable, "/inside.py"):
            for act in (lambda p: open(p, "a"), os.unlink, lambda p: os.chmod(p, 511)):
                try: act(path); wrote.append(path)
                except OSError: pass
        tell(wrote)
        """,
        cache=True,
    )
    assert wrote == []


def test_fetched_data_cannot_be_changed():
    _, (wrote,) = run(
        """
        import glob, shutil
        wrote = []
        for path in glob.glob("/cache/*/*"):
            try:
                shutil.rmtree(path) if os.path.isdir(path) else open(path, "r+")
                wrote.append(path)
            except OSError: pass
        tell(wrote)
        """,
        cache=True,
    )
    assert wrote == []


def test_nothing_of_ours_can_be_read(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    secret.chmod(0o644)
    paths = [secret, ROOT / "tests", ROOT / "notebooks", ROOT / ".git", ROOT / "README.md"]
    paths += [Path.home() / ".cache", "/etc/shadow", "/etc/passwd", "/var", "/sys", "/mnt"]
    paths += ["/boot", "/run", "/srv", "/proc/kcore", "/dev/sda", "/dev/vda", "/dev/mem"]
    _, (seen,) = run(
        f"""
        seen = []
        for path in {[str(path) for path in paths]}:
            try: os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(10)
            except OSError: continue
            seen.append(path)
        tell(seen)
        """
    )
    assert seen == []


def test_no_root_of_another_process():
    _, (seen,) = run(
        """
        import glob
        seen = []
        for one in glob.glob("/proc/[0-9]*"):
            seen += [open(f"{one}/cmdline").read()]
            for path in ("root/etc/shadow", "root/etc/passwd", "cwd/README.md"):
                try: seen.append(open(f"{one}/{path}").read(100))
                except OSError: pass
        tell(seen)
        """
    )
    assert len(seen) <= 2
    assert not any("pytest" in text for text in seen)


def test_no_secret_of_the_environment(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "hunter2")
    _, (seen, names) = run(
        """
        import glob
        seen = repr(dict(os.environ))
        for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/task/*/environ"):
            try: seen += open(path).read()
            except OSError: pass
        tell("hunter2" in seen)
        tell(sorted(os.environ))
        """
    )
    assert not seen
    allowed = {"HOME", "LANG", "LC_CTYPE", "LLEVAL_CACHE", "MPLBACKEND", "PATH", "PWD", "USER"}
    allowed |= {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONDONTWRITEBYTECODE"}
    allowed |= {"PYTHONPATH", "TQDM_DISABLE", *sandbox._PASSED}
    assert set(names) <= allowed


def test_no_open_file_comes_along(tmp_path):
    with open(tmp_path / "x", "w+") as ours:
        os.set_inheritable(ours.fileno(), True)
        _, descriptors = run(
            """
            for number in os.listdir("/proc/self/fd"):
                try: tell(os.readlink(f"/proc/self/fd/{number}"))
                except OSError: pass
            """
        )
    known = ("/proc", "/answer", "/dev/null", "pipe:")
    assert descriptors
    assert [path for path in descriptors if not path.startswith(known)] == []


NETWORK = {
    "TCP": "socket.create_connection(('127.0.0.1', PORT), 2)",
    "TCP of the internet": "socket.create_connection(('192.0.2.1', 80), 2)",
    "names": "socket.getaddrinfo('example.org', 80)",
    "UDP": "s = socket.socket(type=socket.SOCK_DGRAM); s.connect(('192.0.2.1', 53)); s.send(b'x')",
    "abstract": "s = socket.socket(socket.AF_UNIX); s.connect(NAME)",
    "raw": "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
    "packets": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
}


@pytest.mark.parametrize("name", NETWORK)
def test_no_network(name):
    import socket

    label = f"\0lleval-{os.getpid()}"
    with socket.socket() as ours, socket.socket(socket.AF_UNIX) as abstract:
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        abstract.bind(label)
        abstract.listen()
        call = NETWORK[name].replace("PORT", str(ours.getsockname()[1]))
        call = call.replace("NAME", repr(label))
        program = f"import socket\ntry:\n    {call}\n    tell('out')\nexcept OSError: tell('no')"
        _, told = run(program)
    assert told == ["no"]


CALLS = {
    "unshare user": "libc.unshare(0x10000000)",
    "unshare mount": "libc.unshare(0x00020000)",
    "mount": "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)",
    "bind": "libc.mount(b'/proc', b'/tmp', None, 4096, None)",
    "chroot": "libc.chroot(b'/tmp')",
    "setuid": "libc.setuid(0)",
    "setgroups": "libc.setgroups(0, None)",
    "ptrace": "libc.ptrace(0, 0, 0, 0)",
    "trace of the first process": "libc.ptrace(16, 1, 0, 0)",
    "keys": "libc.syscall(KEYCTL, 0, -3, 1)",
    "device": "libc.mknod(b'/tmp/d', 0o60666, 0x0100)",
    "host name": "libc.sethostname(b'x', 1)",
    "clone with a user": "libc.syscall(CLONE, 0x10000011, 0, 0, 0, 0)",
    "reboot": "libc.reboot(0)",
}


@pytest.mark.parametrize("name", CALLS)
def test_no_right_can_be_had(name):
    import platform

    keyctl, clone = {"x86_64": (250, 56), "aarch64": (219, 220)}[platform.machine()]
    call = CALLS[name].replace("KEYCTL", str(keyctl)).replace("CLONE", str(clone))
    _, told = run(f"import ctypes\nlibc = ctypes.CDLL(None)\ntell({call})")
    assert told == [-1]


def test_no_program_gives_rights():
    _, (rights, privileges) = run(
        """
        text = open("/proc/self/status").read()
        rights = [line.split()[1] for line in text.splitlines() if line.startswith("CapEff")]
        privileges = [line.split()[1] for line in text.splitlines() if "NoNewPrivs" in line]
        tell(rights); tell([*privileges, os.getuid() != 0, os.getgroups()])
        """
    )
    assert int(rights[0], 16) == 0
    groups = privileges[2]
    assert privileges[:2] == ["1", True]
    assert groups == [] or os.getuid() != 0


def test_the_terminal_cannot_be_typed_into():
    _, (wrote,) = run(
        """
        import fcntl
        wrote = []
        for path in ("/dev/tty", "/dev/pts/0", "/dev/console", 0, 1, 2):
            try:
                file = path if isinstance(path, int) else os.open(path, os.O_RDWR)
                fcntl.ioctl(file, 0x5412, b"x"); wrote.append(path)
            except OSError: pass
        tell(wrote)
        """
    )
    assert wrote == []


def test_the_answer_is_a_plain_file():
    done = run_isolated(
        {
            "main.py": "import os\n"
            "for act in (lambda: os.unlink('/answer'), lambda: os.rename('/answer', '/box/a'),\n"
            "            lambda: os.symlink('/usr/bin/env', '/answer')):\n"
            "    try: act()\n    except OSError: pass\n"
            "open('/answer', 'w').write('mine')"
        },
        seconds=20,
    )
    assert done.answer == b"mine"


def test_two_at_once_do_not_see_each_other():
    from concurrent.futures import ThreadPoolExecutor

    program = """
        import time, glob
        for folder in ("/tmp", "/box", "/dev/shm", "/home"):
            open(f"{folder}/mark{time.time()}", "w").close()
        time.sleep(1.5)
        tell([len(glob.glob("/*/mark*")), len(glob.glob("/proc/[0-9]*"))])
    """
    with ThreadPoolExecutor(2) as pool:
        (_, a), (_, b) = pool.map(lambda _: run(program), range(2))
    assert a[0][0] == b[0][0] == 3
    assert max(a[0][1], b[0][1]) <= 3


def test_nothing_is_left_when_the_caller_dies(tmp_path):
    mark = f"mark{os.getpid()}"
    program = f"import time; {mark} = 1; time.sleep(1000)"
    code = (
        "from lleval_lib.sandbox import run_isolated\n"
        f"run_isolated({{'main.py': 'import time; time.sleep(1000)', '{mark}': ''}}, seconds=1000)"
    )
    caller = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        for _ in range(100):
            time.sleep(0.2)
            if _named(mark):
                break
        assert _named(mark), program
    finally:
        caller.send_signal(signal.SIGKILL)
        caller.wait()
    for _ in range(50):
        time.sleep(0.1)
        if not _named(mark):
            break
    assert not _named(mark)


def _named(mark):
    """Return the processes whose command line or folder holds `mark`."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            line = (one / "cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if mark in line and "bwrap" in line:
            found.append(one.name)
    return found


def test_no_folder_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    run("tell(1)")
    run("while True: pass", seconds=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", ".."])
def test_names_of_files_are_plain(name):
    with pytest.raises(ValueError, match="plain name"):
        run_isolated({"main.py": "", name: ""}, seconds=1)


def test_main_is_needed():
    with pytest.raises(ValueError, match=r"files must hold main\.py; they hold a"):
        run_isolated({"a": ""}, seconds=1)


@pytest.fixture
def probed():
    sandbox._bubblewrap.cache_clear()
    yield
    sandbox._bubblewrap.cache_clear()


@pytest.mark.usefixtures("probed")
def test_it_refuses_where_there_is_no_sandbox(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(RuntimeError, match="needs Linux, and this is Darwin"):
        run_isolated({"main.py": ""}, seconds=1)


@pytest.mark.usefixtures("probed")
def test_it_refuses_where_bubblewrap_fails(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(RuntimeError, match="cannot make a sandbox here: No permissions"):
        run_isolated({"main.py": ""}, seconds=1)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_it_works_for_an_ordinary_user():
    python = Path("/usr/bin/python3")
    if not python.exists() or sys.version_info[:2] != _version(python):
        pytest.skip("there is no such Python outside of the test's own folders")
    with tempfile.TemporaryDirectory() as folder:
        packages = Path(folder) / "packages"
        packages.mkdir()
        shutil.copytree(ROOT / "lleval_lib", packages / "lleval_lib")
        for module in (filelock, lazy_loader, platformdirs, tqdm):
            source = Path(module.__file__).parent
            shutil.copytree(source, packages / source.name)
        (Path(folder) / "cache" / "wheels").mkdir(parents=True)
        shutil.copy(fetch("bubblewrap"), Path(folder) / "cache" / "wheels")
        for path in [Path(folder), *Path(folder).rglob("*")]:
            os.chown(path, 65534, 65534)
        code = (
            "from lleval_lib.sandbox import run_isolated\n"
            "print(run_isolated({'main.py': 'import os; print(os.getuid(), os.listdir(\"/\"))'}, "
            "seconds=20, processes=4000))"
        )
        done = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, user=65534, group=65534,
            extra_groups=[], cwd="/", env={"PYTHONPATH": str(packages), "PATH": "/usr/bin",
            "LLEVAL_CACHE": f"{folder}/cache"},
        )  # fmt: skip
    assert "ending='finished'" in done.stdout, done.stdout + done.stderr
    assert "65534" in done.stdout
    assert "root" not in done.stdout


def _version(python):
    code = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return tuple(map(int, done.stdout.split()))
