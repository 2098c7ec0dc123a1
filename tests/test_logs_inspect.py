"""Logs that Inspect really wrote, read as records.

``tests/logs/inspect`` holds them, and two scripts beside it made Inspect write them. Damaged logs
are copies, damaged here.
"""

import math
import shutil
import sys
import warnings
import zipfile
from pathlib import Path

import inspect_ai.log
import numpy as np
import pandas as pd
import pytest
from inspect_ai.scorer import value_to_float

import lleval_lib as ll
from lleval_lib.logs_inspect_samples import _number

INSPECT = Path(__file__).parent / "logs" / "inspect"
CASES = INSPECT / "cases"


def header(path):
    return inspect_ai.log.read_eval_log(str(path), header_only=True)


@pytest.fixture
def changed(tmp_path):
    """Return a function that changes the samples of a log and writes it as a new file."""

    def write(name, change):
        log = inspect_ai.log.read_eval_log(str(INSPECT / name))
        change(log)
        path = tmp_path / name
        inspect_ai.log.write_eval_log(log, str(path))
        return path

    return write


# What is read ------------------------------------------------------------------------------------


def test_records_of_an_inspect_log():
    log = inspect_ai.log.read_eval_log(str(INSPECT / "sentiment.eval"))
    records = ll.read_inspect(INSPECT / "sentiment.eval", cluster="film")
    assert len(records) == 48
    assert records.cluster.nunique() == 12
    assert set(records.system) == {"smollm2/sentiment"}
    assert set(records.task) == {"reviews"}
    assert set(records.source) == {"inspect-ai 0.3.285"}
    assert set(records.n_samples) == {1}
    assert records.score_variance.isna().all()
    assert records.loglik.isna().all()
    samples = {sample.id: sample for sample in log.samples}
    for row in records.itertuples():
        sample = samples[row.sample_id]
        assert (row.prompt, row.target) == (sample.input, sample.target)
        assert row.cluster == sample.metadata["film"]
        assert row.score == {"C": 1.0, "I": 0.0}[sample.scores["match"].value]
        assert (row.prediction == row.target) == row.score
    assert ll.read_inspect(INSPECT / "sentiment.eval").cluster.is_unique
    by_function = ll.read_inspect(INSPECT / "sentiment.eval", cluster=lambda m: m["film"][0])
    assert by_function.cluster.to_list() == [film[0] for film in records.cluster]


def test_epochs_are_averaged_within_the_item():
    log = inspect_ai.log.read_eval_log(str(INSPECT / "sampled.eval"))
    records = ll.read_inspect(INSPECT / "sampled.eval", scorer="match").set_index("sample_id")
    assert len(log.samples) == 48
    assert len(records) == 12
    assert set(records.n_samples) == {4}
    for item, row in records.iterrows():
        of_item = [s for s in log.samples if s.id == item]
        values = [s.scores["match"].value == "C" for s in of_item]
        assert row.score == np.mean(values)
        assert row.score_variance == pytest.approx(np.var(values, ddof=1))
        answers = [s.scores["match"].answer for s in of_item]
        assert answers.count(row.prediction) == max(map(answers.count, answers))
    assert 0 < records.score.nunique() < 12
    assert records.score_variance.max() > 0


def test_a_scorer_of_numbers():
    records = ll.read_inspect(INSPECT / "sampled.eval", scorer="p_target")
    assert records.score.between(0, 1).all()
    assert records.score.nunique() == 12
    assert records.score_variance.to_numpy() == pytest.approx(np.zeros(12))


def test_json_log_and_letters():
    records = ll.read_inspect(INSPECT / "choice.json")
    assert set(records.target) == set(records.prediction) == {"A", "B"}
    assert ((records.prediction == records.target) == records.score).all()
    recorded = ll.load_records("reviews")
    recorded = recorded[recorded.system == "minilm probe"].set_index("item_id")
    assert records.score.to_list() == recorded.loc[records.sample_id].score.to_list()


def test_both_formats_give_the_same_records(tmp_path):
    log = inspect_ai.log.read_eval_log(str(INSPECT / "question.eval"))
    path = tmp_path / "2026-11-24T01-31-00+00-00_reviews.json"
    inspect_ai.log.write_eval_log(log, str(path))
    whole = ll.read_inspect(INSPECT / "question.eval")
    pd.testing.assert_frame_equal(ll.read_inspect(path), whole)
    # A folder is searched, and what is no log there is left alone.
    (tmp_path / "eval-set.json").write_text("{}")
    pd.testing.assert_frame_equal(ll.read_inspect(tmp_path), whole)


