"""Logs of every kind that lm-evaluation-harness really wrote, of several versions.

``tests/logs/write_lm_eval_kinds.py`` made the harness write them. Damaged logs are copies, damaged
here.
"""

import gzip
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lleval_lib as ll
from lleval_lib import logs_lm_eval
from lleval_lib.logs import read_systems
from lleval_lib.logs_common import files_in

KINDS = Path(__file__).parent / "logs" / "lm_eval_kinds"


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def samples_of(run, task):
    (samples,) = (KINDS / run if isinstance(run, str) else run).rglob(f"samples_{task}_*.jsonl")
    return samples


def results_of(run):
    (results,) = (KINDS / run if isinstance(run, str) else run).rglob("results_*.json")
    return json.loads(results.read_text("utf-8"))


@pytest.fixture
def copied(tmp_path):
    """Return a function that copies a run, with its samples and its results changed."""

    def copy(run, *, task="", line=None, which=slice(None), results=None):
        folder = tmp_path / f"{run}-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(KINDS / run, folder)
        if line is not None:
            samples = samples_of(folder, task)
            objects = lines(samples)
            for one in objects[which]:
                line(one)
            samples.write_text("".join(json.dumps(one) + "\n" for one in objects), "utf-8")
        if results is not None:
            (path,) = folder.rglob("results_*.json")
            found = json.loads(path.read_text("utf-8"))
            results(found)
            path.write_text(json.dumps(found), "utf-8")
        return folder

    return copy


# Every version, every kind ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "source", "group"),
    [
        ("choices-0.4.7", "lm-eval", "adding"),
        ("choices-0.4.8", "lm-eval", "adding"),
        ("grouped-0.4.9.2", "lm-eval 0.4.9.2", "sums"),
        ("choices-0.4.13", "lm-eval 0.4.13", "adding"),
    ],
)
def test_every_version_is_read_with_what_its_results_say(run, source, group):
    """Of 0.4.7 and 0.4.8 the results do not even hold the version."""
    records = ll.read_lm_eval(KINDS / run, metric="acc")
    assert records.groupby("task").size().to_dict() == {"sums_large": 9, "sums_small": 6}
    told = results_of(run)
    assert told.get("lm_eval_version", "") == source.removeprefix("lm-eval").strip()
    for task, part in records.groupby("task"):
        assert part.score.mean() == pytest.approx(told["results"][task]["acc,none"])
    for name, value in {
        "system": "ours/dummy",
        "source": source,
        "metric": "acc",
        "higher_is_better": True,
        "group": group,
        "setting_shots": "0",
        "setting_version": "1.0",
        "setting_chat_template": "none",
        "setting_system_instruction": "none",
    }.items():
        assert set(records[name]) == {value}, name
    assert records.higher_is_better.dtype == object
    short = ll.read_lm_eval(KINDS / run, metric="acc", prompts=False)
    pd.testing.assert_frame_equal(short, records.drop(columns="prompt"))
    (through_command_line,) = read_systems([KINDS / run], metric="acc")
    pd.testing.assert_frame_equal(through_command_line, short)


def test_the_same_document_is_the_same_item_in_every_version():
    items = [
        set(ll.read_lm_eval(KINDS / run, metric="acc").item_id)
        for run in ("choices-0.4.7", "choices-0.4.8", "grouped-0.4.9.2", "choices-0.4.13")
    ]
    assert items[0] == items[1] == items[2] == items[3]
    assert len(items[0]) == 15


@pytest.mark.parametrize("run", ["chat-0.4.7", "exact-0.4.13"])
def test_a_chat(run):
    records = ll.read_lm_eval(KINDS / run, filter="flexible-extract", task="sums_written")
    assert records.prompt.to_list() == [
        f"What is {one['doc']['a']} + {one['doc']['b']}?"
        for one in lines(samples_of(run, "sums_written"))[:6]
    ]
    assert records.prediction.to_list() == records.target.to_list()
    assert records.score.to_list() == [1.0] * 6
    assert set(records.setting_chat_template) == {"applied"}
    strict = ll.read_lm_eval(KINDS / run, filter="strict-match", task="sums_written")
    assert strict.score.to_list() == [0.0, 1.0] * 3
    assert strict.prediction[0] == "The sum is 8"


