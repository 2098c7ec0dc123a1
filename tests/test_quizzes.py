"""Each chapter ends with a quiz that is whole, fair, shown as it is, and works without a mouse."""

import json
import re
import tomllib
from collections import Counter
from pathlib import Path

import nbformat
import pytest
import quiz as tool
import refresh
from nbclient import NotebookClient
from pdf import served
from test_book import VIEWS, luminance

from lleval_lib import quiz
from lleval_lib.quizzes import read_quiz

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "lleval_lib"
STORE = LIBRARY / "quizzes.toml"
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUIZZES = {n: quiz(n) for n in tomllib.loads(STORE.read_text("utf-8"))}
QUESTIONS = [question for one in QUIZZES.values() for question in one.questions]

each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
each_quiz = pytest.mark.parametrize("chapter", QUIZZES)


def quiz_cells(notebook):
    return [cell for cell in notebook.cells if "quiz" in cell.metadata.get("tags", [])]


# What stands in the chapters ----------------------------------------------------------------------


@each_chapter
def test_a_chapter_has_its_quiz_after_the_exercises_and_before_the_further_reading(path):
    notebook = nbformat.read(path, as_version=4)
    (cell,) = quiz_cells(notebook)
    assert cell.source == f'll.quiz("{refresh.number(path)}")'
    texts = [c.source for c in notebook.cells]
    place = notebook.cells.index(cell)
    assert texts[place - 1] == tool.HEADING
    assert texts[place + 1].startswith("## Further reading")
    assert any("## Exercises" in text for text in texts[:place])


@each_chapter
def test_a_chapter_shows_the_quiz_as_it_is_now(path):
    assert refresh.renewed_quiz(path, LIBRARY) is None


def test_every_quiz_has_a_chapter():
    assert QUIZZES.keys() <= {refresh.number(path) for path in CHAPTERS}


# Whole and fair -----------------------------------------------------------------------------------


@each_quiz
def test_a_quiz_is_whole(chapter):
    questions = QUIZZES[chapter].questions
    assert tool.FEWEST <= len(questions) <= tool.MOST
    assert len({question.ask for question in questions}) == len(questions)
    for question in questions:
        assert 3 <= len(question.options) <= 5
        assert len(set(question.options)) == len(question.options) == len(question.why)
        assert question.right in range(len(question.options))
        for words, texts in ((60, [question.ask]), (25, question.options), (50, question.why)):
            for text in texts:
                assert 1 <= len(text.split()) <= words, text
                assert not re.match("[a-z]{2}", text), text
        # Nothing here is Markdown or TeX.
        assert not re.search(r"\$|\*\S|\\", " ".join([question.ask, *question.options]))
        assert not re.search(r"\$|\*\S|\\", " ".join(question.why))


@each_quiz
def test_no_letter_is_right_in_more_than_half_of_a_quiz(chapter):
    rights = Counter(question.right for question in QUIZZES[chapter].questions)
    assert max(rights.values()) <= (rights.total() + 1) // 2


def test_right_answers_are_spread_and_not_told_by_their_length():
    of_four = [question for question in QUESTIONS if len(question.options) == 4]
    rights = Counter(question.right for question in of_four)
    assert min(rights[k] for k in range(4)) > len(of_four) / 10
    # One in four is expected where length says nothing; both ends, by the binomial.
    for end in (max, min):
        told = [q.options[q.right] == end(q.options, key=len) for q in of_four]
        assert sum(told) / len(of_four) < 0.25 + 1.96 * (0.25 * 0.75 / len(of_four)) ** 0.5


def test_no_answer_can_be_read_in_the_source():
    texts = [STORE.read_text("utf-8"), *(path.read_text("utf-8") for path in CHAPTERS)]
    for question in QUESTIONS:
        for why in question.why:
            assert not [text for text in texts if why in text or json.dumps(why)[1:-1] in text]


@each_quiz
def test_what_is_shown_names_no_host_and_keeps_nothing(chapter):
    shown = QUIZZES[chapter]._repr_html_()
    assert not re.search(
        r"//\w|\bsrc=|@import|url\(|fetch|cookie|Storage|XMLHttp|sendBeacon", shown
    )


def test_a_chapter_without_a_quiz_is_named_with_those_that_have_one():
    with pytest.raises(LookupError, match=r"chapter '99' has no quiz; there are 01, 02"):
        quiz("99")


def test_what_a_quiz_is_made_of_is_in_the_wheel():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packed = project["tool"]["setuptools"]["package-data"]["lleval_lib"]
    for name in ("quizzes.toml", "quiz.html"):
        assert any((LIBRARY / name).match(pattern) for pattern in packed), name


