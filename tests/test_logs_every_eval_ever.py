"""Evaluations of Every Eval Ever: what its converters made of our logs, and what we write.

``tests/logs/every_eval_ever`` holds what the converters of the package wrote; a script beside it
runs them. The schemas in ``tests/schemas`` are those of the package, version 0.3.0 (MIT).
"""

import hashlib
import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest

import lleval_lib as ll
from lleval_lib.logs_every_eval_ever import (
    CONVERTERS,
    is_log,
    read_every_eval_ever,
    write_every_eval_ever,
)

TESTS = Path(__file__).parent
LOGS = TESTS / "logs"
CONVERTED = LOGS / "every_eval_ever"
SCHEMAS = TESTS / "schemas" / "every_eval_ever"


def pair(folder):
    """Return the one evaluation in a folder and its samples."""
    (samples,) = Path(folder).rglob("*_samples.jsonl")
    return samples.with_name(samples.name.replace("_samples.jsonl", ".json")), samples


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def changed(tmp_path):
    """Return a function that changes a converted evaluation and its rows, and the checksum."""

    def write(name, change):
        shutil.copytree(CONVERTED / name, tmp_path / name)
        file, samples = pair(tmp_path / name)
        log, rows = json.loads(file.read_text("utf-8")), lines(samples)
        change(log, rows)
        samples.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        details = log.get("detailed_evaluation_results")
        if isinstance(details, dict) and "checksum" in details:
            details["checksum"] = hashlib.sha256(samples.read_bytes()).hexdigest()
        file.write_text(json.dumps(log), "utf-8")
        return file

    return write


# What is read -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("inspect_choice", "inspect/choice.json"),
        ("inspect_with_errors", "inspect/with_errors.eval"),
        ("inspect_shuffled_one", "inspect/cases/shuffled/one.eval"),
        ("inspect_shuffled_two", "inspect/cases/shuffled/two.eval"),
    ],
)
def test_a_converted_log_of_inspect_is_the_log(name, original):
    theirs = read_every_eval_ever(CONVERTED / name, missing="keep")
    ours = ll.read_inspect(LOGS / original, missing="keep")
    same = ["task", "item_id", "sample_id", "prompt", "target", "score", "n_samples", "metric"]
    pd.testing.assert_frame_equal(theirs[same], ours[same])
    scored = ours.score.notna()
    assert theirs.prediction[scored].to_list() == ours.prediction[scored].to_list()
    assert set(theirs.source) == {"inspect 0.3.285, Every Eval Ever"}


@pytest.mark.parametrize("metric", ["acc", "acc_norm"])
def test_a_converted_log_of_lm_eval_is_the_log(metric):
    theirs = read_every_eval_ever(CONVERTED / "lm_eval_sentiment", metric=metric)
    ours = ll.read_lm_eval(LOGS / "lm_eval" / "sentiment", metric=metric)
    same = ["task", "item_id", "prompt", "target", "score"]
    pd.testing.assert_frame_equal(theirs[same], ours[same])
    assert set(theirs.system) == {"lleval-tests/smollm2-135m"}
    assert set(theirs.metric) == {metric}
    assert theirs.higher_is_better.eq(True).all()
    assert theirs.sample_id.to_list() == [str(k) for k in range(48)]


def test_a_filter_of_lm_eval_is_part_of_the_task():
    records = read_every_eval_ever(CONVERTED / "lm_eval_written")
    for name in ("strict", "lenient"):
        ours = ll.read_lm_eval(LOGS / "lm_eval" / "written", filter=name)
        theirs = records[records.task == f"reviews_written/{name}"]
        assert theirs.score.to_list() == ours.score.to_list()
        alone = read_every_eval_ever(CONVERTED / "lm_eval_written", task=f"*/{name}")
        pd.testing.assert_frame_equal(alone, theirs.reset_index(drop=True))
    assert set(records.metric) == {"exact_match"}
    assert set(records.setting_shots) == {"0"}
    assert set(records.setting_generation) == {"max_tokens=8"}


def test_a_converted_log_is_compared_with_another_tools_log():
    """So logs of two tools meet: the items are known by the same hash."""
    theirs = read_every_eval_ever(CONVERTED / "inspect_shuffled_two")
    ours = ll.read_inspect(LOGS / "inspect" / "cases" / "shuffled" / "one.eval")
    both = ours.merge(theirs, on="item_id")
    assert len(both) == 8
    assert (both.prompt_x == both.prompt_y).all()