def test_a_chat_of_several_turns_and_pictures():
    records = ll.read_lm_eval(KINDS / "pictured-0.4.13", filter="flexible-extract")
    first = lines(samples_of("pictured-0.4.13", "sums_pictured"))[0]["arguments"]["gen_args_0"]
    assert first.keys() == {"arg_0", "arg_1", "arg_2"}
    assert records.prompt[0] == "system: <image>\n\nuser: What is 3 + 5?"
    assert records.score.mean() == 1


def test_a_third_argument_beside_a_choice(copied):
    """As of a multimodal multiple choice, for which no small model is at hand."""

    def pictured(one):
        for request in one["arguments"].values():
            request["arg_2"] = {"visual": ["d6325bd2"]}

    plain = ll.read_lm_eval(KINDS / "choices-0.4.13", metric="acc", task="sums_small")
    folder = copied("choices-0.4.13", task="sums_small", line=pictured)
    found = ll.read_lm_eval(folder, metric="acc", task="sums_small")
    pd.testing.assert_frame_equal(found, plain)


def test_lists_in_place_of_objects_as_some_exporters_write(copied):
    def listed(one):
        one["arguments"] = [list(request.values()) for request in one["arguments"].values()]

    plain = ll.read_lm_eval(KINDS / "choices-0.4.13", metric="acc", task="sums_small")
    folder = copied("choices-0.4.13", task="sums_small", line=listed)
    found = ll.read_lm_eval(folder, metric="acc", task="sums_small")
    pd.testing.assert_frame_equal(found, plain)


def test_a_document_that_was_taken_out_is_not_needed(copied):
    plain = ll.read_lm_eval(KINDS / "choices-0.4.13", metric="acc")
    for change in (lambda one: one.pop("doc"), lambda one: one.update(doc=None)):
        folder = copied("choices-0.4.13", task="sums_small", line=change)
        pd.testing.assert_frame_equal(ll.read_lm_eval(folder, metric="acc"), plain)
        with pytest.raises(LookupError, match=r"6 of 6 items have no 'kind'.*: no fields"):
            ll.read_lm_eval(folder, metric="acc", task="sums_small", cluster="kind")


def test_log_likelihoods_of_ln_0():
    """The harness writes "-inf" where a server gives it."""
    records = ll.read_lm_eval(KINDS / "impossible-0.4.13", metric="acc")
    raw = lines(samples_of("impossible-0.4.13", "sums_small"))
    logs = np.array([[float(pair[0]) for pair in one["filtered_resps"]] for one in raw])
    assert np.isneginf(logs[range(6), [int(one["target"]) for one in raw]]).sum() == 3
    assert records.loglik.isna().sum() == 3
    assert records[["loglik_0", "loglik_1", "loglik_2"]].to_numpy() == pytest.approx(logs)
    told = results_of("impossible-0.4.13")["results"]["sums_small"]
    assert records.score.mean() == told["acc,none"] == 0.5
    normed = ll.read_lm_eval(KINDS / "impossible-0.4.13", metric="acc_norm")
    for table in (records, normed):
        assert ((table.prediction == table.target) == table.score).all()


def test_a_log_likelihood_that_is_nan_wins_as_in_the_harness(copied):
    """np.argmax, by which lm_eval/api/task.py scores, takes a nan for the highest."""

    def unknown(one):
        one["filtered_resps"][1][0] = "nan"

    folder = copied("choices-0.4.13", task="sums_small", line=unknown)
    for metric in ("acc", "acc_norm"):
        found = ll.read_lm_eval(folder, metric=metric, task="sums_small")
        assert set(found.prediction) == {"1"}
        assert found.loglik.isna().to_list() == (found.target == "1").to_list()


def test_choices_without_a_length_warn_of_nothing(copied):
    def empty(one):
        one["arguments"]["gen_args_1"]["arg_1"] = ""

    folder = copied("choices-0.4.13", task="sums_small", line=empty)
    found = ll.read_lm_eval(folder, metric="acc_norm", task="sums_small")
    assert set(found.prediction) <= {"0", "2"}


# Metrics ------------------------------------------------------------------------------------------