def test_a_folder_of_two_systems(tmp_path):
    for name in ("sentiment", "question"):
        shutil.copy(INSPECT / f"{name}.eval", tmp_path)
    records = ll.read_inspect(tmp_path)
    assert set(records.system) == {"smollm2/sentiment", "smollm2/question"}
    with pytest.raises(ValueError, match="are two runs of task 'reviews' by 'both'"):
        ll.read_inspect(tmp_path, system="both")


# What goes wrong in practice ---------------------------------------------------------------------


def test_the_same_question_is_the_same_item_in_shuffled_runs():
    """Ids follow the shuffled position; a constant target gives nothing else to notice it by."""
    one, two = (ll.read_inspect(CASES / "shuffled" / f"{name}.eval") for name in ("one", "two"))
    assert set(one.sample_id) == set(two.sample_id) == {str(k) for k in range(1, 13)}
    assert set(one.target) == set(two.target) == {"no"}
    same_id = one.merge(two, on="sample_id")
    assert (same_id.prompt_x != same_id.prompt_y).sum() > 6
    same_item = one.merge(two, on="item_id")
    assert len(same_item) == len(set(one.prompt) & set(two.prompt)) == 8
    assert (same_item.prompt_x == same_item.prompt_y).all()
    assert one.item_id.is_unique
    assert set(one.setting_version) == {"2"}


def _other_choices(log):
    for sample in log.samples:
        sample.choices = sample.choices[::-1]


def _other_target(log):
    for sample in log.samples:
        sample.target = "B" if sample.target == "A" else "A"


def _as_messages(image):
    def change(log):
        for sample in log.samples:
            picture = inspect_ai.model.ContentImage(image=image)
            parts = [inspect_ai.model.ContentText(text=sample.input), picture]
            sample.input = [inspect_ai.model.ChatMessageUser(content=parts)]

    return change


def test_the_identity_holds_choices_target_and_pictures(changed, tmp_path):
    def items(name, change, number):
        path = changed(name, change)
        return set(ll.read_inspect(path.rename(tmp_path / f"{number}{path.suffix}")).item_id)

    plain = set(ll.read_inspect(INSPECT / "choice.json").item_id)
    changes = [_other_choices, _other_target, _as_messages("data:one"), _as_messages("data:two")]
    found = [items("choice.json", change, k) for k, change in enumerate(changes)]
    again = items("choice.json", _as_messages("data:two"), "again")  # with other ids of messages
    assert again == found[-1]
    assert len(plain.union(*found)) == 5 * 12


def test_samples_of_one_content_are_known_by_their_own_ids():
    records = ll.read_inspect(CASES / "twins.eval")
    assert len(records) == 4
    assert records.item_id.is_unique
    first = records.item_id[0].partition(":")[0]
    assert records.item_id.to_list()[::2] == [f"{first}:a0", f"{first}:b0"]
    alone = ll.read_inspect(CASES / "arguments" / "plus.eval")
    assert alone.item_id[0] == first  # the same question, once


def test_a_folder_gives_the_retry_and_not_what_it_replaced():
    stopped, retry = sorted((CASES / "retried").glob("*.eval"))
    assert [header(p).status for p in (stopped, retry)] == ["error", "success"]
    records = ll.read_inspect(CASES / "retried")
    pd.testing.assert_frame_equal(records, ll.read_inspect(retry))
    assert records.score.mean() == header(retry).results.scores[0].metrics["accuracy"].value
    with pytest.raises(
        ValueError, match=f"run `inspect eval-retry .*{stopped.name}`, which writes"
    ):
        ll.read_inspect(stopped)


def test_of_two_successes_of_one_run_the_later_counts(changed, tmp_path):
    def earlier(log):
        log.eval.created = "2020-01-01T00:00:00+00:00"
        for sample in log.samples:
            sample.scores = {}

    changed("sentiment.eval", earlier).rename(tmp_path / "z.eval")
    shutil.copy(INSPECT / "sentiment.eval", tmp_path / "a.eval")
    pd.testing.assert_frame_equal(
        ll.read_inspect(tmp_path), ll.read_inspect(INSPECT / "sentiment.eval")
    )


