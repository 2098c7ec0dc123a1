"""The cache of downloads is never left bad, whatever happens to a fetch.

A tiny wheel of our own is served from a local folder or a local web server, so that all but the
last two tests need no network.
"""

import fnmatch
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import asdict, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest

from lleval_lib import catalogue as catalogue_module
from lleval_lib import fetching
from lleval_lib.catalogue import Entry, catalogue, entry

FILE = "tiny_words-1.0-py3-none-any.whl"
# Large enough that half of it is several of the pieces in which pip writes a download.
MEMBERS = {f"tiny_words/{i}.txt": f"word {i}\n" * 150_000 for i in range(3)}

# Runs one function of fetching in a process of its own, with the tiny entry as the catalogue.
DRIVER = """
import json, sys, time
from lleval_lib import catalogue, fetching

tiny = catalogue.Entry(**json.loads(sys.argv[1]))
catalogue.catalogue = lambda: {tiny.name: tiny}
PATCH
print(getattr(fetching, sys.argv[2])(tiny.name))
"""
# Unpacks one member, says so, and takes its time over the others.
SLOW_UNPACK = """
def extractall(wheel, folder, members):
    wheel.extract(members[0], folder)
    print("unpacking", flush=True)
    time.sleep(float(sys.argv[3]))
    for member in members:
        wheel.extract(member, folder)
fetching.zipfile.ZipFile.extractall = extractall
"""


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Return a folder that holds the tiny wheel and is the only place where pip looks."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    info = "tiny_words-1.0.dist-info"
    texts = {
        **MEMBERS,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny-words\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / FILE, "w") as wheel:
        for name, text in texts.items():
            wheel.writestr(name, text)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LLEVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(shelf, cache, monkeypatch):
    """Return the tiny wheel's entry, which is the whole catalogue for the time of a test."""
    served = shelf / FILE
    found = Entry(
        name="tiny",
        kind="data",
        what="three files of words",
        wheel="tiny-words",
        version="1.0",
        size=served.stat().st_size,
        sha256=sha256(served),
        members=("tiny_words/*.txt",),
        licence="MIT",
        citation="none",
    )
    use(monkeypatch, found)
    return found


def use(monkeypatch, found):
    monkeypatch.setattr(catalogue_module, "catalogue", lambda: {found.name: found})


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wheels_in(cache):
    """Return the names in the folder of wheels, but for the locks."""
    return sorted(p.name for p in (cache / "wheels").iterdir() if p.suffix != ".lock")


def unpacked_in(cache):
    return sorted(p.name for p in (cache / "unpacked").iterdir() if p.suffix != ".lock")