def test_lower_is_better():
    for run, mean in (("exact-0.4.13", 0.0), ("sloppy-0.4.13", 40 / 9)):
        records = ll.read_lm_eval(KINDS / run, metric="mae", task="sums_scored")
        assert records.score.mean() == pytest.approx(mean)
        assert set(records.higher_is_better) == {False}
    right = ll.read_lm_eval(KINDS / "sloppy-0.4.13", metric="right", task="sums_scored")
    assert set(right.higher_is_better) == {True}


def test_a_metric_that_some_items_lack():
    samples = samples_of("sloppy-0.4.13", "sums_scored")
    raw = [one.get("right_with_carry") for one in lines(samples)]
    assert raw[0] is None  # so that the first document does not say what metrics there are
    with pytest.raises(ValueError, match=r"7 of 9 items have no score .*, first in line 1, where"):
        ll.read_lm_eval(samples, metric="right_with_carry")
    with pytest.raises(ValueError, match='with --missing, or missing="keep"'):
        ll.read_lm_eval(samples, metric="right_with_carry")
    for run, mean in (("exact-0.4.13", 1.0), ("sloppy-0.4.13", 0.0)):
        samples = samples_of(run, "sums_scored")
        kept = ll.read_lm_eval(samples, metric="right_with_carry", missing="keep")
        assert kept.score.notna().to_list() == [value is not None for value in raw]
        assert kept.score.mean() == mean
        assert results_of(run)["results"]["sums_scored"]["right_with_carry,none"] == mean


def test_lengths_that_do_not_count_are_missing_and_no_score_of_minus_one(copied):
    """RULER's own functions scored these items: -1 where an item is of another length."""
    for run, mean in (("exact-0.4.13", 1.0), ("sloppy-0.4.13", 1 / 3)):
        samples = samples_of(run, "sums_lengths")
        raw = [one["4096"] for one in lines(samples)]
        assert raw.count(-1) == 3
        with pytest.raises(ValueError, match="3 of 9 items have no score '4096', first in line 1"):
            ll.read_lm_eval(samples, metric="4096")
        kept = ll.read_lm_eval(samples, metric="4096", missing="keep").score
        assert kept.mean() == pytest.approx(mean)
        assert kept.isna().to_list() == [value == -1 for value in raw]
    # Without the results nothing tells what a -1 means.
    folder = copied("exact-0.4.13")
    (results,) = folder.rglob("results_*.json")
    results.unlink()
    with pytest.raises(ValueError, match=r"3 of 9 items have '4096' -1, which is a score, or"):
        ll.read_lm_eval(samples_of(folder, "sums_lengths"), metric="4096", system="mine")


def test_scores_of_minus_one_that_count(copied):
    """As where a wrong answer costs a point: the reported mean counts them."""

    def marked(one):
        one["right"] = 1.0 if one["right"] else -1.0

    def told(results):
        results["results"]["sums_scored"]["right,none"] = 1 / 9

    folder = copied("sloppy-0.4.13", task="sums_scored", line=marked, results=told)
    found = ll.read_lm_eval(folder, metric="right", task="sums_scored")
    assert found.score.mean() == pytest.approx(1 / 9)


def test_a_metric_that_no_item_counts(copied):
    def none(one):
        one["8192"] = -1

    folder = copied("exact-0.4.13", task="sums_lengths", line=none)
    samples = samples_of(folder, "sums_lengths")
    with pytest.raises(ValueError, match=r"line 1: '8192' is -1, not one number .*: 4096 "):
        ll.read_lm_eval(samples, metric="8192", missing="keep")


def test_metrics_that_are_no_number_an_item():
    with pytest.raises(ValueError, match=r"line 1: 'word_perplexity' is \[-0.*, 5\], not one num"):
        ll.read_lm_eval(KINDS / "rolling-0.4.13")
    with pytest.raises(ValueError, match="there are: none by which items can be compared"):
        ll.read_lm_eval(KINDS / "rolling-0.4.13", metric="bits_per_byte")
    with pytest.raises(ValueError, match=r"has no scores: .*\(--predict_only\)"):
        ll.read_lm_eval(KINDS / "predicted-0.4.13")


