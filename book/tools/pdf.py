"""Print the rendered book: one PDF a chapter, and one of the whole book.

    .venv/bin/python book/tools/pdf.py

It needs what ``make book`` built and a Chromium, writes ``_build/html/pdf/NAME.pdf`` and
``pdf/book.pdf``, and puts a link to its PDF on every chapter's page. Page numbers and a contents
page are added here, and links between chapters become links inside the book, or in a single
chapter links to the published page. Solutions and hidden code stay on the web page, so that a PDF
can be handed out.
"""

import functools
import html
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import chromium
import yaml
from chapter_page import PDF
from playwright.sync_api import Page, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, FloatObject, NameObject, TextStringObject

ROOT = Path(__file__).resolve().parents[2]
PAPER = {
    "format": "A4",
    "margin": {"top": "18mm", "bottom": "20mm", "left": "18mm", "right": "18mm"},
    "print_background": True,
    "outline": True,
    "tagged": True,
}
# A picture below the screen is loaded only when it is seen.
LOAD_IMAGES = """
async () => {for (const i of document.images) {i.loading = 'eager'; await i.decode()}}
"""
_NUMBER = (
    '<div style="width:100%;text-align:center;font:9px sans-serif;color:#555">'
    '<span class="pageNumber"></span></div>'
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing: what is printed says enough."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve `folder` on this machine alone, and give its address."""
    handler = functools.partial(_Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def printed(page: Page, address: str) -> PdfReader:
    """Return the page at `address` as the browser prints it, in the light colours."""
    page.emulate_media(color_scheme="light", media="print")
    page.goto(address)
    page.evaluate("async () => {await window.MathJax?.startup?.promise}")
    page.evaluate(LOAD_IMAGES)
    return PdfReader(io.BytesIO(page.pdf(**PAPER)))


def numbers(page: Page, count: int) -> PdfReader:
    """Return `count` empty pages with their numbers at the foot."""
    breaks = '<div style="break-after:page">&nbsp;</div>' * (count - 1)
    page.set_content(f"<title>numbers</title>{breaks}<div>&nbsp;</div>")
    foot = {"display_header_footer": True, "header_template": "<div></div>"}
    plain = {**PAPER, "outline": False, "tagged": False, "print_background": False}
    return PdfReader(io.BytesIO(page.pdf(**plain, **foot, footer_template=_NUMBER)))


def contents(rows: list[tuple[str, str, int]], title: str, site: str) -> str:
    """Return the contents page: rows of (file or "" for a part, title, page number)."""
    lines = []
    for file, name, number in rows:
        text = html.escape(name)
        link = f'<a href="{site}/{file}.html">{text}</a>' if file else f"<b>{text}</b>"
        lines.append(f"<tr><td>{link}</td><td>{number if file else ''}</td></tr>")
    style = (
        "body{font:11pt sans-serif}table{width:100%;border-collapse:collapse}"
        "td{padding:2.2pt 0}td+td{text-align:right}a{color:#0b6b5b;text-decoration:none}"
    )
    head = f"<title>{title}</title><style>{style}</style><h1>{title}</h1>"
    return f"{head}<table>{''.join(lines)}</table>"


def fix_headings(reader: PdfReader, headings: list[str]) -> None:
    """Give the outline the headings of the page: the browser drops the space where one wraps."""
    whole = {"".join(heading.split()): heading for heading in headings}

    def fix(item):
        while item is not None:
            item = item.get_object()
            title = whole.get("".join(str(item.get("/Title", "")).split()))
            if title:
                item[NameObject("/Title")] = TextStringObject(title)
            fix(item.get("/First"))
            item = item.get("/Next")

    fix(reader.trailer["/Root"].get("/Outlines"))


def redirect(
    writer: PdfWriter,
    readers: list[PdfReader],
    site: str,
    starts: dict[str, int],
    published: str,
) -> None:
    """Turn links to `site` into links to pages of this PDF, or to the published book.

    `starts` gives the page, from 0, on which each file begins that is in the PDF. Links to a
    heading of the same page get its place instead of its name, which other chapters have too.
    """
    first = 0
    for reader in readers:
        places = reader.named_destinations
        for number in range(first, first + len(reader.pages)):
            for reference in writer.pages[number].get("/Annots", []):
                note = reference.get_object()
                if (name := str(note.get("/Dest"))) in places:
                    there = reader.get_destination_page_number(places[name])
                    _lead(note, writer, first + there, places[name].top)
                target = str(note.get("/A", {}).get("/URI", ""))
                if target.startswith(site):
                    file = target.removeprefix(f"{site}/").partition("#")[0]
                    start = starts.get(file.removesuffix(".html"))
                    if start is None:
                        outside = TextStringObject(target.replace(site, published))
                        note["/A"][NameObject("/URI")] = outside
                    else:
                        _lead(note, writer, start, None)
        first += len(reader.pages)


def _lead(note, writer: PdfWriter, number: int, top) -> None:
    """Let a link lead to page `number`, from 0, at the height `top` or where the page begins."""
    note.pop("/A", None)
    page = writer.pages[number]
    height = page.mediabox.top if top is None else top
    place = [page.indirect_reference, NameObject("/XYZ"), *map(FloatObject, (0, height, 0))]
    note[NameObject("/Dest")] = ArrayObject(place)


def write(readers: list[PdfReader], path: Path, page: Page, **links) -> None:
    """Write the pages of `readers` one after the other, numbered, with their outlines."""
    writer = PdfWriter()
    for reader in readers:
        writer.append(reader, import_outline=True)
    for own, number in zip(writer.pages, numbers(page, len(writer.pages)).pages, strict=True):
        own.merge_page(number)
    redirect(writer, readers, **links)
    writer.add_metadata({"/Title": readers[0].metadata.title or path.stem})
    writer.compress_identical_objects()
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        writer.write(file)


def offer(built: Path, file: str) -> None:
    """Put the link to its PDF on the page of a chapter."""
    path = built / f"{file}.html"
    text = path.read_text(encoding="utf-8")
    link = f'<a href="../pdf/{Path(file).name}.pdf">PDF</a>'
    path.write_text(text.replace(PDF, PDF.replace("></", f">{link}</")), encoding="utf-8")


def published_address(repository: str) -> str:
    """Return where GitHub publishes the pages of `repository`."""
    owner, name = repository.rstrip("/").split("/")[-2:]
    return f"https://{owner.lower()}.github.io/{name}"


def toc(root: Path) -> list[tuple[str, list[str]]]:
    """Return the parts of the book: the caption, "" for the cover, and the files."""
    listed = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    parts = [(part["caption"], [c["file"] for c in part["chapters"]]) for part in listed["parts"]]
    return [("", [listed["root"]]), *parts]


def main(root: Path = ROOT) -> int:
    built = root / "_build" / "html"
    if chromium.executable() is None:
        print(f"a PDF needs one of {', '.join(chromium.NAMES)} on the PATH", file=sys.stderr)
        return 1
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    published = published_address(config["repository"]["url"])
    parts = toc(root)
    with served(built) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.executable(), args=chromium.ARGS
        )
        page = browser.new_page()
        readers, titles = {}, {}
        for file in (file for _, files in parts for file in files):
            readers[file] = printed(page, f"{site}/{file}.html")
            headings = [
                " ".join(text.rstrip("#").split())
                for text in page.locator("article :is(h1, h2, h3)").all_inner_texts()
            ]
            fix_headings(readers[file], headings)
            titles[file] = headings[0]
            if file.startswith("notebooks/"):
                target = built / "pdf" / f"{Path(file).name}.pdf"
                links = {"site": site, "starts": {file: 0}, "published": published}
                write([readers[file]], target, page, **links)
                offer(built, file)
                print(f"{target.name}: {len(readers[file].pages)} pages", flush=True)
        _write_book(page, site, parts, readers, titles, built / "pdf" / "book.pdf", published)
        browser.close()
    return 0


def _write_book(page, site, parts, readers, titles, target, published) -> None:
    cover, *_ = readers
    # How many pages the contents take does not depend on the numbers that it holds.
    length, starts = 1, {}
    for _ in range(2):
        number = len(readers[cover].pages) + length
        starts = {cover: 0}
        for file, reader in readers.items():
            if file != cover:
                starts[file], number = number, number + len(reader.pages)
        rows = []
        for caption, files in parts:
            rows += [("", caption, 0)] if caption else []
            rows += [(file, titles[file], starts[file] + 1) for file in files]
        page.set_content(contents(rows, "Contents", site))
        listed = PdfReader(io.BytesIO(page.pdf(**PAPER)))
        length = len(listed.pages)
    first, *rest = readers.values()
    write([first, listed, *rest], target, page, site=site, starts=starts, published=published)
    print(f"{target.name}: {number} pages", flush=True)


if __name__ == "__main__":
    sys.exit(main())
