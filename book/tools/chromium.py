"""The browser of the tests and of `make pdf`: the Chromium that lies on this machine."""

import shutil

NAMES = ["chromium", "chromium-browser", "google-chrome"]

# No host but our own resolves, so that a page cannot pass because the network was there.
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def executable() -> str | None:
    """Return the path of a Chromium, or None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)