def test_only_metrics_that_can_be_read_are_offered(copied):
    """As ifeval's, of which two metrics are lists: one an instruction."""

    def more(one):
        one["metrics"] += ["inst_level"]
        one["inst_level"] = [True, False]

    folder = copied("choices-0.4.13", task="sums_small", line=more)
    samples = samples_of(folder, "sums_small")
    for metric in (None, "f1"):
        with pytest.raises(LookupError, match=r"there are: acc, acc_norm \(choose with --metric"):
            ll.read_lm_eval(samples, metric=metric)
    with pytest.raises(ValueError, match=r"'inst_level' is \[True, False\].* are: acc, acc_norm"):
        ll.read_lm_eval(samples, metric="inst_level")


@pytest.mark.parametrize("value", [math.inf, None, math.nan])
def test_a_score_that_is_not_finite(copied, value):
    def break_one(one):
        one["mae"] = value

    def untold(results):
        results["results"]["sums_scored"]["mae,none"] = value

    folder = copied(
        "exact-0.4.13", task="sums_scored", line=break_one, which=slice(4, 5), results=untold
    )
    options = {"metric": "mae", "task": "sums_scored"}
    with pytest.raises(ValueError, match="1 of 9 items have no score 'mae', first in line 5"):
        ll.read_lm_eval(folder, **options)
    assert ll.read_lm_eval(folder, missing="keep", **options).score.isna().sum() == 1
    with pytest.raises(ValueError, match="missing must be 'refuse' or 'keep', not 'drop'"):
        ll.read_lm_eval(folder, missing="drop", **options)


# Which items, which tasks, which run --------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.4.9.2", "0.4.13"])
def test_items_that_samples_chose(version):
    """lm-eval 0.4.9 to 0.4.11 count all items in their results, whatever ``--samples`` took."""
    records = ll.read_lm_eval(KINDS / f"some-{version}", metric="acc")
    assert records.groupby("task").doc_id.apply(list).to_dict() == {
        "sums_small": [1, 4],
        "sums_large": [8, 0, 5, 2],
    }
    told = results_of(f"some-{version}")
    assert told["n-samples"]["sums_large"]["effective"] == (9 if version == "0.4.9.2" else 4)
    for task, part in records.groupby("task"):
        assert part.score.mean() == told["results"][task]["acc,none"]


def test_a_truncated_file_is_not_taken_for_chosen_items(copied):
    """Fewer items with the same mean: the standard error tells how many there were."""
    folder = copied("grouped-0.4.9.2")
    samples = samples_of(folder, "sums_small")
    raw = lines(samples)
    few = [next(one for one in reversed(raw) if one["acc"] == value) for value in (0, 1)]
    assert {one["doc_id"] for one in few} != {0, 1}
    assert results_of(folder)["results"]["sums_small"]["acc,none"] == 0.5
    samples.write_text("".join(json.dumps(one) + "\n" for one in few), "utf-8")
    with pytest.raises(ValueError, match="holds 2 items, but the results beside it say 6: the"):
        ll.read_lm_eval(samples, metric="acc")


def test_equal_scores_show_no_count_so_the_first_items_count_as_truncated(copied):
    for run, message in (
        ("chat-0.4.7", None),
        ("exact-0.4.13", "holds 5 items, but the results beside it say 9"),
    ):
        folder = copied(run)
        samples = samples_of(folder, "sums_scored")
        rows = samples.read_text("utf-8").splitlines(keepends=True)
        samples.write_text("".join(rows[:5]), "utf-8")
        with pytest.raises(ValueError, match="holds 5 items, but the results beside it say 9"):
            ll.read_lm_eval(samples, metric="mae")
        samples.write_text("".join(rows[2:7]), "utf-8")
        if message is None:  # as --samples of 0.4.9 leaves it
            assert len(ll.read_lm_eval(samples, metric="mae")) == 5
        else:
            with pytest.raises(ValueError, match=message):
                ll.read_lm_eval(samples, metric="mae")


def test_a_filter_that_lacks_an_item(copied):
    folder = copied(
        "exact-0.4.13",
        task="sums_written",
        line=lambda one: one.update(filter="other"),
        which=slice(2, 3),
    )
    with pytest.raises(ValueError, match="5 items of the filter 'strict-match', 1 items of the"):
        ll.read_lm_eval(folder, filter="flexible-extract", task="sums_written")


