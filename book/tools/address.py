"""Set or check the address of the repository that the book points at.

    python book/tools/address.py                                    take it from git's origin
    python book/tools/address.py https://github.com/you/your-fork   set this one
    python book/tools/address.py --check                            show it; do all files agree?

``_config.yml`` keeps it (repository.url and branch). Badges, set-up cells and a few pages repeat
it, because Colab and GitHub read them one file at a time. This needs no more than Python itself.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = ("*.md", "*.toml", "*.cff", ".github/**/*.*", "book/**/*.md", "notebooks/**/*.ipynb")
UNKNOWN = "https://github.com/OWNER/REPO"  # until somebody publishes the book

# The text of the one cell tagged "setup" in every chapter.
SETUP = """\
# Colab does not have the book's library.
import importlib.util

if importlib.util.find_spec("lleval_lib") is None:
"""
INSTALL = '    %pip install --quiet "lleval_lib{extra} @ git+{url}"'
NO_ADDRESS = """\
    raise SystemExit(
        "This copy of the book does not know its address: run "
        "`make address` in its repository, push, and open this again."
    )"""

_HOST = r"(?:https://(?:[^@/\s]+@)?|(?:ssh://)?git@)github\.com[/:]"
_NAME = r"[\w-]+/[\w.-]*[\w-]"
# What is marked as ours is set whatever it names, so that a file that went astray comes back.
_ADDRESS = re.compile(
    r"(?P<before>(?P<ours>\[Open in Colab\]\(|lleval_lib(?:\[\w+\])? @ git\+"
    r"|repository-code: [\"']?)?"
    rf"(?:https://colab\.research\.google\.com/github/|{_HOST}))(?P<name>{_NAME})"
)


def read_address(config: str) -> tuple[str, str]:
    """Return repository.url and repository.branch of the text of a ``_config.yml``."""
    section = config[config.index("repository:") :]
    url, branch = (
        re.search(rf"\b{field}:\s*[\"']?([^\s\"',}}]+)", section)[1] for field in ("url", "branch")
    )
    return url, branch


def setup_cell(url: str, extra: str = "") -> str:
    """Return the set-up cell; `extra` names optional dependencies, as pyproject.toml does."""
    wanted = f"[{extra}]" if extra else ""
    return SETUP + (NO_ADDRESS if url == UNKNOWN else INSTALL.format(url=url, extra=wanted))


def extra_of(cell: dict) -> str:
    """Return the optional dependencies that the set-up cell of a chapter has in its metadata."""
    return cell["metadata"].get("extra", "")


def badge(url: str, branch: str, path: str) -> str:
    """Return the Markdown link that opens the notebook at `path` of the repository in Colab."""
    address = f"https://colab.research.google.com/github/{_name(url)}/blob/{branch}/{path}"
    return f"[Open in Colab]({address})"


def parse(address: str) -> str:
    """Return an address that git understands as ``https://github.com/<owner>/<repository>``."""
    if found := re.fullmatch(rf"{_HOST}({_NAME})/?", address):
        return f"https://github.com/{found[1].removesuffix('.git')}"
    raise ValueError(
        f"{address or 'A folder without an origin'} is not the address of a repository on GitHub, "
        "where Colab looks for notebooks: make address REPO=https://github.com/you/your-fork"
    )


def readdress(text: str, old: str, url: str) -> str:
    """Return `text` with the address `old`, and what is marked as ours, set to `url`."""

    def new(found):
        name = found["name"].removesuffix(".git")
        if not found["ours"] and name != _name(old):
            return found[0]
        return found["before"] + _name(url) + found["name"].removeprefix(name)

    return _ADDRESS.sub(new, text)


def changes(root: Path, url: str) -> dict[Path, str]:
    """Return the files under `root` that do not point at `url`, with the text that does."""
    config = root / "_config.yml"
    old, _ = read_address(_read(config))
    # The configuration comes last: until then a run that was cut short can be repeated.
    paths = [path for pattern in FILES for path in sorted(root.glob(pattern))] + [config]
    texts = {path: readdress(_read(path), old, url) for path in paths}
    texts |= {p: _with_setup(text, url) for p, text in texts.items() if p.suffix == ".ipynb"}
    return {path: text for path, text in texts.items() if text != _read(path)}


def main(arguments: list[str], root: Path = ROOT) -> int:
    url, branch = read_address(_read(root / "_config.yml"))
    check = arguments == ["--check"]
    if not check:
        try:
            url = parse(arguments[0] if arguments else _origin(root))
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
    print(f"{url} (branch {branch})")
    changed = changes(root, url)
    for path, text in changed.items():
        print(f"  {path.relative_to(root)} {'has another' if check else 'changed'}")
        if not check:
            scratch = path.with_name(path.name + ".tmp")
            scratch.write_bytes(text.encode())
            os.replace(scratch, path)
    return int(check and bool(changed))


def _origin(root: Path) -> str:
    command = ["git", "-C", str(root), "config", "--get", "remote.origin.url"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _with_setup(text: str, url: str) -> str:
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if "setup" in cell["metadata"].get("tags", []):
            cell["source"] = setup_cell(url, extra_of(cell)).splitlines(keepends=True)
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _name(url: str) -> str:
    return url.removeprefix("https://github.com/")


def _read(path: Path) -> str:
    return path.read_bytes().decode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
