"""Whatever is wrong with a log, it is read right or refused in a sentence that names the file.

Real logs are changed at one place: a value dropped, retyped or shortened, fields turned around, or
bytes overwritten, removed and put in. Counts and means in the log then tell whether scores are
still the right ones.
"""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lleval_lib as ll

pytestmark = pytest.mark.slow

LOGS = Path(__file__).parent / "logs"
CHOICES = next((LOGS / "lm_eval_kinds").glob("choices-0.4.13/*"))
CHAT = next((LOGS / "lm_eval_kinds").glob("exact-0.4.13/*"))
VALUES = [None, True, 0, -1, 10**400, 0.5, float("nan"), float("-inf"), "", "text", [], {}, [None]]
FUZZ = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def places(found, at=()):
    """Yield the way to each value of a JSON document."""
    yield at
    if isinstance(found, dict):
        for key in found:
            yield from places(found[key], (*at, key))
    if isinstance(found, list):
        for place in range(len(found)):
            yield from places(found[place], (*at, place))


def changed(found, at, how):
    """Return a document with the value at a place dropped, replaced, shortened or turned around."""
    if at:
        copy = found.copy()
        if len(at) == 1 and how == "drop":
            del copy[at[0]]
        else:
            copy[at[0]] = changed(found[at[0]], at[1:], how)
        return copy
    if how == "shorten":
        return dict(list(found.items())[:-1]) if isinstance(found, dict) else str(found)[:-1]
    if how == "turn":
        return dict(reversed(found.items())) if isinstance(found, dict) else [found]
    return found if how == "drop" else VALUES[how]


def changes(document):
    """Return what to draw: a place in a document, and how it is changed there."""
    return st.tuples(
        st.sampled_from(list(places(document))),
        st.sampled_from(["drop", "shorten", "turn", *range(len(VALUES))]),
    )


def cuts(content):
    """Return what to draw: a piece of bytes, and what stands in its place."""
    start = st.integers(0, len(content) - 1)
    return st.tuples(start, st.sampled_from([0, 1, 40, len(content)]), st.binary(max_size=3))


def cut(content, start, length, instead):
    return content[:start] + instead + content[start + length :]


def require_right_or_refused(folder, file, read, expected):
    """Fail unless the scores are the expected ones, or an error of a user names the file."""
    try:
        found, said = read(folder), ""
    except (ValueError, LookupError) as error:
        found, said = None, f"{type(error).__name__}: {error}"
    if found is not None:
        assert sorted(found.score) == expected  # the order may change with the ids
    else:
        assert said.startswith(("ValueError: ", "LookupError: ")), said
        assert file.parent.name in said, said


def read_choices(folder):
    return ll.read_lm_eval(folder, metric="acc", task="sums_small", system="x", cluster="kind")


def read_chat(folder):
    options = {"metric": "right", "filter": "none", "task": "sums_scored", "system": "x"}
    return ll.read_lm_eval(folder, **options)


LM_EVAL = {"sums_small": (CHOICES, read_choices), "sums_scored": (CHAT, read_chat)}


@pytest.fixture(scope="module", params=LM_EVAL)
def run(request, tmp_path_factory):
    """Return a copied run of lm-eval, its files, what reads it, and the right scores."""
    original, read = LM_EVAL[request.param]
    folder = tmp_path_factory.mktemp("fuzz") / "run"
    shutil.copytree(original, folder)
    (samples,) = folder.glob(f"samples_{request.param}_*.jsonl")
    (results,) = folder.glob("results_*.json")
    return folder, samples, results, read, sorted(read(folder).score)


@FUZZ
@given(st.data())
def test_a_line_of_lm_eval(run, data):
    folder, samples, _, read, expected = run
    whole = samples.read_bytes()
    rows = whole.decode().splitlines()
    place = data.draw(st.integers(0, len(rows) - 1))
    line = json.loads(rows[place])
    row = json.dumps(changed(line, *data.draw(changes(line))))
    try:
        samples.write_text("\n".join([*rows[:place], row, *rows[place + 1 :]]), "utf-8")
        require_right_or_refused(folder, samples, read, expected)
    finally:
        samples.write_bytes(whole)


@FUZZ
@given(st.data())
def test_the_results_of_lm_eval(run, data):
    folder, samples, results, read, expected = run
    whole = results.read_bytes()
    try:
        found = json.loads(whole)
        results.write_text(json.dumps(changed(found, *data.draw(changes(found)))), "utf-8")
        require_right_or_refused(folder, samples, read, expected)
    finally:
        results.write_bytes(whole)


@FUZZ
@given(st.data())
def test_the_bytes_of_lm_eval(run, data):
    folder, *files, read, expected = run
    file = data.draw(st.sampled_from(files))
    whole = file.read_bytes()
    try:
        file.write_bytes(cut(whole, *data.draw(cuts(whole))))
        require_right_or_refused(folder, file, read, expected)
    finally:
        file.write_bytes(whole)


@pytest.fixture(scope="module", params=["choice.json", "sentiment.eval"])
def log(request, tmp_path_factory):
    """Return a copied log of Inspect, and the right scores."""
    file = tmp_path_factory.mktemp("fuzz") / "log" / request.param
    file.parent.mkdir()
    shutil.copy(LOGS / "inspect" / request.param, file)
    return file, sorted(ll.read_inspect(file).score)


@FUZZ
@given(st.data())
def test_the_bytes_of_inspect(log, data):
    file, expected = log
    whole = file.read_bytes()
    try:
        file.write_bytes(cut(whole, *data.draw(cuts(whole))))
        require_right_or_refused(file, file, ll.read_inspect, expected)
    finally:
        file.write_bytes(whole)


@FUZZ
@given(st.data())
def test_the_fields_of_inspect(log, data):
    file, expected = log
    if file.suffix != ".json":
        pytest.skip("the members of an .eval file are the parts of a .json file")
    whole = file.read_bytes()
    try:
        found = json.loads(whole)
        file.write_text(json.dumps(changed(found, *data.draw(changes(found)))), "utf-8")
        require_right_or_refused(file, file, ll.read_inspect, expected)
    finally:
        file.write_bytes(whole)
