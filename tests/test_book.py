"""The rendered book: its structure, and every page as a browser shows it with no network.

The structure tests read the files; the browser tests open what ``make book`` built.
"""

import json
import re
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import yaml
from bs4 import BeautifulSoup
from chapter_page import seal_text
from pdf import LOAD_IMAGES, served, toc

from lleval_lib import load_alpaca_eval

ROOT = Path(__file__).parents[1]
HTML = ROOT / "_build" / "html"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
VIEWS = {"desktop": (1280, 900), "phone": (390, 844)}
SCHEMES = ["light", "dark"]


PAGES = [file for _, files in toc(ROOT) for file in files]


def soup(html: Path, page: str) -> BeautifulSoup:
    return BeautifulSoup((html / f"{page}.html").read_text("utf-8"), "html.parser")


# ---------------------------------------------------------------- structure


def test_toc_names_each_file_once_and_every_file_exists():
    assert len(PAGES) == len(set(PAGES))
    for page in PAGES:
        assert any((ROOT / f"{page}{suffix}").is_file() for suffix in (".md", ".ipynb")), page


def test_every_chapter_is_in_the_toc():
    assert {f"notebooks/{path.stem}" for path in NOTEBOOKS} <= set(PAGES)


def test_the_cover_links_all_chapters():
    cover = (ROOT / "book/index.md").read_text("utf-8")
    course = cover.split("## The map of the course")[1].split("\n## ")[0]
    chapters = re.findall(r"^- \[(\d\d|[A-Z]\d) [^\]\[]+\]\((.+?)\)", course, re.M)
    numbers = [number for number, _ in chapters if number.isdigit()]
    assert numbers == [f"{k:02}" for k in range(1, 31)]
    links = {link for _, link in chapters}
    assert links == {f"../notebooks/{path.name}" for path in NOTEBOOKS}
    assert set(re.findall(r"\.\./notebooks/\S+?\.ipynb", cover)) <= links


def test_the_glossary_links_exactly_the_written_chapters():
    glossary = (ROOT / "book/glossary.md").read_text("utf-8")
    links = re.findall(r"^\[chapter (\w+)\]: \.\./notebooks/(.+)$", glossary, re.M)
    assert {name for _, name in links} == {path.name for path in NOTEBOOKS}
    assert all(name.startswith(f"{number:0>2}_") for number, name in links)


def test_the_cover_quotes_the_leaderboard_as_it_is():
    cover = (ROOT / "book/index.md").read_text("utf-8")
    top = load_alpaca_eval().sort_values("lc_win_rate").iloc[-1]
    assert top["system"] == "NullModel"
    assert f"**{top['lc_win_rate']:.1f}**, printed with a standard error of" in cover
    assert f"**{top['lc_standard_error']:.2f}**" in cover


def test_the_bibliography_shows_every_entry(html):
    entries = re.findall(r"^@\w+\{", (ROOT / "book/references.bib").read_text("utf-8"), re.M)
    shown = soup(html, "book/references").select("article div.docutils > ul > li, article ul li")
    assert len(entries) == len(shown) > 0


@pytest.mark.parametrize("page", [*PAGES, "search", "genindex"])
def test_no_page_names_a_script_style_or_image_of_another_host(html, page):
    document = soup(html, page)
    named = [
        element.get("src") or element.get("href")
        for element in document.select("script[src], img[src], iframe, source, video, link[href]")
    ]
    assert named
    assert not [address for address in named if re.match(r"(https?:)?//", address or "")]


def test_no_style_asks_another_host(html):
    sheets = list((html / "_static").rglob("*.css"))
    assert sheets
    outside = re.compile(r"""(@import\s+|url\()\s*["']?(https?:)?//""")
    assert not [sheet for sheet in sheets if outside.search(sheet.read_text("utf-8"))]


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_says_in_words_what_it_shows(html, page):
    for image in soup(html, page).select("article img"):
        alt = image.get("alt", "")
        # Sphinx's default is the file's path, MyST-NB's and Jupyter's are a stock phrase.
        assert len(alt.split()) >= 4, f"alt text {alt!r} of {image.get('src')}"
        assert not alt.startswith(("No description", "../_images")), alt


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_carries_its_seal_and_a_form_for_each_output(html, path):
    notebook = json.loads(path.read_text("utf-8"))
    page = soup(html, f"notebooks/{path.stem}")
    (seal,) = page.select("article .seal")
    assert seal.find_previous_sibling().name == "h1"
    text = " ".join(seal.get_text().split()).removesuffix(" PDF")  # where `make pdf` was run
    assert text == seal_text(notebook["metadata"]["lleval"]["seal"])
    shown = [
        cell
        for cell in notebook["cells"]
        if cell.get("outputs") and "hide-cell" not in cell["metadata"].get("tags", [])
    ]
    links = page.select("article .report-cell")
    assert len(links) == len(shown) > 5
    title = page.h1.get_text().rstrip("#")
    for link, cell in zip(links, shown, strict=True):
        address, query = link["href"].split("?")
        assert address.endswith("/issues/new")
        filled = {name: values[0] for name, values in parse_qs(query).items()}
        assert filled["chapter"] == title
        assert filled["cell"].endswith(f"# cell {cell['id']}")
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/number_differs.yml").read_text("utf-8"))
    assert filled["template"] == "number_differs.yml"
    assert {"chapter", "cell"} <= {part["id"] for part in form["body"]}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_buttons_say_what_they_hide(html, path):
    said = {
        span.get_text()
        for span in soup(html, f"notebooks/{path.stem}").select("summary .collapsed")
    }
    assert "Show the solution" in said
    assert said <= {"Show the solution", "Show the code", "Show the check"}


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def site(html):
    with served(html) as address:
        yield address