def test_epochs_hold_the_reduced_score_so_their_variance_is_unknown():
    records = read_every_eval_ever(CONVERTED / "inspect_repeated")
    assert len(records) == 6
    assert set(records.n_samples) == {4}
    assert records.score_variance.isna().all()
    log = json.loads(pair(CONVERTED / "inspect_repeated")[0].read_text("utf-8"))
    assert records.score.mean() == log["evaluation_results"][0]["score_details"]["score"]
    assert records.score.mean() > ll.read_inspect(LOGS / "inspect/cases/repeated.eval").score.mean()


def test_file_samples_and_folder_are_the_same():
    file, samples = pair(CONVERTED / "inspect_choice")
    whole = read_every_eval_ever(CONVERTED / "inspect_choice")
    for path in (file, samples, str(file)):
        pd.testing.assert_frame_equal(read_every_eval_ever(path), whole)


def test_a_metric_by_id_by_name_and_by_scorer():
    records = [
        read_every_eval_ever(CONVERTED / "inspect_choice", metric=name)
        for name in ("choice:accuracy", "choice", "accuracy", {"": "choice"}, None)
    ]
    for one in records[1:]:
        pd.testing.assert_frame_equal(one, records[0])


def test_the_direction_is_that_of_the_metric(changed):
    def lower(log, rows):
        log["evaluation_results"][0]["metric_config"]["lower_is_better"] = True

    assert read_every_eval_ever(changed("inspect_choice", lower)).higher_is_better.eq(False).all()
    # exact reports a mean: the converter notes that it does not know the direction.
    unknown = read_every_eval_ever(CONVERTED / "inspect_shuffled_one").higher_is_better
    assert unknown.isna().all()


def test_a_cluster_is_a_field_of_the_row_or_its_metadata(changed):
    def film(log, rows):
        for k, row in enumerate(rows):
            row["metadata"]["film"] = f"film {k % 3}"

    file = changed("inspect_choice", film)
    assert read_every_eval_ever(file, cluster="film").cluster.nunique() == 3
    assert set(read_every_eval_ever(file, cluster="interaction_type").cluster) == {"single_turn"}
    first = read_every_eval_ever(file, cluster=lambda row: row["input"]["raw"][0])
    assert first.cluster.to_list() == first.prompt.str[0].to_list()
    with pytest.raises(LookupError, match="12 of 12 items have no 'movie' to cluster by"):
        read_every_eval_ever(file, cluster="movie")


def test_samples_without_a_score_are_kept_where_asked():
    with pytest.raises(ValueError, match=r"2 of 12 samples .*\(2 ended in an error\); run them"):
        read_every_eval_ever(CONVERTED / "inspect_with_errors")
    records = read_every_eval_ever(CONVERTED / "inspect_with_errors", missing="keep")
    assert records.score.isna().sum() == 2  # in the rows they have the score 0
    assert records.score.mean() == pytest.approx(0.8)


def test_a_sample_without_the_chosen_metric_lacks_it(changed):
    def lose(log, rows):
        del rows[0]  # the accuracy of the first sample; its acc_norm stays
        log["detailed_evaluation_results"]["total_rows"] -= 1
        left = [r["evaluation"]["score"] for r in rows if r["evaluation_result_id"] == "acc"]
        log["evaluation_results"][0]["score_details"]["score"] = np.mean(left)

    file = changed("lm_eval_sentiment", lose)
    with pytest.raises(ValueError, match=r"1 of 48 samples .*'0' \(1 without this metric\)"):
        read_every_eval_ever(file, metric="acc")
    assert read_every_eval_ever(file, metric="acc", missing="keep").score.isna().sum() == 1
    assert read_every_eval_ever(file, metric="acc_norm").score.notna().all()


