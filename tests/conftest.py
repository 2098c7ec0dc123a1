"""What all tests share: the book's own tools, a browser, and who runs which tests."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "tools"))


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


@pytest.fixture(scope="session")
def html() -> Path:
    """Return the folder of the built book, which must have every page."""
    from pdf import toc

    root = Path(__file__).resolve().parents[1]
    built = root / "_build" / "html"
    pages = [file for _, files in toc(root) for file in files]
    if missing := [page for page in pages if not (built / f"{page}.html").is_file()]:
        pytest.fail(f"The built book lacks {', '.join(missing)}: run `make book` first.")
    return built


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Return where Chromium is; without one, skip or, in CI, fail."""
    import chromium

    path = chromium.executable()
    if path is None:
        sentence = f"The browser tests need one of {', '.join(chromium.NAMES)} on the PATH."
        if os.environ.get("LLEVAL_REQUIRE_BROWSER"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return path


# Of the module and not of the session: while it lives, Playwright's event loop is this process's.
@pytest.fixture(scope="module")
def browser(chromium_path):
    """Return a Chromium that reaches no host but this one."""
    import chromium

    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium_path, args=chromium.ARGS)
