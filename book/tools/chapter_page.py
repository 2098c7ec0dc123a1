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


class DressChapter(SphinxPostTransform):
    """Add the seal and the links to a page that comes from a notebook."""

    default_priority = 100  # before MyST-NB makes buttons of hidden cells
    formats = ("html",)

    def run(self, **_):
        path = Path(self.env.doc2path(self.env.docname))
        if path.suffix != ".ipynb":
            return
        notebook = json.loads(path.read_text(encoding="utf-8"))
        heading = next(iter(self.document.findall(nodes.title)))
        for box in list(self.document.findall(nodes.container)):
            if box.get("nb_element") == "cell_code":
                self._dress(box, notebook["cells"][box["cell_index"]], heading.astext())
        if seal := notebook["metadata"].get("lleval", {}).get("seal"):
            line = nodes.paragraph(classes=["seal"])
            line += nodes.Text(seal_text(seal) + " ")
            line += nodes.raw("", PDF, format="html")
            heading.parent.insert(heading.parent.index(heading) + 1, line)

    def _dress(self, box: nodes.container, cell: dict, title: str) -> None:
        source = "".join(cell["source"])
        if mode := box.get("hide_mode"):
            what = button(mode, source)
            box["prompt_show"], box["prompt_hide"] = f"Show {what}", f"Hide {what}"
        if mode == "all" or not any(
            part.get("nb_element") == "cell_code_output" for part in box.children
        ):
            return
        box["ids"].append(f"cell-{cell['id']}")
        address = report_address(self.config.html_theme_options["repository_url"], title, cell)
        link = nodes.reference("", "Report this cell", refuri=address, classes=["report-cell"])
        # Not the last child, by which MyST-NB knows whether there is an output to hide.
        box.insert(1, nodes.paragraph("", "", link, classes=["report"]))


def setup(app):
    app.add_post_transform(DressChapter)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
