"""Show, check or change the address of the repository that the book points at.

    python book/tools/address.py                                  show it; check that all agree
    python book/tools/address.py https://github.com/you/your-fork   change it everywhere

The address is kept in ``_config.yml`` (repository.url and branch). Badges, set-up cells and a few
pages repeat it, because Colab and GitHub read them one file at a time; this command keeps them in
step. It needs no more than Python itself.
"""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The text of the one cell tagged "setup" in every chapter.
SETUP = """\
# Installs the book's library where it is missing, as on Colab.
import importlib.util

if importlib.util.find_spec("lleval_lib") is None:
    %pip install --quiet "lleval_lib @ git+{url}\""""
BADGE = "[Open in Colab](https://colab.research.google.com/github/{slug}/blob/{branch}/{path})"

_NAME = r"[\w-]+(?:\.(?!git\b)[\w-]+)*"
_URL = rf"https://github\.com/{_NAME}/{_NAME}"


def read_address(config: str) -> tuple[str, str]:
    """Return repository.url and repository.branch of the text of a ``_config.yml``."""
    return _field("url").search(config)["value"], _field("branch").search(config)["value"]


def setup_cell(url: str) -> str:
    return SETUP.format(url=url)


def badge(url: str, branch: str, path: str) -> str:
    """Return the Markdown link that opens the notebook at `path` of the repository in Colab."""
    return BADGE.format(slug=_slug(url), branch=branch, path=path)


def why_invalid(url: str) -> str:
    """Return what is wrong with `url` as the address of a repository, or an empty string."""
    if not url.startswith("https://github.com/"):
        return "it must begin with https://github.com/"
    if url.endswith("/"):
        return "leave out the slash at its end"
    if url.endswith(".git"):
        return "leave out the .git at its end"
    if not re.fullmatch(_URL, url):
        return "it must be https://github.com/<owner>/<repository> and nothing more"
    return ""


def readdress(text: str, old: str, url: str, branch: str) -> str:
    """Return `text` with every address of the book's repository set to `url`.

    `old` is replaced wherever it stands; what is marked as the book's own address, such as a
    badge, is set whatever it was, so that a file that went astray comes back.
    """
    text = re.sub(rf"{re.escape(old)}(?![\w-]|\.(?!git\b)\w)", lambda _: url, text)
    marked = rf"(git clone |lleval_lib @ git\+|repository-code:\s*[\"']?|Repository = \"){_URL}"
    text = re.sub(marked, lambda m: m[1] + url, text)
    return re.sub(
        rf"(colab\.research\.google\.com/github/){_NAME}/{_NAME}/blob/[^/\s]+"
        r"(?=/notebooks/(?:assignments/)?\d\d_\w+\.ipynb)",
        lambda m: f"{m[1]}{_slug(url)}/blob/{branch}",
        text,
    )


def files(root: Path) -> list[Path]:
    """Return the files that may repeat the address."""
    names = ("README.md", "CITATION.cff", "pyproject.toml")
    found = [root / name for name in names if (root / name).exists()]
    return found + sorted(root.glob("book/**/*.md")) + sorted(root.glob("notebooks/**/*.ipynb"))


def astray(root: Path) -> list[Path]:
    """Return the files under `root` that name another address than ``_config.yml``."""
    url, branch = read_address(_read(root / "_config.yml"))
    return [path for path in files(root) if readdress(_read(path), url, url, branch) != _read(path)]


def change(root: Path, url: str) -> list[Path]:
    """Set the address to `url` in every file under `root`; return the files that changed."""
    config = _read(root / "_config.yml")
    old, branch = read_address(config)
    # _config.yml comes last: until then a run that was cut short can be repeated.
    new = {path: readdress(_read(path), old, url, branch) for path in files(root)}
    new[root / "_config.yml"] = _field("url").sub(lambda m: m["before"] + url, config, count=1)
    changed = [path for path, text in new.items() if text != _read(path)]
    for path in changed:
        scratch = path.with_name(path.name + ".tmp")
        scratch.write_bytes(new[path].encode())
        os.replace(scratch, path)
    return changed


def main(arguments: list[str], root: Path = ROOT) -> int:
    if len(arguments) > 1:
        print("give one address, or none to see the present one", file=sys.stderr)
        return 2
    if arguments:
        (url,) = arguments
        if fault := why_invalid(url):
            print(f"{url!r} is not the address of a repository: {fault}", file=sys.stderr)
            return 2
        changed = change(root, url)
        print(f"{url}: changed {len(changed)} files")
        for path in changed:
            print(f"  {path.relative_to(root)}")
        return 0
    url, branch = read_address(_read(root / "_config.yml"))
    print(f"{url} (branch {branch})")
    wrong = astray(root)
    for path in wrong:
        print(f"  {path.relative_to(root)} names another address", file=sys.stderr)
    return 1 if wrong else 0


def _slug(url: str) -> str:
    return url.removeprefix("https://github.com/")


def _field(name: str) -> re.Pattern:
    """Return a pattern that finds field `name` of the section "repository" of a _config.yml."""
    inside = r"repository:[^\n]*?(?:\n[ \t][^\n]*?)*?"
    return re.compile(rf"^(?P<before>{inside}\b{name}:\s*[\"']?)(?P<value>[^\s\"',}}]+)", re.M)


def _read(path: Path) -> str:
    return path.read_bytes().decode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
