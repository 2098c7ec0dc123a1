"""Logs that lm-evaluation-harness and Inspect really wrote, read as records.

``tests/logs`` holds them with the scripts that made the tools write them. Damaged logs are copies,
damaged here.
"""

import json
import re
import shutil
import zipfile
from pathlib import Path

import inspect_ai.log  # noqa: F401, teaches zipfile the compression of .eval files
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import lleval_lib as ll
from lleval_lib import logs_lm_eval_results
from lleval_lib.logs import read_systems
from lleval_lib.logs_common import read_json

LOGS = Path(__file__).parent / "logs"
LM_EVAL, INSPECT = LOGS / "lm_eval", LOGS / "inspect"


def lm_eval_files(folder):
    """Return the samples and the results file of a run."""
    (samples,) = folder.rglob("samples_*.jsonl")
    (results,) = folder.rglob("results_*.json")
    return samples, results


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def run(tmp_path):
    """Return a copy of the run "sentiment", to be damaged: its samples and its results file."""
    shutil.copytree(LM_EVAL / "sentiment" / "smollm2-135m", tmp_path / "run")
    return lm_eval_files(tmp_path / "run")


def rewrite(samples, change, which=slice(None)):
    """Apply `change` to the objects of a samples file in place."""
    objects = lines(samples)
    for one in objects[which]:
        change(one)
    samples.write_text("".join(json.dumps(one) + "\n" for one in objects), "utf-8")


# What is committed ------------------------------------------------------------------------------


def texts():
    """Yield name and text of every committed log, unpacked."""
    for path in sorted(p for p in LOGS.rglob("*") if p.suffix in (".json", ".jsonl")):
        yield path.name, path.read_text("utf-8")
    for path in sorted(INSPECT.rglob("*.eval")):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                yield f"{path.name}:{member}", archive.read(member).decode("utf-8")