@pytest.mark.slow
def test_the_kernel_shows_what_refresh_writes():
    cells = [nbformat.v4.new_code_cell('import lleval_lib as ll\nll.quiz("09")')]
    done = NotebookClient(nbformat.v4.new_notebook(cells=cells), kernel_name="python3").execute()
    (output,) = done.cells[0].outputs
    (path,) = (path for path in CHAPTERS if path.stem.startswith("09"))
    (cell,) = quiz_cells(nbformat.read(path, as_version=4))
    assert output.data == cell.outputs[0].data
    assert output.output_type == cell.outputs[0].output_type


# The tool -----------------------------------------------------------------------------------------


PLAIN = """\
[[question]]
ask = "Is < `a` one?"
""" + "".join(
    f'[[question.option]]\ntext = "{text}"\n{right}why = "As {text}\\nis."\n'
    for text, right in (("x & y", "right = true\n"), ("`b`", ""), ("c", ""), ("d", ""))
)


@pytest.fixture
def book(tmp_path):
    (tmp_path / "lleval_lib").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "lleval_lib" / "quizzes.toml").write_bytes(STORE.read_bytes())
    for path in CHAPTERS[:2]:
        notebook = nbformat.read(path, as_version=4)
        (tmp_path / "notebooks" / path.name).write_text(refresh.to_text(notebook))
    return tmp_path


def test_what_is_opened_and_sealed_again_is_the_same(book):
    before = {path: path.read_bytes() for path in book.rglob("*.*")}
    assert tool.main(["open", "01"], book) == 0
    assert QUIZZES["01"].questions[0].why[0] in (book / "quiz-01.toml").read_text("utf-8")
    assert tool.main(["seal", "01"], book) == 0
    assert {path: path.read_bytes() for path in book.rglob("*.*")} == before


def test_a_first_quiz_gets_its_cells_and_leaves_the_chapter_as_fresh_as_it_was(book):
    (path, _) = sorted((book / "notebooks").iterdir())
    notebook = nbformat.read(path, as_version=4)
    place = notebook.cells.index(quiz_cells(notebook)[0])
    with_it = path.read_text("utf-8")
    del notebook.cells[place - 1 : place + 1]
    path.write_text(refresh.to_text(refresh.tidy(notebook)), encoding="utf-8")
    stale = refresh.changes(path, LIBRARY)
    assert tool.main(["open", "01"], book) == tool.main(["seal", "01"], book) == 0
    assert path.read_text("utf-8") == with_it
    assert refresh.changes(path, LIBRARY) == stale


def test_an_edited_quiz_renews_its_own_chapter_only(book, capsys):
    fresh, other = sorted((book / "notebooks").iterdir())
    library, edited = book / "lleval_lib", QUIZZES["01"].questions[0].ask
    store = library / "quizzes.toml"
    store.write_text(store.read_text("utf-8").replace(edited, "Another?"), encoding="utf-8")
    assert refresh.renewed_quiz(other, library) is None
    renewed = refresh.renewed_quiz(fresh, library)
    assert "Another?" in renewed
    before = nbformat.read(fresh, as_version=4)
    after = nbformat.reads(renewed, as_version=4)
    changed = [a.id for a, b in zip(after.cells, before.cells, strict=True) if a != b]
    assert changed == [quiz_cells(before)[0].id]


def test_what_is_sealed_reads_as_it_was_written_and_can_be_shown():
    entries = tool.sealed(PLAIN * 3)
    made = read_quiz("09", tool.kept({"09": entries}))
    assert repr(made) == "Quiz of chapter 9: 3 questions"
    for question in made.questions:
        assert question.options[question.right] == "x & y"
        assert question.why[question.right] == "As x & y is."
    shown = made._repr_html_()
    assert shown.count("<p>Is &lt; <code>a</code> one?</p>") == 3
    assert shown.count("<li>x &amp; y</li>") == shown.count("<li><code>b</code></li>") == 3
    assert tool.sealed(tool.plain(entries)) == entries


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLAIN * 2, "a quiz has 3 to 6 questions, not 2"),
        (PLAIN * 7, "a quiz has 3 to 6 questions, not 7"),
        (PLAIN * 2 + PLAIN.replace("right = true\n", ""), "question 3: right = true must stand"),
        (PLAIN * 2 + PLAIN.replace('text = "c"', 'text = "c"\nright = true'), "at exactly one"),
        (PLAIN * 2 + PLAIN.replace('why = "As c\\nis."', ""), "needs a text and a why"),
        (PLAIN * 2 + PLAIN.replace("ask =", "asks ="), "question 3 needs an ask"),
        ("[[question", "this is no TOML"),
    ],
)
def test_a_quiz_that_is_not_whole_is_refused_in_a_sentence(book, capsys, text, said):
    before = {path: path.read_bytes() for path in book.rglob("*.ipynb")}
    (book / "quiz-01.toml").write_text(text, encoding="utf-8")
    assert tool.main(["seal", "01"], book) == 1
    assert said in capsys.readouterr().err
    assert (book / "quiz-01.toml").read_text("utf-8") == text
    assert {path: path.read_bytes() for path in book.rglob("*.ipynb")} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["open", "77"], "there is no notebooks/77_"), (["seal", "01"], "there is no quiz-01.toml")],
)
def test_what_cannot_be_done_is_said(book, capsys, arguments, said):
    assert tool.main(arguments, book) == 1
    assert said in capsys.readouterr().err


