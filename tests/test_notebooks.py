"""The chapters are in order."""

import json
import re
from pathlib import Path

import address
import nbformat
import pytest
import refresh

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
URL, BRANCH = address.read_address((ROOT / "_config.yml").read_text(encoding="utf-8"))

MYST_ONLY = re.compile(
    r"^\s*(?:`{3,}|:{3,}|~{3,})\{"  # a directive
    r"|\{[a-zA-Z][\w:.+-]*\}`"  # a role
    r"|^\([\w-]+\)=\s*$"  # a target
    r"|\{\{.*\}\}"  # a substitution
    r"|^%\s",  # a comment
    re.M,
)

each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


# The chapters


def test_chapters_are_numbered_once_each():
    assert CHAPTERS
    names = [re.fullmatch(r"(\d\d|[A-Z]\d)_[a-z0-9_]+", path.stem) for path in CHAPTERS]
    assert all(names)
    assert len({name[1] for name in names}) == len(names)


@each_chapter
def test_a_chapter_is_as_refresh_leaves_it(path):
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert not refresh.id_problems(raw)
    notebook = read(path)
    nbformat.validate(notebook)
    assert not refresh.output_problems(notebook)
    # Among other things: cells executed in order, no volatile metadata, a newline at the end.
    assert path.read_text(encoding="utf-8") == refresh.to_text(refresh.tidy(notebook))


@each_chapter
def test_every_figure_has_alt_text(path):
    for cell in code(read(path)):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        if kinds & {"image/png", "image/svg+xml", "image/jpeg"}:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 5, f"cell {cell.id}: say in words what the figure shows"


@each_chapter
def test_a_chapter_opens_in_colab_and_installs_the_library_there(path):
    notebook = read(path)
    assert address.badge(URL, BRANCH, f"notebooks/{path.name}") in prose(notebook)[0].source
    setups = [cell for cell in code(notebook) if "setup" in cell.metadata.get("tags", [])]
    assert [cell.source for cell in setups] == [
        address.setup_cell(URL, address.extra_of(cell)) for cell in setups[:1]
    ]
    assert setups[0].id == code(notebook)[0].id, "the set-up cell comes first"
    assert "hide-input" in setups[0].metadata.tags, "its code is for Colab, not for the page"


@each_chapter
def test_code_fits_on_the_page(path):
    for cell in code(read(path)):
        if "setup" not in cell.metadata.get("tags", []):  # its length depends on the address
            for line in cell.source.splitlines():
                assert len(line) <= 75, f"cell {cell.id}: {line}"


@each_chapter
def test_what_is_printed_fits_on_a_phone(path):
    for cell in code(read(path)):
        for output in cell.outputs:
            shown = output.get("data", {})
            tall = {"text/html", "image/png"} & set(shown)  # not shown as text
            text = output.get("text", "") + ("" if tall else shown.get("text/plain", ""))
            for line in text.splitlines():
                assert len(line) <= 60, f"cell {cell.id}: {line}"


@each_chapter
def test_a_table_has_five_columns_or_fewer(path):
    for cell in code(read(path)):
        for output in cell.outputs:
            rows = output.get("data", {}).get("text/html", "").split("</tr>")
            cells = max(len(re.findall(r"<t[hd]\b", row)) for row in rows)
            assert cells <= 6, f"cell {cell.id}: a table of {cells - 1} columns"  # one is the index


# A figure is 5.4 inches wide and a phone 5: what is smaller than 10 points is not read there.
SIZES = re.compile(r"\b(?:font|label|title)?_?size=\s*(\d+(?:\.\d+)?|[\"'][a-z-]+[\"'])")


def small_type(source):
    """Return the sizes of type below ten points that the code of a figure asks for."""
    return [s for s in SIZES.findall(source) if not s[0].isdigit() or float(s) < 10]


@each_chapter
def test_type_in_figures_can_be_read_on_a_phone(path):
    for cell in code(read(path)):
        assert not small_type(cell.source), f"cell {cell.id}"
        for width in re.findall(r"figsize=\(\s*([\d.]+)", cell.source):
            assert float(width) <= 5.4, f"cell {cell.id}: a figure of {width} inches"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("ax.text(0, 1, 'a', fontsize=9.5)", ["9.5"]),
        ("ax.legend(fontsize='small')", ["'small'"]),
        ("ax.tick_params(labelsize=8)", ["8"]),
        ("ax.text(0, 1, 'a', size=10); fig(figsize=(5.4, 3)); rng.normal(size=(3, 4))", []),
    ],
)
def test_small_type_is_found(source, found):
    assert small_type(source) == found


@each_chapter
def test_a_chapter_has_its_closing_parts_and_tests_a_claim(path):
    notebook = read(path)
    headings = re.findall(r"^#+ (.*)$", "\n".join(c.source for c in prose(notebook)), re.M)
    for part in ("summary", "exercises", "further reading"):
        assert any(part in heading.lower() for heading in headings), part
    assert any(re.search(r"^\s*assert\b", cell.source, re.M) for cell in code(notebook))


@each_chapter
def test_prose_reads_the_same_on_colab_and_github(path):
    for cell in prose(read(path)):
        assert not (found := MYST_ONLY.search(cell.source)), f"cell {cell.id}: {found[0]}"


@pytest.mark.parametrize(
    "text",
    ["```{note}\nx", ":::{tip}", "see {cite}`pang2004`", "{numref}`a`", "(here)=", "{{ x }}"],
)
def test_what_only_myst_reads_is_found(text):
    assert MYST_ONLY.search(text)


@pytest.mark.parametrize("text", ["```python\nx\n```", "$\\{a\\}$ `b`", "| 3% of | x |", "(a) = b"])
def test_plain_markdown_is_let_through(text):
    assert not MYST_ONLY.search(text)