def test_committed_logs_are_small_and_name_no_machine():
    logs = [p for p in LOGS.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")]
    assert sum(p.stat().st_size for p in logs) < 1_200_000
    private = re.compile(r"/(?:home|root|Users|tmp|work|usr|opt|private|var)/|[A-Z]:\\\\|File \\\"")
    found = {name: hit[0] for name, text in texts() if (hit := private.search(text))}
    assert not found
    for name, text in texts():
        if "results_" in name:
            assert json.loads(text)["pretty_env_info"] == ""
        if name.endswith(("header.json", "start.json", "choice.json")):
            evaluated = json.loads(text)["eval"]
            assert not {"task_file", "revision"} & evaluated.keys()
            assert "location" not in evaluated["dataset"]
        for key in re.findall(r'"traceback(?:_ansi)?": ?"(.*?)"', text):
            assert key == ""


def auc(records, yes, no, target):
    """Return how often an item whose target it is has the higher log odds of `yes`."""
    odds = records[f"loglik_{yes}"] - records[f"loglik_{no}"]
    return roc_auc_score(records.target == target, odds)


def test_the_answers_in_the_logs_are_those_of_the_recorded_systems():
    """Both tools asked SmolLM2 what the recorded systems were asked, and heard the same."""
    recorded = ll.load_records("reviews").set_index(["system", "item_id"])
    log = ll.read_lm_eval(
        LM_EVAL / "sentiment", metric="acc", cluster=lambda document: document["id"]
    )
    ours = recorded.loc["smollm2 sentiment"].loc[log.cluster]
    for answer, choice in (("fresh", "positive"), ("rotten", "negative")):
        theirs = log[f"loglik_{choice}"].to_numpy()
        assert theirs == pytest.approx(ours[f"loglik_{answer}"].to_numpy(), abs=2e-3)
    # So the code of a live task runs on a log: its columns are named by the text of the choices.
    expected = auc(ours, "fresh", "rotten", target="fresh")
    assert auc(log, "positive", "negative", target="0") == pytest.approx(expected, abs=0.005)
    for name in ("sentiment", "question"):
        log = ll.read_inspect(INSPECT / f"{name}.eval").set_index("sample_id")
        ours = recorded.loc[f"smollm2 {name}"].loc[log.index]
        assert (log.score == ours.score).mean() >= 0.97  # a tie may fall either way


# lm-evaluation-harness: what is read --------------------------------------------------------------


def test_records_of_a_multiple_choice_task():
    samples, results = lm_eval_files(LM_EVAL / "sentiment")
    records = ll.read_lm_eval(LM_EVAL / "sentiment", metric="acc", cluster="film")
    raw = lines(samples)
    assert len(records) == len(raw) == 48
    assert set(records.system) == {"smollm2-135m"}
    assert set(records.task) == {"reviews"}
    assert set(records.source) == {"lm-eval 0.4.13"}
    assert records.cluster.nunique() == 12
    assert records.cluster.to_list() == [one["doc"]["film"] for one in raw]
    assert records.item_id.to_list() == [one["doc_hash"][:16] for one in raw]
    assert records.doc_id.to_list() == list(range(48))
    assert records.target.to_list() == [one["target"] for one in raw]
    assert records.score.to_list() == [one["acc"] for one in raw]
    assert records.prompt[0] == f"Review: {raw[0]['doc']['text']}\nSentiment:"
    reported = json.loads(results.read_text("utf-8"))["results"]["reviews"]
    assert records.score.mean() == pytest.approx(reported["acc,none"])
    logliks = records[["loglik_positive", "loglik_negative"]].to_numpy()
    assert (logliks < 0).all()
    assert records.loglik.to_list() == [
        row[int(target)] for row, target in zip(logliks, records.target, strict=True)
    ]


@pytest.mark.parametrize("name", ["sentiment", "critic"])
@pytest.mark.parametrize("metric", ["acc", "acc_norm"])
def test_prediction_is_the_one_that_the_metric_scored(name, metric):
    records = ll.read_lm_eval(LM_EVAL / name, metric=metric)
    assert ((records.prediction == records.target) == records.score).all()


def test_the_two_metrics_differ_where_choices_differ_in_length():
    by_sum, by_length = (ll.read_lm_eval(LM_EVAL / "critic", metric=m) for m in ("acc", "acc_norm"))
    assert (by_sum.prediction != by_length.prediction).any()
    assert by_sum.loglik.equals(by_length.loglik)


def test_a_target_in_words_names_the_choice_in_words(run):
    def in_words(one):
        one["target"] = ["positive", "negative"][int(one["target"])]

    rewrite(run[0], in_words)
    records = ll.read_lm_eval(run[0], metric="acc")
    assert set(records.prediction) == {"positive", "negative"}
    assert ((records.prediction == records.target) == records.score).all()
    assert records.loglik.equals(ll.read_lm_eval(LM_EVAL / "sentiment", metric="acc").loglik)


def test_records_of_a_written_task_by_filter():
    strict, lenient = (
        ll.read_lm_eval(LM_EVAL / "written", filter=name) for name in ("strict", "lenient")
    )
    assert strict.item_id.to_list() == lenient.item_id.to_list()
    assert len(strict) == 15
    assert set(strict.task) == {"reviews_written"}
    assert lenient.score.mean() > strict.score.mean()
    assert strict.loglik.isna().all()
    assert set(lenient.prediction) <= {"positive", "negative", "[invalid]"}
    for records in (strict, lenient):
        assert ((records.prediction == records.target) == records.score).all()
    # A function may choose the cluster, and the first 15 documents are those of the other runs.
    other = ll.read_lm_eval(LM_EVAL / "sentiment", metric="acc")
    assert strict.item_id.to_list() == other.item_id[:15].to_list()


def test_file_results_and_folder_are_the_same_run():
    samples, results = lm_eval_files(LM_EVAL / "critic")
    folder = ll.read_lm_eval(LM_EVAL / "critic", metric="acc")
    for path in (samples, results, str(samples), samples.parent):
        pd.testing.assert_frame_equal(ll.read_lm_eval(path, metric="acc"), folder)


def test_items_match_across_systems():
    tables = [
        ll.read_lm_eval(LM_EVAL / name, metric="acc", cluster="film", system=name)
        for name in ("sentiment", "critic")
    ]
    scores = [
        np.array([one["acc"] for one in lines(lm_eval_files(LM_EVAL / name)[0])])
        for name in ("sentiment", "critic")
    ]
    shuffled = tables[1].sample(frac=1, random_state=0)
    found = ll.compare(tables[0], shuffled)
    assert (found.a, found.b) == ("sentiment", "critic")
    assert found.difference.estimate == pytest.approx(np.mean(scores[1] - scores[0]))
    films = [one["doc"]["film"] for one in lines(lm_eval_files(LM_EVAL / "critic")[0])]
    assert found.difference == ll.compare(*scores, cluster=films).difference


def _choices(*texts):
    """Return a change of an item that gives its choices other texts."""

    def change(one):
        requests = one["arguments"].values()
        for request, text in zip(requests, texts, strict=True):
            request["arg_1"] = text

    return change


def test_likelihoods_are_named_by_text_where_all_items_have_the_same_choices(run):
    samples, _ = run
    by_text = ll.read_lm_eval(samples, metric="acc")

    def turned_around(one):
        _choices(" negative", " positive")(one)
        one["filtered_resps"] = one["filtered_resps"][::-1]

    rewrite(samples, turned_around, slice(0, 7))  # as where the choices are shuffled by item
    names = ["loglik_positive", "loglik_negative"]
    pd.testing.assert_frame_equal(ll.read_lm_eval(samples, metric="acc")[names], by_text[names])
    numbered = {"loglik_0": by_text.loglik_positive, "loglik_1": by_text.loglik_negative}
    for texts in ((" yes", " no"), (" same", "same")):
        rewrite(samples, _choices(" positive", " negative"))
        rewrite(samples, _choices(*texts), slice(7, 9))
        records = ll.read_lm_eval(samples, metric="acc")
        assert not set(names) & set(records)
        for name, values in numbered.items():
            assert records[name][7:].to_list() == values[7:].to_list()


def test_a_folder_of_several_tasks_gives_them_all(run, monkeypatch):
    samples, results = run
    for name in ("reviews_again", "third"):
        shutil.copy(samples, samples.with_name(samples.name.replace("reviews", name)))
    read = []
    monkeypatch.setattr(
        logs_lm_eval_results, "read_json", lambda path: read.append(path) or read_json(path)
    )
    records = ll.read_lm_eval(samples.parent, metric="acc")
    assert records.groupby("task").size().to_dict() == dict.fromkeys(
        ["reviews", "reviews_again", "third"], 48
    )
    assert read == [results]  # a run's results are read once, not once a task


def test_clusters_by_path_and_by_function(run):
    samples, _ = run
    rewrite(samples, lambda one: one["doc"].update(meta={"film": one["doc"]["film"], "year": 2002}))
    by_path = ll.read_lm_eval(samples, metric="acc", cluster="meta.film")
    assert (
        by_path.cluster.to_list()
        == ll.read_lm_eval(samples, metric="acc", filter="none", cluster="film").cluster.to_list()
    )
    by_function = ll.read_lm_eval(samples, metric="acc", cluster=lambda d: d["film"] < "f")
    assert set(by_function.cluster) == {"True", "False"}
    assert set(ll.read_lm_eval(samples, metric="acc", cluster="meta.year").cluster) == {"2002"}
    none = ll.read_lm_eval(samples, metric="acc")
    assert none.cluster.to_list() == none.item_id.to_list()


def test_copies_of_a_document_are_items_of_their_own(run):
    samples, _ = run
    first = lines(samples)[0]["doc_hash"]
    rewrite(samples, lambda one: one.update(doc_hash=first), slice(1, 3))
    items = ll.read_lm_eval(samples, metric="acc").item_id
    assert items[:3].to_list() == [first[:16], f"{first[:16]}#2", f"{first[:16]}#3"]
    assert items.is_unique


def test_a_line_separator_inside_a_text_does_not_end_the_line(run):
    samples, _ = run
    objects = lines(samples)
    objects[0]["doc"]["text"] = "two\u2028lines\u0085or three"
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)
    samples.write_text(text, "utf-8")
    assert len(ll.read_lm_eval(samples, metric="acc")) == 48