def test_a_sample_of_another_split_lacks_nothing(changed):
    """The converter of HELM names results <metric>:<split>."""

    def split(log, rows):
        (result,) = log["evaluation_results"]
        result["metric_config"]["metric_name"] = "exact_match"
        log["evaluation_results"] = []
        for name, part in (("valid", rows[:4]), ("test", rows[4:])):
            for row in part:
                row["evaluation_result_id"] = f"exact_match:{name}"
            mean = float(np.mean([row["evaluation"]["score"] for row in part]))
            new = json.loads(json.dumps(result)) | {"evaluation_result_id": f"exact_match:{name}"}
            new["score_details"]["score"] = mean
            log["evaluation_results"].append(new)

    file = changed("inspect_choice", split)
    assert len(read_every_eval_ever(file, metric="exact_match:test")) == 8
    assert len(read_every_eval_ever(file, metric="exact_match:valid")) == 4
    with pytest.raises(LookupError, match=r"there are: exact_match:valid, exact_match:test"):
        read_every_eval_ever(file, metric="exact_match")


def test_results_without_samples_beside_others_are_left_out(tmp_path):
    shutil.copytree(CONVERTED / "inspect_choice", tmp_path / "a")
    file, _ = pair(CONVERTED / "inspect_repeated")
    shutil.copy(file, tmp_path)  # a group or a leaderboard: there are no items
    assert set(read_every_eval_ever(tmp_path).task) == {"reviews_choice"}
    with pytest.raises(ValueError, match=r"has no samples '.*_samples.jsonl' beside it: put them"):
        read_every_eval_ever(tmp_path / file.name)
    (tmp_path / "a").rename(tmp_path.with_name("elsewhere"))
    with pytest.raises(
        ValueError, match=r"there are no samples .* convert lm-eval with --include_s"
    ):
        read_every_eval_ever(tmp_path)


# What is refused ----------------------------------------------------------------------------------


def test_a_scorer_of_several_values_is_not_in_the_rows():
    """The converter writes one row for both results, with a score that is of neither."""
    with pytest.raises(ValueError, match="do not say of which result they are, correct:mean, conc"):
        read_every_eval_ever(CONVERTED / "inspect_graded_50", metric="correct:mean")


def test_an_unknown_metric_or_task():
    with pytest.raises(LookupError, match="no single metric: name one; there are: acc, acc_norm"):
        read_every_eval_ever(CONVERTED / "lm_eval_sentiment")
    with pytest.raises(LookupError, match="has no metric 'f1'; there are: choice:accuracy"):
        read_every_eval_ever(CONVERTED / "inspect_choice", metric="f1")
    with pytest.raises(LookupError, match=r"has no task 'toy' .*; there are: reviews_choice"):
        read_every_eval_ever(CONVERTED / "inspect_choice", task="toy")


def test_two_runs_of_a_task(tmp_path):
    for name in ("a", "b"):
        shutil.copytree(CONVERTED / "inspect_choice", tmp_path / name)
    with pytest.raises(ValueError, match="are two runs of task 'reviews_choice' by 'lleval-tests/"):
        read_every_eval_ever(tmp_path)
    shutil.copytree(CONVERTED / "lm_eval_sentiment", tmp_path / "c")
    assert len(read_every_eval_ever(tmp_path, task="reviews", metric="acc")) == 48


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-200], "another checksum than .* it is truncated, changed or of"),
        (lambda text: text.replace("positive", "negative"), "another checksum"),
    ],
)
def test_samples_that_are_not_those_of_the_evaluation(tmp_path, damage, message):
    shutil.copytree(CONVERTED / "inspect_choice", tmp_path / "a")
    _, samples = pair(tmp_path / "a")
    samples.write_text(damage(samples.read_text("utf-8")), "utf-8")
    with pytest.raises(ValueError, match=message) as raised:
        read_every_eval_ever(tmp_path)
    assert samples.name in str(raised.value)


def _result(**changes):
    return lambda log, rows: log["evaluation_results"][0].update(changes)


