"""The PDFs of the book: contents, page numbers, links, whole figures, and the link on the page."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from pdf import PDF, published_address
from pypdf import PdfReader

ROOT = Path(__file__).resolve().parents[1]
FIRST, SECOND = "notebooks/01_why_evaluate", "notebooks/13_uncertainty"
PUBLISHED = "https://me.github.io/book"


@pytest.fixture(scope="module")
def built(html, chromium_path, tmp_path_factory):
    """Return the built pages of a small book of two chapters, with its PDFs."""
    root = tmp_path_factory.mktemp("small")
    built = root / "_build" / "html"
    shutil.copytree(html, built, ignore=shutil.ignore_patterns("pdf"))
    for file in (FIRST, SECOND):
        page = built / f"{file}.html"
        plain = re.sub(r'<span class="pdf">.*?</span>', PDF, page.read_text("utf-8"))
        page.write_text(plain, encoding="utf-8")
    shutil.copytree(ROOT / "book" / "tools", root / "book" / "tools")
    part = {"caption": "1 · Part", "chapters": [{"file": FIRST}, {"file": SECOND}]}
    toc = yaml.safe_dump({"root": "book/index", "parts": [part]}, allow_unicode=True)
    (root / "_toc.yml").write_text(toc, encoding="utf-8")
    (root / "_config.yml").write_text("repository: {url: https://github.com/Me/book}")
    for _ in range(2):  # again changes nothing
        subprocess.run([sys.executable, root / "book" / "tools" / "pdf.py"], check=True)
    return built


def read(built, file):
    return PdfReader(built / "pdf" / f"{Path(file).name}.pdf")


def text_of(page):
    return " ".join(page.extract_text().split())


def notes(reader):
    return [
        (number, reference.get_object())
        for number, page in enumerate(reader.pages)
        for reference in page.get("/Annots", [])
    ]


def leads(reader, number):
    """Return to which pages the links of page `number` lead, from 0."""
    pages = [page.get_object() for page in reader.pages]
    places = [note["/Dest"][0] for k, note in notes(reader) if k == number and "/Dest" in note]
    return {pages.index(place.get_object()) for place in places}


@pytest.mark.parametrize("file", [FIRST, SECOND])
def test_a_chapter_has_numbers_an_outline_and_whole_figures(built, file):
    reader = read(built, file)
    page = BeautifulSoup((built / f"{file}.html").read_text("utf-8"), "html.parser")
    for number, sheet in enumerate(reader.pages, start=1):
        assert text_of(sheet).endswith(f" {number}")
    flat = str(reader.outline)
    for heading in page.select("article h2"):
        assert heading.get_text().rstrip("#").strip() in flat
    figures = page.select("article .cell_output img")
    drawn = sum(len(sheet.images) for sheet in reader.pages)
    assert drawn == len(figures) > 2  # one that was cut would stand on two pages
    (link,) = page.select("article .seal .pdf a")
    assert (built / "notebooks" / link["href"]).resolve().is_file()


def test_a_handout_holds_no_solution(built):
    whole = " ".join(text_of(page) for page in read(built, FIRST).pages)
    assert "Exercises" in whole
    assert "@title Solution" not in whole
    assert "Report this cell" not in whole


def test_links_lead_to_pages_of_the_book_or_to_the_published_one(built):
    article = BeautifulSoup((built / f"{SECOND}.html").read_text("utf-8"), "html.parser").article
    others = {
        Path(link["href"].partition("#")[0]).stem
        for link in article.select("p a.reference.internal, li a.reference.internal")
        if ".html" in link["href"] and not link.find_parent("details")
    }
    assert others
    targets = {str(note["/A"]["/URI"]) for _, note in notes(read(built, SECOND)) if "/A" in note}
    for name in others:
        assert any(target.startswith(f"{PUBLISHED}/notebooks/{name}.html") for target in targets)
    book = read(built, "book")
    for _, note in notes(book):
        assert "127.0.0.1" not in str(note)
        if "/Dest" in note:  # a place and not a name, which two chapters share
            assert note["/Dest"][0].get_object() in [page.get_object() for page in book.pages]


def entries(outline):
    for entry in outline:
        yield from entries(entry) if isinstance(entry, list) else [entry]


def test_headings_of_one_name_in_two_chapters_are_two_places(built):
    book = read(built, "book")
    places = [
        book.get_destination_page_number(entry)
        for entry in entries(book.outline)
        if entry.title == "Summary"
    ]
    assert len(places) == len(set(places)) == 2
    for place in places:
        assert "Summary" in text_of(book.pages[place])


def test_the_contents_name_the_right_pages(built):
    book = read(built, "book")
    lists = [k for k, page in enumerate(book.pages) if text_of(page).startswith("Contents")]
    (listed,) = [k for k in lists if "1 · Part" in text_of(book.pages[k])]
    for file in (FIRST, SECOND):
        page = BeautifulSoup((built / f"{file}.html").read_text("utf-8"), "html.parser")
        title = page.select_one("article h1").get_text().rstrip("#").strip()
        number = int(re.search(rf"{re.escape(title)} (\d+)", text_of(book.pages[listed]))[1])
        assert text_of(book.pages[number - 1]).startswith(title)
        places = [
            book.get_destination_page_number(entry)
            for entry in book.outline
            if not isinstance(entry, list) and entry.title == title
        ]
        assert places == [number - 1]
    # A link of the contents, and those inside the last chapter, lead where they say.
    assert number - 1 in leads(book, listed)
    assert min(leads(book, number - 1)) >= number - 1


def test_published_address():
    assert published_address("https://github.com/Me/book/") == PUBLISHED
