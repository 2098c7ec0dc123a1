"""What all tests share: the book's own tools, a browser, and who runs which tests."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "tools"))

# No host but our own resolves, so that a page cannot pass because the network was there.
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep a file's tests in one process, as the cells of a notebook must be; not Colab's.

    Each chapter on Colab takes a minute and stands alone, so that any process may run it.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduler(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return nodeid if "test_colab.py" in nodeid else super()._split_scope(nodeid)

    return Scheduler(config, log)


def pytest_collection_modifyitems(items):
    """Call slow whatever asks for the built book or for a browser."""
    for item in items:
        if {"browser", "html"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


# Of the module and not of the session: while it lives, Playwright's event loop is this process's.
@pytest.fixture(scope="module")
def browser():
    """Return a Chromium that reaches no host but this one."""
    names = ["chromium", "chromium-browser", "google-chrome"]
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        sentence = f"The browser tests need one of {', '.join(names)} on the PATH."
        if os.environ.get("LLEVAL_REQUIRE_BROWSER"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGS)
