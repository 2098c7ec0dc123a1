"""The slides: what a tagged cell becomes, and that each slide of each chapter fits the screen."""

import re
from pathlib import Path

import nbformat
import pytest
import slides

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
chapter = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def notebook(*cells):
    made = []
    for kind, source, tags in cells:
        code = source.startswith(">")
        cell = (nbformat.v4.new_code_cell if code else nbformat.v4.new_markdown_cell)(source)
        cell.metadata["tags"] = tags
        if kind:
            cell.metadata["slideshow"] = {"slide_type": kind}
        made.append(cell)
    return nbformat.v4.new_notebook(cells=made)


def shown(cells):
    return [(c.metadata["slideshow"]["slide_type"], c.source) for c in cells]


def test_what_a_slide_is_made_of():
    deck = slides.deck(
        notebook(
            ("slide", "# 1. Title\n\n[Open in Colab](x)\n\nOne.\n\n- a\n- b\n\nTwo.", []),
            ("", "Three, see [chapter 9](09_x.ipynb).", []),
            ("", "> not_shown()", []),
            ("slide", "End of it.\n\n## Next\n\nFirst.\n\n$$x$$\n\nSecond.", []),
            ("slide", "> figure()", ["hide-input"]),
            ("fragment", "Its meaning.\n\nMore of it.", []),
        )
    )
    assert deck.metadata.title == "1. Title"
    assert shown(deck.cells) == [
        ("slide", "# 1. Title\n\nOne.\n\n- a\n- b"),
        ("notes", "Two."),
        ("notes", "Three, see [chapter 9](../notebooks/09_x.html)."),
        ("-", "End of it."),
        ("slide", "## Next\n\nFirst.\n\n$$x$$"),
        ("notes", "Second."),
        ("slide", '<p class="section">Next</p>'),
        ("-", "> figure()"),
        ("-", "Its meaning."),
        ("notes", "More of it."),
    ]


@pytest.mark.parametrize(
    ("source", "tags", "hidden"),
    [
        ("> 1", [], False),
        ("> 1", ["hide-input"], True),
        ("> 1", ["hide-cell"], True),
        (">" + "\n1" * slides.CODE_LINES, [], True),
    ],
)
def test_which_code_is_shown(source, tags, hidden):
    (_, code) = slides.deck(notebook(("slide", source, tags))).cells
    assert (code.metadata["tags"] == ["hide-on-slide"]) == hidden


@chapter
def test_each_chapter_has_slides_and_no_solution_is_in_them(path):
    deck = slides.deck(nbformat.read(path, as_version=4))
    kinds = [c.metadata["slideshow"]["slide_type"] for c in deck.cells]
    assert 10 <= kinds.count("slide") <= 60
    assert "notes" in kinds
    page = slides.page(nbformat.read(path, as_version=4))
    assert "Solution" not in page
    assert "Open in Colab" not in page
    assert not re.search(r"(?:src|href)=\"https?://[^\"]*\.(?:js|css)\"", page)


@chapter
@pytest.mark.slow
def test_every_slide_fits_without_a_network(browser, html, tmp_path, path):
    folder = tmp_path / "html"
    (folder / "slides").mkdir(parents=True)
    (folder / "_static").symlink_to(html / "_static")
    page = slides.page(nbformat.read(path, as_version=4))
    (folder / "slides" / "x.html").write_text(page, encoding="utf-8")
    tab = browser.new_page(viewport={"width": 1100, "height": 700})
    lost = []
    tab.on("requestfailed", lambda request: lost.append(request.url))
    tab.on("pageerror", lambda error: lost.append(str(error)))
    tab.goto(f"file://{folder}/slides/x.html")
    tab.evaluate("async () => {await MathJax.startup.promise}")
    for number in range(tab.evaluate("Reveal.getTotalSlides()")):
        tab.evaluate("fit()")
        slide = "Reveal.getCurrentSlide()"
        height, width = tab.evaluate(f"[{slide}.scrollHeight, {slide}.scrollWidth]")
        size = float(tab.evaluate(f"{slide}.style.getPropertyValue('--fit')") or 1)
        assert height <= 700, f"slide {number + 1} is {height} high"
        assert width <= 1100, f"slide {number + 1} is {width} wide"
        assert size > 0.55, f"slide {number + 1} holds too much: its type is {size:.2f} of the rest"
        tab.evaluate("Reveal.next()")
    tab.close()
    assert lost == []


def test_the_list_of_slides(tmp_path, capsys):
    (tmp_path / "notebooks").mkdir()
    text = nbformat.writes(notebook(("slide", "# 1. A & B\n\nOne.", [])))
    (tmp_path / "notebooks" / "01_x.ipynb").write_text(text, encoding="utf-8")
    slides.main([], tmp_path)
    index = (tmp_path / "_build" / "html" / "slides" / "index.html").read_text("utf-8")
    assert '<a href="01_x.html">1. A &amp; B</a>' in index
    assert "index.html" in capsys.readouterr().out
