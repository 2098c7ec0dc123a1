"""What the rendered page of a chapter has besides its cells: a seal, and a way to report a cell.

A Sphinx extension. The seal says when, in how many seconds and with which versions `make refresh`
recomputed the chapter, and how many claims held. Each cell with an output has a link that opens
the repository's form for a number that differs, filled in; it is a link and asks nothing of anyone
until it is followed. Buttons on hidden cells say what they hide.
"""

import json
from datetime import date
from pathlib import Path
from urllib.parse import urlencode

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

SOLUTION = "@title Solution"
PDF = '<span class="pdf"></span>'  # where `make pdf` puts its link


def seal_text(seal: dict) -> str:
    """Return the sentence of the seal that `make refresh` wrote."""
    day = date.fromisoformat(seal["date"])
    versions = ", ".join(f"{name} {version}" for name, version in seal["versions"].items())
    return (
        f"Recomputed on {day.day} {day:%B %Y} in {seal['seconds']:,} s: "
        f"all {seal['claims']:,} claims of this page hold. {versions}."
    )


def report_address(repository: str, title: str, cell: dict) -> str:
    """Return the address of the form "a number differs", filled in for `cell` of a chapter."""
    line = next(filter(None, map(str.strip, "".join(cell["source"]).splitlines())), "")
    fields = {
        "template": "number_differs.yml",
        "title": f"Chapter {title.partition('.')[0]}: ",
        "chapter": title,
        "cell": f"{line}  # cell {cell['id']}",
    }
    return f"{repository}/issues/new?{urlencode(fields)}"


def button(hide_mode: str, source: str) -> str:
    """Return what the button on a hidden cell says; it is hidden whole, or only its code."""
    if hide_mode != "all":
        return "the code"
    return "the solution" if SOLUTION in source else "the check"


class NameButtons(SphinxPostTransform):
    """Let the buttons on hidden cells say what they hide."""

    default_priority = 100  # before MyST-NB makes them
    formats = ("html",)

    def run(self, **_):
        notebook = read_notebook(self.app, self.env.docname)
        for box, cell in cells(self.document, notebook):
            if mode := box.get("hide_mode"):
                what = button(mode, "".join(cell["source"]))
                box["prompt_show"], box["prompt_hide"] = f"Show {what}", f"Hide {what}"


def read_notebook(app, docname: str) -> dict | None:
    """Return the notebook that a page is made from, or None."""
    path = Path(app.env.doc2path(docname))
    return json.loads(path.read_text(encoding="utf-8")) if path.suffix == ".ipynb" else None


def cells(document: nodes.document, notebook: dict | None):
    """Return the boxes of the code cells on a page, each with its cell."""
    boxes = document.findall(nodes.container) if notebook else []
    found = [box for box in boxes if box.get("nb_element") == "cell_code"]
    return [(box, notebook["cells"][box["cell_index"]]) for box in found]


def dress(app, document: nodes.document, docname: str) -> None:
    """Add the seal and the report links to the page of a chapter."""
    notebook = read_notebook(app, docname)
    if notebook is None:
        return
    heading = next(iter(document.findall(nodes.title)))
    repository = app.config.html_theme_options["repository_url"]
    for box, cell in cells(document, notebook):
        if box.children[-1].get("nb_element") == "cell_code_output":
            box["ids"].append(f"cell-{cell['id']}")
            address = report_address(repository, heading.astext(), cell)
            link = nodes.reference("", "Report this cell", refuri=address, classes=["report-cell"])
            box.append(nodes.paragraph("", "", link, classes=["report"]))
    if seal := notebook["metadata"].get("lleval", {}).get("seal"):
        line = nodes.paragraph("", f"{seal_text(seal)} ", classes=["seal"])
        line += nodes.raw("", PDF, format="html")
        heading.parent.insert(heading.parent.index(heading) + 1, line)


def setup(app):
    app.add_post_transform(NameButtons)
    app.connect("doctree-resolved", dress)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