def test_tasks_by_name_and_pattern():
    run = KINDS / "exact-0.4.13"
    options = {"metric": {"sums_scored": "mae", "sums_lengths": "8192"}, "missing": "keep"}
    options["filter"] = {"sums_written": "strict-match"}
    whole = ll.read_lm_eval(run, **options)
    told = whole.groupby("task").metric.unique().map(list).to_dict()
    assert told == {
        "sums_lengths": ["8192"],
        "sums_scored": ["mae"],
        "sums_written": ["exact_match"],
    }
    for task, kept in (
        ("sums_w*", {"sums_written"}),
        (["sums_scored", "sums_[lw]*"], set(told)),
        ("*", set(told)),
    ):
        found = ll.read_lm_eval(run, task=task, **options)
        assert set(found.task) == kept
        expected = whole[whole.task.isin(kept)].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            found.dropna(axis=1, how="all"), expected.dropna(axis=1, how="all")
        )
    with pytest.raises(LookupError, match=r"no task 'sums_x' \(--task or task=\); there are: sums"):
        ll.read_lm_eval(run, task=["sums_written", "sums_x"], **options)


def test_a_mapping_may_name_a_metric_for_every_other_task():
    run = KINDS / "choices-0.4.13"
    records = ll.read_lm_eval(run, metric={"sums_large": "acc_norm", "": "acc"})
    assert records.groupby("task").metric.first().to_dict() == {
        "sums_large": "acc_norm",
        "sums_small": "acc",
    }
    with pytest.raises(LookupError, match=r"samples_sums_small.*no single metric: name one"):
        ll.read_lm_eval(run, metric={"sums_large": "acc_norm"})


def test_settings_and_revisions(copied):
    shots = ll.read_lm_eval(KINDS / "shots-0.4.13", metric="acc")
    assert set(shots.setting_shots) == {"1"}
    chat = ll.read_lm_eval(KINDS / "sloppy-0.4.13", metric="mae", task="sums_scored")
    assert set(chat.setting_system_instruction) == {"Add."}
    assert set(chat.setting_multiturn) == {"yes"}
    written = ll.read_lm_eval(KINDS / "exact-0.4.13", filter="strict-match", task="sums_written")
    assert set(written.setting_version) == {"2.0"}
    for change in (
        lambda told: told["config"].update(model_revision="step1000"),
        lambda told: told["config"].update(model_args="pretrained=ours/dummy,revision=step1000"),
        lambda told: told["config"]["model_args"].update(revision="step1000"),
    ):
        folder = copied("shots-0.4.13", results=change)
        assert set(ll.read_lm_eval(folder, metric="acc").system) == {"ours/dummy@step1000"}


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_a_model_without_a_name(copied, name):
    folder = copied("shots-0.4.13", results=lambda told: told.update(model_name=name))
    with pytest.raises(ValueError, match=r"results_\*.json names no model: put .* \(--names\)"):
        ll.read_lm_eval(folder, metric="acc")
    with pytest.raises(ValueError, match="system is empty"):
        ll.read_lm_eval(folder, metric="acc", system=" ")
    assert set(ll.read_lm_eval(folder, metric="acc", system="mine").system) == {"mine"}


# Files as they come -------------------------------------------------------------------------------


def test_a_mark_of_byte_order_and_windows_lines(copied):
    plain = ll.read_lm_eval(KINDS / "choices-0.4.13", metric="acc")
    folder = copied("choices-0.4.13")
    for path in folder.rglob("*.json*"):
        text = path.read_text("utf-8").replace("\n", "\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")
    pd.testing.assert_frame_equal(ll.read_lm_eval(folder, metric="acc"), plain)


@pytest.mark.parametrize(("encoding", "place"), [("utf-16", 0), ("latin-1", 30)])
@pytest.mark.parametrize("file", ["samples_sums_small", "results"])
def test_another_encoding(copied, encoding, place, file):
    folder = copied("choices-0.4.13")
    (path,) = folder.rglob(f"{file}_*.json*")
    text = path.read_text("utf-8")
    path.write_bytes((text[:30] + "é" + text[30:]).encode(encoding))
    where = ", line 1" if file != "results" else ""
    with pytest.raises(ValueError, match=rf"{path.name}'{where} is not UTF-8 .* byte {place}\)"):
        ll.read_lm_eval(folder, metric="acc")