@pytest.fixture(scope="module")
def open_page(browser):
    """Return a function that opens an address and gives the settled page and its faults.

    One page serves all tests, because a new one compiles MathJax again each time.
    """
    page, faults = browser.new_page(), []

    def check_request(request):
        if not request.url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:")):
            faults.append(f"asks {request.url}")

    def check_response(response):
        if response.status >= 400:
            faults.append(f"{response.status} {response.url}")

    def check_console(message):
        if message.type == "error":
            faults.append(f"console: {message.text}")

    page.on("request", check_request)
    page.on("response", check_response)
    page.on("requestfailed", lambda request: faults.append(f"failed {request.url}"))
    page.on("console", check_console)
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))

    def open_page(address, view="desktop", scheme="light"):
        width, height = VIEWS[view]
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.goto("about:blank")
        faults.clear()
        page.goto(address)
        page.evaluate("async () => {await window.MathJax?.startup?.promise}")
        page.evaluate("async () => {await document.fonts.ready}")
        return page, faults

    return open_page


UNRENDERED_MATHS = """
[...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container'))
    .concat([...document.querySelectorAll('mjx-merror, [data-mjx-error]')])
    .map(e => e.textContent)
"""

# A box that a scrolling parent holds is no overflow; one that the screen cuts off is.
CUT_OFF = """
[...document.querySelectorAll('.bd-article *:not(mjx-assistive-mml, mjx-assistive-mml *)')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .filter(e => {
        for (let p = e.parentElement; !p.matches('.bd-article'); p = p.parentElement)
            if (/auto|scroll/.test(getComputedStyle(p).overflowX)) return false;
        return true;
    })
    .map(e => e.outerHTML.slice(0, 120))
"""

# What a reader must scroll sideways to see; code, which wraps nowhere, may be as long as it is.
TOO_WIDE = """
[...document.querySelectorAll(['.cell_output', '.cell_output pre', 'table.table',
                               'mjx-container[display=true]'].map(s => `.bd-article ${s}`))]
    .filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1)
    .map(e => `${e.scrollWidth} > ${e.clientWidth} pixels: ${e.textContent.trim().slice(0, 80)}`)
"""

# Formulas apart, whose indices are small; a figure's type, which its code holds to ten points or
# more, is as large as the browser shows a figure of 200 dots an inch.
SMALL_TYPE = """
() => {
    const found = [], article = document.querySelector('.bd-article');
    const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode.textContent.trim(), box = texts.currentNode.parentElement;
        if (!text || !box.getClientRects().length || box.closest('mjx-container, script, style'))
            continue;
        const size = parseFloat(getComputedStyle(box).fontSize);
        if (size < 9) found.push(`${size} pixels: ${text.slice(0, 60)}`);
    }
    for (const image of article.querySelectorAll('.cell_output img')) {
        const size = 10 / 72 * 200 * image.getBoundingClientRect().width / image.naturalWidth;
        if (size && size < 9) found.push(`${size} pixels: figure ${image.alt.slice(0, 60)}`);
    }
    return found;
}
"""

# What lies behind the black axes of a figure, in the dark.
PAPERS = """
[...document.querySelectorAll('.cell_output img')]
    .map(e => `${getComputedStyle(e).backgroundColor} ${getComputedStyle(e).filter}`)
"""


@pytest.mark.parametrize("page_name", PAGES)
@pytest.mark.parametrize("view", VIEWS)
def test_page_reads_well_with_no_network(site, open_page, view, page_name):
    page, faults = open_page(f"{site}/{page_name}.html", view)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function("s => document.documentElement.dataset.theme === s", arg=scheme)
        assert page.evaluate(UNRENDERED_MATHS) == []
        root = page.evaluate_handle("document.documentElement")
        assert root.evaluate("e => e.scrollWidth") <= root.evaluate("e => e.clientWidth") + 1
        assert page.evaluate(CUT_OFF) == []
    page.evaluate(LOAD_IMAGES)
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate(SMALL_TYPE) == []
    papers = page.evaluate(PAPERS)
    assert set(papers) <= {"rgb(255, 255, 255) none"}
    assert faults == []


def test_maths_renders_from_the_file_system(html, open_page):
    name = next(page for page in PAGES if soup(html, page).select("article .math"))
    page, faults = open_page((html / f"{name}.html").as_uri())
    assert page.evaluate(UNRENDERED_MATHS) == []
    assert page.evaluate("[...document.fonts].filter(f => /MJX/.test(f.family)).length") > 0
    assert page.evaluate("[...document.fonts].filter(f => f.status === 'error').length") == 0
    assert faults == []


@pytest.mark.parametrize("view", VIEWS)
def test_search_finds_interval(site, open_page, view):
    page, faults = open_page(f"{site}/search.html?q=interval", view)
    page.wait_for_selector("#search-results ul.search li a", timeout=10_000)
    assert faults == []


CONTRASTS = """
selector => [...document.querySelectorAll(selector)].slice(0, 1).map(e => {
    let paper = e;
    const clear = p => getComputedStyle(p).backgroundColor === 'rgba(0, 0, 0, 0)';
    while (paper.parentElement && clear(paper)) paper = paper.parentElement;
    return [getComputedStyle(e).color, getComputedStyle(paper).backgroundColor];
})
"""


def luminance(colour: str) -> float:
    channels = [int(c) / 255 for c in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_stands_out_from_its_background(site, open_page, scheme):
    page, _ = open_page(f"{site}/book/index.html", scheme=scheme)
    for selector in ["p", "p a", "a.begin", ".question"]:
        (colours,) = page.evaluate(CONTRASTS, f".bd-article {selector}")
        dark, light = sorted(map(luminance, colours))
        # WCAG 2 asks 4.5 of ordinary text.
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (selector, colours)