def _row(**changes):
    return lambda log, rows: rows[2].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda log, rows: rows.pop(), "holds 11 rows, but '.*' says 12: it is truncated"),
        (lambda log, rows: rows.clear(), "holds 0 rows"),
        (lambda log, rows: log.pop("model_info"), "the field 'model_info.id' is None, not text"),
        (
            lambda log, rows: log.update(evaluation_results={}),
            "'evaluation_results' is {}, not a l",
        ),
        (
            _result(metric_config=None),
            "result 1: the field 'metric_config.lower_is_better' is None",
        ),
        (_result(score_details={"score": "0.7"}), "'score_details.score' is '0.7', not a number"),
        (_result(score_details={"score": 0.7}), "mean of the items is 0.75, but the log reports"),
        (_row(sample_id=7), "line 3: the field 'sample_id' is 7, not text as Every Eval Ever"),
        (_row(input="text"), "line 3: the field 'input.raw' is None"),
        (
            _row(evaluation={"score": True}),
            "line 3: the field 'evaluation.score' is True, not a num",
        ),
        (_row(evaluation={"score": float("nan")}), "line 3: the field 'evaluation.score' is nan"),
        (_row(evaluation_result_id=["x"]), r"line 3: the field 'evaluation_result_id' is \['x'\]"),
        (
            lambda log, rows: rows.__setitem__(2, ["no", "row"]),
            "line 3: the field 'evaluation_name'",
        ),
    ],
)
def test_a_damaged_evaluation(changed, change, message):
    file = changed("inspect_choice", change)
    with pytest.raises(ValueError, match=message) as raised:
        read_every_eval_ever(file)
    assert file.stem in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        _row(metadata=["a"], output=3, answer_attribution="x", messages=0),
        _row(metadata=None, output=None, answer_attribution=[], messages=[{"content": None}]),
        lambda log, rows: log.update(detailed_evaluation_results=None),
        _result(generation_config="none"),
    ],
)
def test_what_is_not_needed_may_be_anything(changed, change):
    whole = read_every_eval_ever(CONVERTED / "inspect_choice")
    assert read_every_eval_ever(changed("inspect_choice", change)).score.equals(whole.score)


def test_samples_without_their_evaluation(tmp_path):
    _, samples = pair(CONVERTED / "inspect_choice")
    shutil.copy(samples, tmp_path)
    with pytest.raises(ValueError, match="is not beside its samples: put it there, it says what"):
        read_every_eval_ever(tmp_path)
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        read_every_eval_ever(tmp_path / "nothing")


def test_a_line_that_is_not_json(tmp_path):
    shutil.copytree(CONVERTED / "inspect_choice", tmp_path / "a")
    file, samples = pair(tmp_path / "a")
    samples.write_text(samples.read_text("utf-8").replace("{", "", 1), "utf-8")
    log = json.loads(file.read_text("utf-8"))
    del log["detailed_evaluation_results"]
    file.write_text(json.dumps(log), "utf-8")
    with pytest.raises(
        ValueError, match=r"_samples.jsonl', line 1 is not whole JSON .* write it an"
    ):
        read_every_eval_ever(file)


def test_encodings(tmp_path):
    shutil.copytree(CONVERTED / "inspect_choice", tmp_path / "a")
    file, samples = pair(tmp_path / "a")
    log = json.loads(file.read_text("utf-8"))
    del log["detailed_evaluation_results"]
    text = samples.read_text("utf-8")
    file.write_text(json.dumps(log), "utf-8-sig")
    samples.write_text(text, "utf-8-sig")
    assert len(read_every_eval_ever(file)) == 12
    samples.write_text(text, "utf-16")
    with pytest.raises(ValueError, match=r"_samples.jsonl' is not UTF-8 text"):
        read_every_eval_ever(file)


def test_which_files_are_of_the_format():
    file, samples = pair(CONVERTED / "inspect_choice")
    assert is_log(file)
    assert is_log(samples)
    others = [p for p in LOGS.glob("lm_eval*/**/*") if p.is_file()]
    others += [p for p in (LOGS / "inspect").rglob("*") if p.is_file()]
    assert not any(map(is_log, others))
    assert not is_log(samples.with_name("._" + samples.name))


def test_what_converts_the_files_of_other_tools():
    assert "every_eval_ever convert helm --log_path" in CONVERTERS["helm"]
    assert "lighteval eval" in CONVERTERS["lighteval"]


# What is written ----------------------------------------------------------------------------------


def recorded():
    records = ll.load_records("reviews")
    return records[records.system.isin(["tf-idf", "minilm probe"])].groupby("system").head(30)


def logged():
    log = ll.read_inspect(LOGS / "inspect" / "with_errors.eval", missing="keep", cluster="film")
    other = ll.read_lm_eval(LOGS / "lm_eval" / "sentiment", metric="acc")
    other = other.assign(system="org/a/b", task="others")
    return pd.concat([log, other], ignore_index=True)