def test_samples_alone_need_a_name(run):
    samples, results = run
    results.unlink()
    with pytest.raises(ValueError, match=r"does not say what was evaluated .* or give system="):
        ll.read_lm_eval(samples, metric="acc")
    records = ll.read_lm_eval(samples, metric="acc", system="mine")
    assert set(records.system) == {"mine"}
    assert set(records.source) == {"lm-eval"}


# lm-evaluation-harness: what is refused -----------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "has no single metric: name one; there are: acc, acc_norm"),
        ({"metric": "f1"}, "has no metric 'f1'; there are: acc, acc_norm"),
        ({"metric": "acc", "filter": "strict"}, "has no filter 'strict'; there are: none"),
        (
            {"metric": "acc", "cluster": "movie"},
            "48 of 48 items have no 'movie' to cluster by, such as '.*there are: id, film, text",
        ),
        ({"metric": "acc", "cluster": "film.name"}, "48 of 48 items have no 'film.name'"),
    ],
)
def test_an_unknown_name_lists_those_there_are(options, message):
    with pytest.raises(LookupError, match=message):
        ll.read_lm_eval(LM_EVAL / "sentiment", **options)


def test_two_filters_need_a_choice():
    with pytest.raises(LookupError, match="no single filter: name one; there are: strict, lenient"):
        ll.read_lm_eval(LM_EVAL / "written")