def test_a_success_counts_more_than_a_later_failure(changed, tmp_path):
    def later(log):
        log.eval.created, log.status = "2030-01-01T00:00:00+00:00", "cancelled"

    changed("sentiment.eval", later).rename(tmp_path / "z.eval")
    shutil.copy(INSPECT / "sentiment.eval", tmp_path / "a.eval")
    assert len(ll.read_inspect(tmp_path)) == 48


@pytest.mark.parametrize("name", ["correct", "concise"])
def test_a_scorer_of_several_named_values(name):
    for path in (CASES / "graded_90.eval", CASES / "graded_50.eval"):
        records = ll.read_inspect(path, scorer=name)
        pd.testing.assert_frame_equal(records, ll.read_inspect(path, scorer=f"quality.{name}"))
        (score,) = [s for s in header(path).results.scores if s.name == name]
        assert records.score.mean() == pytest.approx(score.metrics["mean"].value)
        assert set(records.metric) == {f"quality.{name}"}
        assert records.higher_is_better.isna().all()  # a number: the log does not tell
    with pytest.raises(LookupError, match=r"name one; there are: quality.correct, quality.concise"):
        ll.read_inspect(CASES / "graded_90.eval")
    with pytest.raises(LookupError, match="has no scorer 'quality'; there are: quality"):
        ll.read_inspect(CASES / "graded_90.eval", scorer="quality")


def test_arguments_that_differ_belong_to_the_name_of_the_task():
    names = ["sums (sign=+, n=12)", "sums (sign=*, n=8)"]
    records = ll.read_inspect(CASES / "arguments")
    assert records.groupby("task", sort=False).size().to_dict() == dict(
        zip(names, (12, 8), strict=True)
    )
    alone = ll.read_inspect(CASES / "arguments" / "times.eval")
    assert set(alone.task) == {"sums"}
    assert set(alone.setting_args) == {"sign=*, n=8"}  # for who compares it with the other
    assert set(ll.read_inspect(CASES / "arguments", task=names[1]).task) == {names[1]}
    plus = ll.read_inspect(CASES / "arguments", task="*sign=[+]*")
    assert plus.sample_id.to_list() == [str(k) for k in range(1, 13)]  # as Inspect lists them
    with pytest.raises(
        LookupError, match=r"has no task 'sums' .*; there are: sums \(sign=\+, n=12\),"
    ):
        ll.read_inspect(CASES / "arguments", task=["*8*", "sums"])


def test_a_scorer_by_task(tmp_path):
    shutil.copy(INSPECT / "sampled.eval", tmp_path)
    shutil.copy(CASES / "graded_90.eval", tmp_path)
    scorers = {"reviews_sampled": "p_target", "": "concise"}
    records = ll.read_inspect(tmp_path, scorer=scorers)
    assert records.groupby("task").metric.unique().str.join("").to_dict() == {
        "graded": "quality.concise",
        "reviews_sampled": "p_target",
    }
    with pytest.raises(LookupError, match="has no single scorer"):
        ll.read_inspect(tmp_path, scorer={"graded": "concise"})


def test_items_without_a_score_are_kept_where_asked():
    """The judge gave one sample an unscored score and two none at all."""
    path = CASES / "judged_50.eval"
    with pytest.raises(ValueError, match=r"3 of 16 samples .*\(3 unscored by it\); choose another"):
        ll.read_inspect(path, scorer="judge")
    with pytest.raises(ValueError, match="missing must be 'refuse' or 'keep', not 'drop'"):
        ll.read_inspect(path, scorer="judge", missing="drop")
    records = ll.read_inspect(path, scorer="judge", missing="keep")
    assert len(records) == 16
    assert records.score.isna().sum() == 3
    reported = header(path).results.scores[1]
    assert (reported.scored_samples, reported.unscored_samples) == (13, 1)
    assert records.score.mean() == pytest.approx(reported.metrics["accuracy"].value)
    assert ll.read_inspect(path, scorer="match").score.notna().all()


def test_an_item_that_lacks_the_score_of_one_epoch_has_none(changed):
    def lose(log):
        log.samples[0].scores = {}
        log.results.scores.clear()

    records = ll.read_inspect(changed("sampled.eval", lose), scorer="match", missing="keep")
    assert records.score.isna().to_list() == [True] + 11 * [False]
    assert records.score_variance.isna().sum() == 1
    assert set(records.n_samples) == {4}


