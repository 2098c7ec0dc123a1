"""Make slides of the chapters, with the presenter's notes, for a room without a network.

    .venv/bin/python book/tools/slides.py [NAME ...]

It needs what ``make book`` built, and writes ``_build/html/slides/NAME.html`` with a list of them.
What is shown is said by the slide type of a cell, as JupyterLab's property inspector sets it:
"slide" begins a slide, "fragment" joins the one before. Of a text that is shown the first paragraph
stands on the slide, with headings, lists, tables and formulas; the rest of it, and every text that
has no type, goes into the notes of the presenter (key S). A figure or a table is shown without its
code, short visible code with its output.
"""

import copy
import html
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter
from traitlets.config import Config

ROOT = Path(__file__).resolve().parents[2]
CODE_LINES = 8  # the longest code that can be read from the last row
_BLOCK = re.compile(r"(#|\$\$|[-*|>]|\d+\.|    )")
_BADGE = re.compile(r"^\[Open in Colab\]\(.*\)$", re.M)
_CHAPTER = re.compile(r"\]\((\w+)\.ipynb")


def split(text: str) -> tuple[str, str]:
    """Return what of a text is on the slide, and what is said.

    >>> split("## Why\\n\\nOne.\\n\\nTwo.\\n\\n$$x$$")
    ('## Why\\n\\nOne.\\n\\n$$x$$', 'Two.')
    """
    shown, said, plain = [], [], 0
    for block in re.split(r"\n{2,}", _BADGE.sub("", text).strip()):
        is_plain = not _BLOCK.match(block)
        plain += is_plain
        (said if is_plain and plain > 1 else shown).append(block)
    return "\n\n".join(shown), "\n\n".join(said)


def deck(notebook):
    """Return a notebook of slides: the cells that are shown, and notes after each."""
    cells, section = [], ""
    for cell in notebook.cells:
        kind = cell.metadata.get("slideshow", {}).get("slide_type", "")
        for text in _parts(cell) if cell.cell_type == "markdown" else [""]:
            heads = text.startswith("#")
            section = text.partition("\n")[0].lstrip("# ") if heads else section
            shown, said = split(text) if kind else ("", text)
            # What stands over a heading in a cell still belongs to the slide before.
            place = "fragment" if text and not heads and "\n#" in cell.source else kind
            if place == "slide" and not heads:
                cells.append(_typed(f'<p class="section">{html.escape(section)}</p>', "slide"))
                place = "fragment"
            if place in ("slide", "fragment"):
                cells.append(_typed(shown, place) if text else _shown_code(cell))
            if said and cells and kind != "skip":
                cells.append(_typed(said, "notes"))
    title = notebook.cells[0].source.partition("\n")[0].lstrip("# ")
    return nbformat.v4.new_notebook(cells=cells, metadata={"title": title})


def _parts(cell) -> list[str]:
    """Return the text of `cell`, cut before its headings, a title page also before its table."""
    text = _BADGE.sub("", cell.source).strip()
    cut = r"\n(?=##? )|\n\n(?=\|)" if text.startswith("# ") else r"\n(?=##? )"
    return [part.strip() for part in re.split(cut, text) if part.strip()]


def _typed(text: str, kind: str):
    cell = nbformat.v4.new_markdown_cell(_CHAPTER.sub(r"](../notebooks/\1.html", text))
    # What belongs to a slide is there at once: no clicks within a slide.
    cell.metadata["slideshow"] = {"slide_type": "-" if kind == "fragment" else kind}
    return cell


def _shown_code(cell):
    cell = copy.deepcopy(cell)
    cell.metadata["slideshow"] = {"slide_type": "-"}
    hidden = {"hide-input", "hide-cell"} & set(cell.metadata.get("tags", []))
    if hidden or len(cell.source.splitlines()) > CODE_LINES:
        cell.metadata["tags"] = ["hide-on-slide"]
    return cell


def page(notebook) -> str:
    """Return the page of the slides of `notebook`."""
    settings = Config()
    settings.TagRemovePreprocessor.enabled = True
    settings.TagRemovePreprocessor.remove_input_tags = {"hide-on-slide"}
    settings.TemplateExporter.extra_template_basedirs = [str(ROOT / "book" / "tools")]
    exporter = SlidesExporter(config=settings, template_name="slides")
    return exporter.from_notebook_node(deck(notebook))[0]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> None:
    names = sys.argv[1:] if arguments is None else arguments
    folder = root / "_build" / "html" / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if not names or path.stem in names:
            (folder / f"{path.stem}.html").write_text(page(notebook), encoding="utf-8")
        title = html.escape(notebook.cells[0].source.partition("\n")[0].lstrip("# "))
        rows.append(f'<li><a href="{path.stem}.html">{title}</a></li>')
    head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Slides</title>'
    size = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    style = "<style>body{font:1.1rem/1.7 system-ui,sans-serif;color-scheme:light dark;padding:1rem}"
    text = f"{head}{size}{style}</style><h1>Slides</h1><ul>{''.join(rows)}</ul>\n"
    (folder / "index.html").write_text(text, encoding="utf-8")
    print(f"The slides are at {folder / 'index.html'}")


if __name__ == "__main__":
    main()