def test_half_an_emoji_in_an_answer(copied):
    def half(one):
        one["filtered_resps"] = ["good \ud83d"]

    folder = copied("exact-0.4.13", task="sums_scored", line=half, which=slice(2, 3))
    found = ll.read_lm_eval(folder, metric="mae", task="sums_scored")
    assert found.prediction[2] == "good ?"

    def in_document(one):
        one["doc"]["kind"] = "odd \ud83d"

    folder = copied("exact-0.4.13", task="sums_scored", line=in_document)
    found = ll.read_lm_eval(folder, metric="mae", task="sums_scored", cluster="kind")
    assert set(found.cluster) == {"odd ?"}


def test_whatever_else_goes_wrong_names_the_file(copied, monkeypatch):
    folder = copied("shots-0.4.13")

    def fail(*_):
        raise AttributeError("'list' object has no attribute 'values'")

    monkeypatch.setattr(logs_lm_eval, "_answers", fail)
    with pytest.raises(
        ValueError, match=r"samples_sums_small.*': AttributeError: 'list' .* damaged"
    ):
        ll.read_lm_eval(folder, metric="acc")


def test_a_number_that_is_too_long(copied):
    folder = copied("shots-0.4.13")
    samples = samples_of(folder, "sums_small")
    text = samples.read_text("utf-8").replace('"doc_id": 2', f'"doc_id": {"9" * 5000}')
    samples.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=r"line 3 is not whole JSON .*: the line is damaged"):
        ll.read_lm_eval(folder, metric="acc")


def test_packed_logs_and_those_of_macos(copied):
    folder = copied("choices-0.4.13")
    for path in list(folder.rglob("samples_*.jsonl")):
        path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07")
    assert not [file for file in files_in(folder) if file.name.startswith("._")]
    assert len(ll.read_lm_eval(folder, metric="acc")) == 15
    for path in list(folder.rglob("samples_*.jsonl")):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    with pytest.raises(ValueError, match=r"unpack samples_sums_large.*\.jsonl\.gz first"):
        ll.read_lm_eval(folder, metric="acc")


@pytest.mark.parametrize("name", ["out.jsonl", "x.json", "out.parquet", "samples_x.jsonl"])
def test_a_folder_with_the_name_of_a_file(copied, tmp_path, name):
    """As of ``--output_path out.jsonl``."""
    copied("choices-0.4.13").rename(tmp_path / name)
    (found,) = read_systems([tmp_path / name], metric="acc")
    assert len(found) == 15
    (found,) = read_systems([tmp_path], metric="acc")
    assert len(found) == 15


def test_several_dates_of_a_task(copied):
    folder = copied("choices-0.4.13")
    for path in list(folder.rglob("*.json*")):
        shutil.copy(path, path.with_name(path.name.replace("2026", "2027")))
    with pytest.raises(
        ValueError, match=r"samples_sums_large_2026.* and .*samples_sums_large_2027"
    ):
        ll.read_lm_eval(folder, metric="acc")
    later = next(folder.rglob("results_2027*.json"))
    assert len(ll.read_lm_eval(later, metric="acc")) == 15


# Damage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 3, "text", [], {}, [[]], {"gen_args_0": {}}, [3], [None]])
@pytest.mark.parametrize("field", ["arguments", "filtered_resps", "metrics", "filter", "doc_hash"])
def test_fields_of_another_type(copied, field, value):
    """A line is read, or the error says where it is and what stands there."""
    for run, task in (("choices-0.4.13", "sums_small"), ("exact-0.4.13", "sums_scored")):
        folder = copied(
            run, task=task, line=lambda one: one.update({field: value}), which=slice(3, 4)
        )
        samples = samples_of(folder, task)
        metric = {"sums_small": "acc", "sums_scored": "mae"}[task]
        said = ""
        try:
            assert len(ll.read_lm_eval(samples, metric=metric)) in (6, 9)
        except (ValueError, LookupError) as error:
            said = f"{type(error).__name__}: {error}"
        if said:
            assert said.startswith(("ValueError: ", "LookupError: "))
            assert samples.name in said
            assert "line 4" in said or field in ("filter", "metrics")