def test_a_log_in_which_nothing_has_a_score(changed):
    def lose(log):
        for sample in log.samples:
            sample.scores["match"].value = math.nan

    with pytest.raises(ValueError, match=r"48 of 48 samples .* score every sample$"):
        ll.read_inspect(changed("sentiment.eval", lose), missing="keep")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_samples", "holds no samples, because it was run with --no-log-samples"),
        ("no_scores", "holds no scores, because it was run with --no-score: score it with `inspec"),
    ],
)
def test_a_log_without_samples_or_scores(name, message):
    with pytest.raises(ValueError, match=message):
        ll.read_inspect(CASES / f"{name}.eval")


def test_a_number_of_scores_that_is_not_the_reported_one(changed):
    def count(log):
        log.results.scores[0].scored_samples = 40

    with pytest.raises(ValueError, match="48 items have a score, but the log reports 40"):
        ll.read_inspect(changed("sentiment.eval", count))


def test_settings_and_a_reducer_that_is_not_the_mean():
    records = ll.read_inspect(CASES / "repeated.eval")
    settings = records.filter(like="setting_").drop_duplicates().to_dict("records")
    assert settings == [
        {
            "setting_version": "0",
            "setting_args": "",
            "setting_epochs": "4",
            "setting_reducer": "max",
        }
    ]
    reported = header(CASES / "repeated.eval").results.scores[0].metrics["accuracy"].value
    assert records.score.mean() < reported
    assert set(records.metric) == {"match (mean of epochs; the log reports their max)"}
    assert set(ll.read_inspect(INSPECT / "sampled.eval", scorer="match").metric) == {"match"}


def test_the_direction_is_known_for_right_and_wrong_only():
    known = ll.read_inspect(INSPECT / "sentiment.eval").higher_is_better
    assert known.eq(True).all()
    letters = ll.read_inspect(CASES / "shuffled" / "one.eval")  # of which it reports the mean
    assert letters.higher_is_better.eq(True).all()
    numbers = ll.read_inspect(INSPECT / "sampled.eval", scorer="p_target")
    assert numbers.higher_is_better.isna().all()
    assert numbers.group.isna().all()


@pytest.mark.parametrize("value", ["C", "I", "P", "N", "yes", "No", "TRUE", "0.25", True, 0, 0.5])
def test_scores_count_as_they_do_in_inspect(value):
    assert _number(value) == value_to_float()(value)


def test_files_that_macos_leaves_beside_a_log(tmp_path):
    shutil.copy(INSPECT / "sentiment.eval", tmp_path)
    (tmp_path / "._sentiment.eval").write_bytes(b"\x00\x05\x16\x07")
    assert len(ll.read_inspect(tmp_path)) == 48


def test_a_json_log_without_its_version(tmp_path):
    """Inspect reads it whole, but not its header alone; published logs are so."""
    path = tmp_path / "old.json"
    text = (INSPECT / "choice.json").read_text("utf-8")
    path.write_text(text.replace('"version": 2,', "", 1), "utf-8")
    pd.testing.assert_frame_equal(ll.read_inspect(path), ll.read_inspect(INSPECT / "choice.json"))


def test_a_log_of_a_newer_inspect(tmp_path):
    path = tmp_path / "new.json"
    text = (INSPECT / "choice.json").read_text("utf-8")
    assert '"version": 2' in text
    path.write_text(text.replace('"version": 2', '"version": 99', 1), "utf-8")
    with pytest.raises(ValueError, match=r"a newer Inspect wrote it: pip install -U inspect-ai"):
        ll.read_inspect(path)


def test_a_sample_that_is_damaged_inside_the_archive(tmp_path):
    path = tmp_path / "damaged.eval"
    with zipfile.ZipFile(INSPECT / "sentiment.eval") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(
                name, content[:40] if name == "samples/review-00981_epoch_1.json" else content
            )
    with pytest.raises(
        ValueError, match=r"damaged.eval' is no whole log of Inspect .* copy it anew"
    ):
        ll.read_inspect(path)


def test_a_sample_that_ran_again_counts_as_it_did_last(tmp_path):
    path = tmp_path / "again.eval"
    name = "samples/review-00981_epoch_1.json"
    with zipfile.ZipFile(INSPECT / "sentiment.eval") as old, zipfile.ZipFile(path, "w") as new:
        new.writestr(name, old.read(name)[:40])
        for each in old.namelist():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of zipfile: the name stands twice
                new.writestr(each, old.read(each))
    pd.testing.assert_frame_equal(
        ll.read_inspect(path), ll.read_inspect(INSPECT / "sentiment.eval")
    )


# What is refused ---------------------------------------------------------------------------------