def test_an_item_without_a_cluster(run):
    rewrite(run[0], lambda one: one["doc"].update(film=None), slice(5, 6))
    with pytest.raises(LookupError, match="1 of 48 items have no 'film' to cluster by"):
        ll.read_lm_eval(run[0], metric="acc", cluster="film")


def _cut(samples):
    samples.write_text(samples.read_text("utf-8")[:-300], "utf-8")


def _damage(samples):
    rows = samples.read_text("utf-8").split("\n")
    rows[9] = rows[9][:50]
    samples.write_text("\n".join(rows), "utf-8")


def _old(samples):
    rewrite(samples, lambda one: (one.pop("filter"), one.pop("metrics")))


def _mixed(samples):
    rewrite(samples, lambda one: one.pop("filter"), slice(30, None))


def _older(samples):
    samples.write_text(json.dumps(lines(samples)), "utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda samples: samples.write_text(""), "jsonl' is empty: the evaluation wrote no items"),
        (lambda samples: samples.write_text("\n"), "jsonl' is empty"),
        (lambda samples: samples.write_text("hello\n"), "line 1 is not whole JSON"),
        (_cut, "line 48 is not whole JSON .* the file is truncated; copy or write it anew"),
        (_damage, "line 10 is not whole JSON .* the line is damaged"),
        (_old, "line 1: the field 'filter' is not there; lm-eval 0.4.7 and newer do not write it"),
        (_mixed, "line 31: the field 'filter' is not there"),
        (_older, "line 1: this is no object with fields"),
        (
            lambda samples: rewrite(samples, lambda one: one.update(acc=[0, 1]), slice(3, 4)),
            r"line 4: 'acc' is \[0, 1\], not one number .* another metric of acc, acc_norm",
        ),
        (
            lambda samples: rewrite(samples, lambda one: one.update(acc=float("nan")), slice(3, 4)),
            "the mean of the items is 0.744681, but the log reports 0.75",
        ),
        (
            lambda samples: rewrite(samples, lambda one: one.update(acc=1.0)),
            r"the mean of the items is 1, but the log reports 0.75; the files are of different",
        ),
        (
            lambda samples: samples.write_text("".join(samples.open().readlines()[:40])),
            "holds 40 items, but the results beside it say 48: the file is truncated",
        ),
    ],
)
def test_a_damaged_samples_file(run, damage, message):
    samples, _ = run
    damage(samples)
    with pytest.raises(ValueError, match=message) as raised:
        ll.read_lm_eval(samples, metric="acc")
    assert samples.name in str(raised.value)


@pytest.mark.parametrize("version", ["0.5.0.dev1", "No package metadata was found", None])
def test_a_log_is_known_by_its_fields_not_by_its_version(run, version):
    samples, results = run
    content = json.loads(results.read_text("utf-8"))
    content["lm_eval_version"] = version
    if version is None:
        del content["lm_eval_version"]
    results.write_text(json.dumps(content))
    for path in (samples, results, results.parent):
        (found,) = read_systems([path], metric="acc")
        assert set(found.source) == {f"lm-eval {version or ''}".strip()}


def test_truncated_results(run):
    _, results = run
    results.write_text(results.read_text("utf-8")[:500])
    with pytest.raises(ValueError, match=f"{results.name}' is not whole JSON .* truncated"):
        ll.read_lm_eval(results.parent, metric="acc")


@pytest.fixture
def second_run(run):
    """Return a function that adds a later run to the folder of `run`, its results changed."""

    def add(**changes):
        samples, results = (p.with_name(p.name.replace("T01-", "T02-")) for p in run)
        shutil.copy(run[0], samples)
        results.write_text(json.dumps(json.loads(run[1].read_text("utf-8")) | changes))
        return samples.parent

    return add


def test_two_runs_of_a_task(second_run):
    with pytest.raises(ValueError, match="are two runs of task 'reviews' by 'smollm2-135m'; say"):
        ll.read_lm_eval(second_run(), metric="acc")