@pytest.mark.parametrize("make", [recorded, logged])
def test_what_is_written_is_valid_by_the_schemas_of_the_package(make, tmp_path):
    write_every_eval_ever(make(), tmp_path)
    log_schema, row_schema = (
        jsonschema.Draft7Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8")))
        for name in ("eval", "instance_level_eval")
    )
    files = sorted(tmp_path.rglob("*.json"))
    assert len(files) == 2
    for file in files:
        log = json.loads(file.read_text("utf-8"))
        log_schema.validate(log)
        details = log["detailed_evaluation_results"]
        samples = tmp_path / details["file_path"]
        assert samples.parent == file.parent
        assert hashlib.sha256(samples.read_bytes()).hexdigest() == details["checksum"]
        rows = lines(samples)
        assert len(rows) == details["total_rows"]
        for row in rows:
            row_schema.validate(row)
            assert row["evaluation_id"] == log["evaluation_id"]
    with pytest.raises(jsonschema.ValidationError):
        row_schema.validate(row | {"sample_id": 3})
    with pytest.raises(jsonschema.ValidationError):
        log_schema.validate(log | {"model_info": {"name": "x"}})


def test_the_schemas_accept_what_the_converters_wrote():
    """So they are those of the files that we read.

    But for a null in the place of a result, which the package's own validator passes.
    """
    schema = json.loads((SCHEMAS / "instance_level_eval.schema.json").read_text("utf-8"))
    for samples in CONVERTED.rglob("*_samples.jsonl"):
        row = lines(samples)[0]
        if row["evaluation_result_id"] is None:
            del row["evaluation_result_id"]
        jsonschema.Draft7Validator(schema).validate(row)


@pytest.mark.parametrize("make", [recorded, logged])
def test_what_is_written_is_read_again(make, tmp_path):
    records = make()
    write_every_eval_ever(records, tmp_path)
    again = read_every_eval_ever(tmp_path, missing="keep", cluster="cluster")
    key = ["system", "task", "item_id"]
    same = [*key, "cluster", "target", "prediction", "score"]
    assert not set(same) - set(again)
    pd.testing.assert_frame_equal(
        *(table.sort_values(key)[same].reset_index(drop=True) for table in (records, again))
    )
    for name in ("metric", "higher_is_better", *records.filter(like="setting_")):
        if name in records:
            default = "score" if name == "metric" else ""
            expected = records.groupby("system")[name].first().fillna(default).to_dict()
            found = again.groupby("system")[name].first().fillna("").to_dict()
            assert found == expected, name


@pytest.mark.parametrize("direction", [True, False, None])
def test_the_direction_is_written(direction, tmp_path):
    records = recorded().assign(metric="mae")
    records["higher_is_better"] = [direction] * len(records)
    write_every_eval_ever(records, tmp_path)
    again = read_every_eval_ever(tmp_path).higher_is_better
    assert again.isna().all() if direction is None else again.eq(direction).all()


def test_the_same_records_give_the_same_file(tmp_path):
    for name in ("a", "b"):
        write_every_eval_ever(recorded(), tmp_path / name)
    names = [sorted(p.name for p in (tmp_path / n).rglob("*.json*")) for n in ("a", "b")]
    assert names[0] == names[1]
    folders = {
        p.parent.relative_to(tmp_path / "a").as_posix() for p in (tmp_path / "a").rglob("*.json")
    }
    assert folders == {"data/reviews/local/tf-idf", "data/reviews/local/minilm probe"}


def test_records_of_which_nothing_can_be_written(tmp_path):
    records = recorded().assign(metric=lambda table: ["a", "b"] * (len(table) // 2))
    with pytest.raises(
        ValueError, match="column 'metric' has 2 values for system 'tf-idf' on task"
    ):
        write_every_eval_ever(records, tmp_path)
    with pytest.raises(ValueError, match="lack the column 'system'"):
        write_every_eval_ever(records.drop(columns="system"), tmp_path)
    with pytest.raises(ValueError, match="no item of system 'tf-idf' on task 'reviews' has a"):
        write_every_eval_ever(recorded().assign(score=np.nan), tmp_path)