def test_an_unknown_scorer_or_field():
    with pytest.raises(LookupError, match="no single scorer: name one; there are: match, p_target"):
        ll.read_inspect(INSPECT / "sampled.eval")
    with pytest.raises(LookupError, match="has no scorer 'f1'; there are: match"):
        ll.read_inspect(INSPECT / "sentiment.eval", scorer="f1")
    with pytest.raises(LookupError, match=r"48 of 48 items have no 'movie' .* there are: film"):
        ll.read_inspect(INSPECT / "sentiment.eval", cluster="movie")


def test_a_stopped_evaluation():
    with pytest.raises(
        ValueError,
        match=r"given_up.eval' has the status 'error' \(.*no answer.*of 12 items did not",
    ) as raised:
        ll.read_inspect(INSPECT / "given_up.eval", missing="keep")
    assert "which writes a new log beside this one: give that one, or the folder" in str(
        raised.value
    )


def test_samples_that_ended_in_an_error():
    path = INSPECT / "with_errors.eval"
    with pytest.raises(
        ValueError,
        match=r"2 of 12 samples have no valid score, such as 'review-.* ended in an error",
    ) as raised:
        ll.read_inspect(path)
    assert "eval-retry" in str(raised.value)
    assert "or keep them with missing= (--missing)" in str(raised.value)
    kept = ll.read_inspect(path, missing="keep")
    assert len(kept) == 12
    assert kept.score.isna().sum() == 2
    assert kept.score.mean() == header(path).results.scores[0].metrics["accuracy"].value == 0.8


def _value(log, value):
    log.samples[3].scores["match"].value = value


def _withdrawn(log):
    log.samples[0].invalidation = inspect_ai.log.ProvenanceData(
        author="us", reason="a typing error"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda log: _value(log, float("inf")), "gives sample .* the value inf, not one finite"),
        (lambda log: _value(log, float("nan")), r"1 of 48 samples .*\(1 unscored by it\)"),
        (lambda log: _value(log, "good"), r"\(epoch 1\) the value 'good', not one finite number"),
        (lambda log: _value(log, [1, 0]), r"the value \[1, 0\]"),
        (
            lambda log: [_value(log, 0.5), _value(log, "0.25")],
            "scorer 'match': the mean of the items is 0.7.*, but the log reports 0.75; it counts",
        ),
        (_withdrawn, r"1 of 48 samples have .*\(1 withdrawn\)"),
        (lambda log: log.samples.clear(), "holds 0 of the 48 samples that it counts: it was short"),
        (lambda log: log.samples.pop(), "holds 47 of the 48 samples that it counts"),
    ],
)
def test_scores_that_cannot_be_read(changed, change, message):
    path = changed("sentiment.eval", change)
    with pytest.raises(ValueError, match=message) as raised:
        ll.read_inspect(path)
    assert "sentiment.eval" in str(raised.value)


def test_a_missing_epoch(changed):
    def lose(log):
        log.samples.pop()
        log.results.total_samples -= 1

    path = changed("sampled.eval", lose)
    with pytest.raises(ValueError, match=r"has 3 samples and '.*' 4; run the missing ones"):
        ll.read_inspect(path, scorer="match")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.eval", b""),
        ("empty.json", b""),
        ("other.json", b'{"version": 2}'),
        ("text.eval", b"hello"),
        ("cut.eval", (INSPECT / "question.eval").read_bytes()[:20_000]),
        ("cut.json", (INSPECT / "choice.json").read_bytes()[:9_000]),
    ],
)
def test_a_file_that_is_no_whole_log(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}' is no whole log of Inspect .* copy it anew"):
        ll.read_inspect(tmp_path / name)


def test_no_log_or_no_inspect(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        ll.read_inspect(tmp_path / "nothing.eval")
    with pytest.raises(ValueError, match="there are no logs of Inspect"):
        ll.read_inspect(tmp_path)
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(ImportError, match="pip install inspect-ai"):
        ll.read_inspect(INSPECT / "sentiment.eval")


def test_two_versions_of_inspect(changed, tmp_path):
    def older(log):
        log.eval.packages["inspect_ai"] = "0.3.100"
        log.eval.model = "older"

    changed("question.eval", older)
    shutil.copy(INSPECT / "sentiment.eval", tmp_path)
    with pytest.raises(ValueError, match=r"by inspect-ai 0\.3\.100 and .* by inspect-ai 0\.3\.285"):
        ll.read_inspect(tmp_path)