@pytest.mark.parametrize(
    "change",
    [
        {"n-samples": None},
        {"n-samples": {"sums_small": None}},
        {"results": {"sums_small": None}},
        {"results": {"sums_small": {"acc,none": "N/A"}}},
        {"results": {"sums_small": {"acc,none": [1]}}},
        {"group_subtasks": None},
        {"group_subtasks": {"adding": None, "sums": [["sums_small"]]}},
        {"group_subtasks": {"adding": ["sums"], "sums": ["sums_small", "adding"]}},
        {"higher_is_better": None},
        {"higher_is_better": {"sums_small": {"acc": "yes"}}},
        {"versions": []},
        {"config": None},
    ],
)
def test_results_that_say_less(copied, change):
    folder = copied("choices-0.4.13", results=lambda told: told.update(change))
    found = ll.read_lm_eval(folder, metric="acc", task="sums_small")
    assert found.score.to_list() == [one["acc"] for one in lines(samples_of(folder, "sums_small"))]


def test_results_that_are_none(copied):
    for change in (lambda told: told.update(results=None), lambda told: told.clear()):
        folder = copied("choices-0.4.13", results=change)
        with pytest.raises(ValueError, match=r"results_.*stands where lm_eval writes its results"):
            ll.read_lm_eval(folder, metric="acc")


def test_a_function_for_the_clusters_that_fails():
    with pytest.raises(
        ValueError, match="line 1: the function given as cluster= ended in KeyError"
    ):
        ll.read_lm_eval(KINDS / "shots-0.4.13", metric="acc", cluster=lambda doc: doc["film"])


# Several paths ------------------------------------------------------------------------------------


def test_paths_of_one_system_with_different_tasks_are_one_system():
    files = [
        samples_of(run, task)
        for run in ("exact-0.4.13", "sloppy-0.4.13")
        for task in ("sums_written", "sums_scored")
    ]
    (found,) = read_systems(
        files, filter={"sums_written": "strict-match"}, metric={"sums_scored": "mae"}
    )
    assert found.groupby("system", sort=False).task.unique().map(list).to_dict() == {
        "exact": ["sums_written", "sums_scored"],
        "sloppy": ["sums_written", "sums_scored"],
    }
    named = read_systems(
        files,
        names=["a", "a", "b", "b"],
        filter={"sums_written": "strict-match"},
        metric={"sums_scored": "mae"},
    )
    assert set(pd.concat(named).system) == {"a", "b"}
    with pytest.raises(ValueError, match="the name 'a' stands for two systems"):
        read_systems(files[::2], names=["a", "a"], filter="strict-match")


def test_files_of_one_model_are_told_apart_by_their_folders():
    files = [
        samples_of(run, task)
        for run in ("choices-0.4.13", "grouped-0.4.9.2")
        for task in ("sums_small", "sums_large")
    ]
    (found,) = read_systems(files, metric="acc")
    assert found.groupby("system", sort=False).task.nunique().to_dict() == {
        "choices-0.4.13/ours__dummy": 2,
        "grouped-0.4.9.2/ours__dummy": 2,
    }
    with pytest.raises(ValueError, match="the same path is given twice"):
        read_systems([files[0], files[0]], metric="acc")


def test_a_task_that_no_path_holds():
    with pytest.raises(LookupError, match=r"--metric or metric= names the task 'sums_x', which no"):
        read_systems([KINDS / "choices-0.4.13"], metric={"sums_x": "acc", "": "acc"})
    with pytest.raises(LookupError, match="has no task 'sums_x'"):
        read_systems([KINDS / "choices-0.4.13"], metric="acc", task="sums_x")


def test_lm_eval_beside_inspect():
    inspect = KINDS.parent / "inspect" / "sentiment.eval"
    both = read_systems([KINDS / "shots-0.4.13", inspect], metric="acc", scorer="match")
    assert [set(table.system) for table in both] == [{"ours/dummy"}, {"smollm2/sentiment"}]
    with pytest.raises(ValueError, match="has no scorer to choose: leave out --scorer"):
        read_systems([KINDS / "shots-0.4.13"], metric="acc", scorer="match")


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("per_instance_stats.json", "HELM"),
        ("details_mmlu.parquet", "lighteval"),
        ("20260101_samples_mmmu.jsonl", "lmms-eval"),
    ],
)
def test_files_of_other_tools(tmp_path, name, tool):
    (tmp_path / name).write_text("{}")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(ValueError, match=f"{name} looks like a file of {tool}"):
            read_systems([path])
