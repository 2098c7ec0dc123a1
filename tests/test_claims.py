"""The book's count of its own claims is true, and of today."""

import json
import re

import claims
import pytest


def test_the_count_is_that_of_the_chapters():
    """Whoever changes a chapter or a quiz counts anew: book/tools/claims.py, before refresh.py."""
    written = (claims.ROOT / claims.FILE).read_text(encoding="utf-8")
    assert written == claims.counted(), "run .venv/bin/python book/tools/claims.py"


@pytest.fixture
def book(tmp_path):
    for folder in ("notebooks", "lleval_lib/results", "experiments"):
        (tmp_path / folder).mkdir(parents=True)
    quizzes = '[["03"]]\nask = "?"\n[["03"]]\nask = "?"\n'
    (tmp_path / "lleval_lib/quizzes.toml").write_text(quizzes)
    (tmp_path / "experiments/old.py").write_text("lm = ll.load_lm()\n")
    return tmp_path


def write(book, *sources, alt=None):
    image = {"mystnb": {"image": {"alt": alt}}} if alt else {}
    cells = [{"cell_type": "code", "source": s, "metadata": image} for s in sources]
    cells.append({"cell_type": "markdown", "source": "assert nothing", "metadata": {}})
    (book / "notebooks/03_x.ipynb").write_text(json.dumps({"cells": cells}))
    header, row = claims.counted(book).splitlines()
    return dict(zip(header.split(","), row.split(","), strict=True))


def test_a_cell_of_two_assertions_is_one_claim(book):
    row = write(book, "assert i.low > 0\nassert n == 5", "x = 1", 'text = "assert False"')
    assert (row["cells"], row["claims"], row["asserts"], row["bounded"]) == ("3", "1", "2", "1")


def test_an_end_of_an_interval_is_a_word_of_its_own(book):
    assert write(book, "assert slow > 1 and lowest < highest")["bounded"] == "0"
    assert write(book, "assert low > 0.5")["bounded"] == "1"


def test_a_p_value_or_a_list_of_ends_is_bounded_too(book):
    assert write(book, "assert test.p_value < 0.05")["bounded"] == "1"
    assert write(book, "assert ends[1] < 0")["bounded"] == "1"
    assert write(book, "assert ends_at[1] < 0")["bounded"] == "0"


def test_a_record_is_counted_when_a_function_hands_its_name_on(book):
    source = "def scores(name):\n    return ll.load_records(name)"
    row = write(book, source, 'scores("old")', 'scores("new")')
    assert (row["records"], row["lm"]) == ("2", "1")


def test_a_record_that_would_not_be_counted_is_refused(book):
    with pytest.raises(ValueError, match="not written out"):
        write(book, 'for name in ("old", "new"):\n    ll.load_records(name)')


def test_one_language_model_and_one_encoder_of_text():
    """Chapter 30 says so: a second one makes its words wrong."""
    paths = [*claims.ROOT.glob("notebooks/*_*.ipynb"), *claims.ROOT.glob("experiments/*.py")]
    for path in paths:
        text = path.read_text(encoding="utf-8").replace('\\"', '"')
        named = set(re.findall(r"ll\.load_(?:lm|encoder)\(([^)]*)\)", text))
        assert named <= {"", '"minilm"', "name"}, path


def test_exercises_questions_and_figures(book):
    row = write(book, 'll.check("03.1", None)', 'll.check("03.1", 5)\nll.check("03.2", 6)', alt="a")
    assert (row["exercises"], row["questions"], row["figures"]) == ("2", "2", "2")


def test_the_model_of_an_experiment_counts(book):
    assert write(book, 'll.load_records("old")')["lm"] == "1"
    assert write(book, 'll.load_records("new")')["lm"] == "0"
    assert write(book, "encoder = ll.load_encoder()")["encoder"] == "1"
