"""Begin a chapter from the template, which has every part that the tests ask for.

    .venv/bin/python book/tools/chapter.py 04_parameter_efficiency "Parameter efficiency"

It writes the notebook, adds its line to ``_toc.yml`` and its answers to
``lleval_lib/exercises.toml``, and prints what remains to be done by hand.
"""

import argparse
import hashlib
import re
import sys
from pathlib import Path

import address
import jupytext
import refresh

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = Path(__file__).with_name("chapter_template.py")

ANSWERS = """\
["{number}"]
1 = {{answer = 0.04, tolerance = 0.0005, hint = "a share p of n has SE sqrt(p (1 - p) / n)."}}
2 = {{answer = 1600, tolerance = 0.5, hint = "solve sqrt(p (1 - p) / n) = 0.01 for n."}}
3 = {{answer = 0.08, tolerance = 0.0005, hint = "how many independent observations are there?"}}
"""

REMAINS = """\
notebooks/{name}.ipynb is begun. What remains:
  the notebook    put your own text, code and exercises in place of the template's
  answers         your own, in section ["{number}"] of lleval_lib/exercises.toml
  its quiz        .venv/bin/python book/tools/quiz.py open {number}, edit, seal {number}
  make refresh    executes it
  README.md       its link in the table of chapters
  book/index.md   its link in the map, in place of "planned"
  book/glossary.md, book/references.bib   its terms, "[chapter {plain}]: ../notebooks/{name}.ipynb",
                  its sources
  make check      says what is still missing"""


def notebook(name: str, title: str, url: str, branch: str) -> str:
    """Return the text of a notebook file: the template for chapter `name`."""
    number = name.partition("_")[0]
    words = {
        "BADGE": address.badge(url, branch, f"notebooks/{name}.ipynb"),
        "# SETUP": address.setup_cell(url),
        "CHAPTER": number,
        "NUMBER": number.lstrip("0"),
        "TITLE": title,
    }
    made = jupytext.reads(TEMPLATE.read_text(encoding="utf-8"), fmt="py:percent")
    for position, cell in enumerate(made.cells):
        cell.source = re.sub("|".join(words), lambda found: words[found[0]], cell.source)
        # Ids are made here once, and stay: translations and links rely on them.
        cell.id = hashlib.sha256(f"{name} {position}".encode()).hexdigest()[:8]
    return refresh.to_text(refresh.tidy(made))


def with_line(toc: str, name: str, cover: str) -> str:
    """Return the text of ``_toc.yml`` with chapter `name` in its part.

    The map on the `cover` of the book says which part that is; what is not there is an appendix.
    """
    before, *mapped = re.split(rf"\n- \[?{name[:2]} ", cover)
    caption = re.findall(r"^### (.*)$", before, re.M)[-1] if mapped else "Appendix (附录)"
    part = rf"  - caption: {re.escape(caption.split('·')[0])}.*\n    chapters:\n(?:      .*\n)+"
    if not (found := re.search(part, toc)):
        new = f"  - caption: {caption}\n    chapters:\n      - file: notebooks/{name}\n"
        return re.sub(r"(?=  - caption: Reference)", new, toc)
    lines = [*found[0].splitlines(keepends=True), f"      - file: notebooks/{name}\n"]
    # Chapters by number, after the page that opens the part.
    lines.sort(key=lambda line: line if "file: notebooks/" in line else "")
    return toc.replace(found[0], "".join(lines))


def with_answers(exercises: str, number: str) -> str:
    """Return the text of ``exercises.toml`` with a section for chapter `number`."""
    head, *sections = re.split(r'^(?=\[")', exercises, flags=re.M)
    texts = sorted(text.strip() + "\n" for text in [*sections, ANSWERS.format(number=number)])
    return head + "\n".join(texts)


def why_refused(name: str, root: Path) -> str:
    """Return why there can be no new chapter `name`, or an empty string."""
    if not re.fullmatch(r"(?:\d\d|[A-Z]\d)_[a-z0-9_]+", name):
        return f"{name!r} is no name of a chapter: it is like 04_parameter_efficiency or A1_proofs"
    taken = list((root / "notebooks").glob(f"{name[:2]}_*.ipynb"))
    return f"there is a chapter {name[:2]} already: {taken[0].name}" if taken else ""


def main(arguments=None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of the file, such as 04_parameter_efficiency")
    parser.add_argument("title", help='such as "Parameter efficiency"')
    options = parser.parse_args(arguments)
    if fault := why_refused(options.name, root):
        print(fault, file=sys.stderr)
        return 2
    number = options.name[:2]
    title = re.sub(rf"^0?{number.lstrip('0')}[.:]?\s+", "", options.title)
    url, branch = address.read_address((root / "_config.yml").read_text(encoding="utf-8"))
    cover = (root / "book" / "index.md").read_text(encoding="utf-8")
    toc, exercises = root / "_toc.yml", root / "lleval_lib" / "exercises.toml"
    new = {
        root / "notebooks" / f"{options.name}.ipynb": notebook(options.name, title, url, branch),
        toc: with_line(toc.read_text(encoding="utf-8"), options.name, cover),
        exercises: with_answers(exercises.read_text(encoding="utf-8"), number),
    }
    for path, text in new.items():
        path.write_text(text, encoding="utf-8")
    print(REMAINS.format(name=options.name, number=number, plain=number.lstrip("0")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