def test_two_versions_in_one_folder(second_run):
    folder = second_run(lm_eval_version="0.4.9", model_name="other")
    with pytest.raises(ValueError, match=r"written by lm-eval 0\.4\.13 and .* by lm-eval 0\.4\.9"):
        ll.read_lm_eval(folder, metric="acc")


def test_two_systems_in_one_folder(second_run):
    records = ll.read_lm_eval(second_run(model_name="other"), metric="acc")
    assert set(records.system) == {"smollm2-135m", "other"}


def test_no_samples_or_no_file(tmp_path, run):
    samples, results = run
    (tmp_path / "bare").mkdir()
    with pytest.raises(ValueError, match=r"no samples_.*jsonl in or beside .* --log_samples"):
        ll.read_lm_eval(tmp_path / "bare")
    shutil.copy(results, tmp_path / "bare")
    with pytest.raises(ValueError, match="--log_samples"):
        ll.read_lm_eval(tmp_path / "bare" / results.name)
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*nothing"):
        ll.read_lm_eval(tmp_path / "nothing")
    renamed = samples.rename(samples.with_name("mine.jsonl"))
    with pytest.raises(ValueError, match=r"is not named samples_<task>_<date>.jsonl"):
        ll.read_lm_eval(renamed)


# Whatever tool wrote it ---------------------------------------------------------------------------


def test_systems_are_named_by_their_logs_or_else_by_their_paths(tmp_path):
    logs = [INSPECT / "sentiment.eval", INSPECT / "question.eval"]
    assert [set(t.system) for t in read_systems(logs)] == [
        {"smollm2/sentiment"},
        {"smollm2/question"},
    ]
    # lm-eval's logs give the model only, and both are of one model.
    runs = [LM_EVAL / "sentiment", LM_EVAL / "critic"]
    assert [set(t.system) for t in read_systems(runs, metric="acc")] == [{"sentiment"}, {"critic"}]
    files = [lm_eval_files(run)[0] for run in runs]
    names = [t.system[0] for t in read_systems(files, metric="acc")]
    assert [name.split("/")[0] for name in names] == ["sentiment", "critic"]
    given = read_systems(logs, names=["a", "b"], cluster="film")
    assert [set(t.system) for t in given] == [{"a"}, {"b"}]
    assert {t.cluster.nunique() for t in given} == {12}


def test_records_of_our_own(tmp_path):
    records = ll.load_records("reviews")
    two = records[records.system.isin(["tf-idf", "minilm probe"])]
    path = tmp_path / "two.parquet"
    ll.write_records(two, path)
    (found,) = read_systems([path])
    assert set(found.system) == {"tf-idf", "minilm probe"}
    (found,) = read_systems([path], cluster="target")
    assert set(found.cluster) == {"fresh", "rotten"}
    with pytest.raises(LookupError, match="has no column 'movie'; there are: system, task"):
        read_systems([path], cluster="movie")
    with pytest.raises(ValueError, match="names its 2 systems itself"):
        read_systems([path], names=["a"])
    with pytest.raises(ValueError, match="the name 'tf-idf' stands for two systems"):
        read_systems([path, path])


@pytest.mark.parametrize(
    ("paths", "options", "message"),
    [
        (["sentiment"], {"names": ["a", "b"]}, "1 paths need 1 names, not 2"),
        (["sentiment", "sentiment"], {"metric": "acc"}, "the same path is given twice"),
        (["sentiment", "critic"], {"metric": "acc", "names": ["a", "a"]}, "'a' stands for two"),
        (["sentiment"], {"scorer": "match"}, "has no scorer to choose: leave out --scorer"),
        (["../inspect/question.eval"], {"metric": "acc"}, "has no metric to choose"),
        (["../write_inspect.py"], {}, "is no log that we know"),
        ([".."], {}, "holds logs of Every Eval Ever and of lm-eval and of Inspect"),
    ],
)
def test_paths_that_do_not_fit(paths, options, message):
    with pytest.raises(ValueError, match=message):
        read_systems([LM_EVAL / path for path in paths], **options)


def test_an_empty_folder_or_none(tmp_path):
    with pytest.raises(ValueError, match="but holds none"):
        read_systems([tmp_path])
    with pytest.raises(FileNotFoundError):
        read_systems([tmp_path / "nothing"])