def test_an_open_quiz_is_not_overwritten(book, capsys):
    assert tool.main(["open", "01"], book) == 0
    assert tool.main(["open", "01"], book) == 1
    assert "quiz-01.toml is open already" in capsys.readouterr().err


# In a browser -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(html):
    with served(html) as address:
        yield address


@pytest.fixture
def page(site, browser):
    page = browser.new_page()
    page.goto(f"{site}/notebooks/{CHAPTERS[0].stem}.html")
    page.wait_for_selector(".ll-quiz fieldset")
    yield page
    page.close()


FIRST = QUIZZES["01"].questions[0]
WRONG = (FIRST.right + 1) % len(FIRST.options)


def said(page):
    return page.locator(".ll-quiz fieldset [role=status]").first.inner_text()


@pytest.mark.parametrize("pick", [WRONG, FIRST.right], ids=["wrong", "right"])
def test_a_click_says_right_or_wrong_and_why(page, pick):
    assert said(page) == ""
    button = page.locator(".ll-quiz fieldset").first.locator("button").nth(pick)
    button.click()
    word = "right" if pick == FIRST.right else "wrong"
    assert f"{'ABCDE'[pick]} is {word}." in said(page)
    assert FIRST.why[pick].replace("`", "") in said(page)
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator(".ll-quiz fieldset").first.locator("[data-is]").count() == 2  # and the text


def test_the_keyboard_is_enough(page):
    page.locator(".ll-quiz fieldset").first.locator("button").first.focus()
    for _ in range(WRONG):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert FIRST.why[WRONG].replace("`", "") in said(page)
    for _ in range(abs(FIRST.right - WRONG)):
        page.keyboard.press("Tab" if FIRST.right > WRONG else "Shift+Tab")
    page.keyboard.press("Space")
    assert FIRST.why[FIRST.right].replace("`", "") in said(page)


def test_a_screen_reader_finds_groups_with_the_question_as_their_name(page):
    for question in QUIZZES["01"].questions:
        group = page.get_by_role("group", name=question.ask.replace("`", ""))
        assert group.count() == 1
        assert group.get_by_role("button").count() == len(question.options)
        assert group.get_by_role("status").count() == 1


def test_first_tries_are_counted_when_all_are_answered(page):
    questions = QUIZZES["01"].questions
    for k, question in enumerate(questions):
        buttons = page.locator(".ll-quiz fieldset").nth(k).locator("button")
        if k == 0:
            buttons.nth(WRONG).click()
        buttons.nth(question.right).click()
    score = page.locator(".ll-quiz > [role=status]").inner_text()
    assert score == f"Right at the first try: {len(questions) - 1} of {len(questions)}."


# The colour of the text, and every background that lies behind it, from the outermost.
COLOURS = """
e => {
    const papers = [];
    for (let p = e; p; p = p.parentElement) papers.unshift(getComputedStyle(p).backgroundColor);
    return [getComputedStyle(e).color, papers];
}
"""


def channels(colour):
    numbers = [float(x) for x in re.findall(r"[\d.]+", colour)]
    return numbers[:3], numbers[3] if len(numbers) > 3 else 1.0


def behind(papers):
    """Return the colour that the `papers` give together, the later ones on top."""
    mixed = [255.0, 255.0, 255.0]
    for colour, opacity in map(channels, papers):
        mixed = [opacity * c + (1 - opacity) * m for c, m in zip(colour, mixed, strict=True)]
    return f"rgb({', '.join(str(round(m)) for m in mixed)})"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_quiz_fits_and_can_be_read(page, view, scheme):
    width, height = VIEWS[view]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function("s => document.documentElement.dataset.theme === s", arg=scheme)
    for k, question in enumerate(QUIZZES["01"].questions):
        buttons = page.locator(".ll-quiz fieldset").nth(k).locator("button")
        buttons.nth((question.right + k % 2) % len(question.options)).click()
    page.mouse.move(0, 0)
    texts = page.locator(".ll-quiz :is(legend, button, [role=status])")
    assert texts.count() > 20
    for text in texts.all():
        box = text.bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        colour, papers = text.evaluate(COLOURS)
        dark, light = sorted([luminance(colour), luminance(behind(papers))])
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text.inner_text(), colour, papers)


def test_without_scripts_there_is_a_list_to_read(browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(QUIZZES["01"]._repr_html_())
    assert "here no script runs" in page.locator(".ll-quiz").inner_text()
    assert page.locator("ol ol li").count() == sum(len(q.options) for q in QUIZZES["01"].questions)
    context.close()