def start(tiny, function, patch="", *arguments):
    command = [sys.executable, "-c", DRIVER.replace("PATCH", patch), json.dumps(asdict(tiny))]
    return subprocess.Popen(
        [*command, function, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Return the last line that `process` printed; its standard error says why it failed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.splitlines()[-1]


class Shelf(SimpleHTTPRequestHandler):
    """Serve the shelf; a wheel stops half-way until the server's `go_on` is set."""

    def do_GET(self):
        if not self.path.endswith(".whl"):
            super().do_GET()
            return
        content = (self.server.shelf / FILE).read_bytes()
        self.server.downloads.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.server.half_way.set()
        self.server.go_on.wait(timeout=120)
        self.wfile.write(content[len(content) // 2 :])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(shelf, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Shelf, directory=shelf)) as server:
        server.shelf, server.downloads = shelf, []
        server.half_way, server.go_on = threading.Event(), threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_FIND_LINKS", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server
        server.go_on.set()
        server.shutdown()


def test_fetch_gives_the_checked_wheel_and_leaves_nothing_else(tiny, cache):
    path = fetching.fetch("tiny")
    assert path == cache / "wheels" / FILE
    assert sha256(path) == tiny.sha256
    assert wheels_in(cache) == [FILE]


def test_a_wheel_in_the_cache_is_not_fetched_again(tiny, shelf):
    path = fetching.fetch("tiny")
    (shelf / FILE).unlink()
    assert fetching.fetch("tiny") == path


@pytest.mark.parametrize("harm", ["corrupt", "truncate", "empty"])
def test_a_bad_wheel_in_the_cache_is_repaired(tiny, cache, harm):
    path = fetching.fetch("tiny")
    good = path.read_bytes()
    middle = len(good) // 2
    bad = {
        "corrupt": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        "truncate": good[:middle],
        "empty": b"",
    }
    path.write_bytes(bad[harm])
    assert fetching.read_members("tiny", "1.txt") == {
        "tiny_words/1.txt": MEMBERS["tiny_words/1.txt"].encode()
    }
    assert path.read_bytes() == good
    assert wheels_in(cache) == [FILE]


@pytest.mark.slow
def test_a_killed_fetch_leaves_no_bad_file_and_the_next_one_works(tiny, cache, server):
    fetcher = start(tiny, "fetch")
    assert server.half_way.wait(timeout=60)
    orphans = psutil.Process(fetcher.pid).children(recursive=True)
    assert orphans, "pip should be running"
    fetcher.kill()
    fetcher.communicate()
    assert not (cache / "wheels" / FILE).exists()

    # The pip of the killed fetch is still alive, and ends in the middle of the next fetch.
    second = start(tiny, "fetch")
    server.go_on.set()
    assert finish(second) == str(cache / "wheels" / FILE)
    _, alive = psutil.wait_procs(orphans, timeout=60)
    assert not alive
    assert sha256(cache / "wheels" / FILE) == tiny.sha256
    assert wheels_in(cache) == [FILE]


def test_what_a_killed_fetch_left_is_swept_by_the_next(tiny, cache):
    leftover = cache / "wheels" / "fetching-tiny-words-1.0-abc"
    other = cache / "wheels" / "fetching-tiny-words-2.0-abc"
    for folder in (leftover, other):
        folder.mkdir(parents=True)
        (folder / "half.whl").write_bytes(b"half")
    fetching.fetch("tiny")
    assert wheels_in(cache) == [other.name, FILE]


def test_two_processes_that_fetch_at_once_download_once(tiny, cache, server):
    racers = [start(tiny, "fetch") for _ in range(2)]
    assert server.half_way.wait(timeout=60)
    server.go_on.set()
    assert {finish(racer) for racer in racers} == {str(cache / "wheels" / FILE)}
    assert len(server.downloads) == 1
    assert sha256(cache / "wheels" / FILE) == tiny.sha256
    assert wheels_in(cache) == [FILE]


def test_progress_is_shown(tiny, server, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "")
    fetcher = start(tiny, "fetch")
    assert server.half_way.wait(timeout=60)
    time.sleep(1)
    server.go_on.set()
    _, shown = fetcher.communicate(timeout=60)
    percentages = {int(p) for p in re.findall(r"tiny: +(\d+)%", shown)}
    assert 0 in percentages
    assert percentages & set(range(40, 51))


def test_an_interrupted_fetch_ends_pip_too(tiny, cache, server, monkeypatch):
    """The server never goes on: waiting for pip would not end."""

    def interrupt(pip, folder, bar):
        assert server.half_way.wait(timeout=60)
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "_watch", interrupt)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetching.fetch("tiny")
    assert time.monotonic() - start < 60
    assert wheels_in(cache) == []


def test_offline_the_error_says_what_to_do_and_that_works(
    tiny, shelf, cache, tmp_path, monkeypatch
):
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(nowhere))
    with pytest.raises(ConnectionError) as caught:
        fetching.fetch("tiny")
    message = str(caught.value)
    path = cache / "wheels" / FILE
    assert "three files of words" in message
    assert "python -m pip download --no-deps tiny-words==1.0" in message
    assert str(path) in message
    assert wheels_in(cache) == []

    path.write_bytes((shelf / FILE).read_bytes())
    assert fetching.fetch("tiny") == path


def test_another_build_is_refused_and_not_kept(tiny, shelf, cache, monkeypatch):
    use(monkeypatch, replace(tiny, sha256="0" * 64))
    with pytest.raises(ValueError, match="pip config list") as caught:
        fetching.fetch("tiny")
    assert "0" * 64 in str(caught.value)
    assert sha256(shelf / FILE) in str(caught.value)
    assert wheels_in(cache) == []


def test_an_unknown_name_lists_the_names():
    with pytest.raises(LookupError, match=r"no entry 'revews'.* reviews, .*alpaca-eval"):
        fetching.fetch("revews")


def test_unpack_gives_the_members_only(tiny, cache):
    folder = fetching.unpack("tiny")
    files = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert files == MEMBERS
    assert unpacked_in(cache) == [folder.name]


def test_members_are_read_by_a_part_of_their_path(tiny):
    all_of_them = {path: text.encode() for path, text in MEMBERS.items()}
    assert fetching.read_members("tiny") == all_of_them
    one = "tiny_words/1.txt"
    assert fetching.read_members("tiny", "/1.") == {one: all_of_them[one]}


def test_a_member_that_the_wheel_lacks_is_an_error(tiny, cache, monkeypatch):
    use(monkeypatch, replace(tiny, members=("tiny_words/*.txt", "tiny_words/config.json")))
    with pytest.raises(LookupError, match=r"tiny-words==1.0 holds no tiny_words/config.json"):
        fetching.unpack("tiny")
    assert not (cache / "unpacked").exists()


def test_a_killed_unpack_leaves_nothing_and_the_next_one_works(tiny, cache):
    unpacker = start(tiny, "unpack", SLOW_UNPACK, "120")
    assert unpacker.stdout.readline() == "unpacking\n"
    unpacker.kill()
    unpacker.communicate()
    (half,) = unpacked_in(cache)
    assert half.startswith("writing-")

    folder = fetching.unpack("tiny")
    assert {p.name for p in (folder / "tiny_words").iterdir()} == {"0.txt", "1.txt", "2.txt"}
    assert unpacked_in(cache) == [folder.name]


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def write(scratch):
        (scratch / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetching.write_atomically(tmp_path / "cache" / "model", write)
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["model.lock"]


@pytest.mark.slow
def test_two_processes_that_unpack_at_once_write_once(tiny, cache):
    fetching.fetch("tiny")
    racers = [start(tiny, "unpack", SLOW_UNPACK, "2") for _ in range(2)]
    printed = [racer.communicate(timeout=120)[0].splitlines() for racer in racers]
    folder = cache / "unpacked" / f"tiny-{tiny.sha256[:8]}"
    assert sorted(printed) == [[str(folder)], ["unpacking", str(folder)]]
    assert {p.name for p in (folder / "tiny_words").iterdir()} == {"0.txt", "1.txt", "2.txt"}
    assert unpacked_in(cache) == [folder.name]


@pytest.mark.slow
def test_the_smallest_real_entry_through_the_real_pip(cache):
    path = fetching.fetch("alpaca-eval")
    assert sha256(path) == entry("alpaca-eval").sha256
    assert wheels_in(cache) == [path.name]


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue())
def test_an_entry_says_what_its_wheel_holds(name):
    path, wanted = fetching.fetch(name), entry(name)
    assert path.stat().st_size == wanted.size
    with zipfile.ZipFile(path) as wheel:
        for member in wanted.members:
            assert fnmatch.filter(wheel.namelist(), member), member
    assert wanted.what
    assert wanted.licence
    assert wanted.citation
