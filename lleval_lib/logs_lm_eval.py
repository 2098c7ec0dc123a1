"""Read the logs of lm-evaluation-harness as records."""

import json
import math
import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from .logs_common import Cluster, check_mean, cluster_labels, files_in, one_table, pick, read_json
from .records import make_records

_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl")
_FIELDS = ("doc", "target", "arguments", "filtered_resps", "filter", "metrics", "doc_hash")


def read_lm_eval(
    path: str | Path,
    *,
    metric: str | None = None,
    filter: str | None = None,
    system: str | None = None,
    cluster: Cluster = None,
) -> pd.DataFrame:
    """Return the records in logs that lm-evaluation-harness 0.4.7 or newer wrote.

    `path` is a ``samples_*.jsonl``, which ``--log_samples`` writes, the ``results_*.json`` beside
    it, or a folder that holds such files at any depth: one task or many, one model or many.

    `metric` names the score of an item, such as "acc" or "acc_norm", and `filter` the filter
    before it; each may be left out where there is only one. `system` names what was evaluated,
    else the model's name in the results does. `cluster` is a field of the documents, such as
    "film" or "meta.passage", or a function of a document; without it every item is its own
    cluster.

    ``item_id`` is made from the harness's hash of the document, so that the same document is the
    same item in every run; the nth copy of a document ends in "#n". For multiple choice
    ``prediction`` is the choice that the metric took, in the terms of the target: for "acc_norm"
    and "acc_bytes" the log-likelihood is divided by the choice's length. ``loglik`` is that of the
    target, in nats, and each choice has a column: ``loglik_<its text>`` where the items of a task
    have the same choices, such as ``loglik_yes``, else by its number, ``loglik_0``, ``loglik_1``,
    … For other tasks ``prediction`` is the filtered answer and ``loglik`` is missing. Further
    columns: ``doc_id``, and ``source``, the version that wrote the log.

    >>> records = read_lm_eval("output/my-model", metric="acc", cluster="film")  # doctest: +SKIP

    Raises ``LookupError`` for an unknown metric, filter or field, listing those there are, and
    ``ValueError``, naming file and line, for a log that is empty, truncated, of another version,
    that holds two runs of a task by one system, or whose mean is not the one in the results.
    """
    # A run has one file of results, however many tasks it has.
    results_of = cache(_results)

    def read(samples):
        task, date = _name_parts(samples)
        results = results_of(samples.parent, date)
        return _read_samples(samples, task, results, metric, filter, system, cluster)

    return one_table(_samples(Path(path)), read)


def is_log(path: Path) -> bool:
    """Return whether a file is, by its name, one of the two kinds that lm_eval writes."""
    return path.match("samples_*.jsonl") or path.match("results_*.json")


def _samples(path: Path) -> list[Path]:
    files = files_in(path)
    if path.is_dir():
        found = [file for file in files if file.match("samples_*.jsonl")]
    elif path.suffix == ".jsonl":
        found = files
    else:
        date = re.search(r"\d{4}-\d\d-\d\dT[\d.-]+(?=\.json)", path.name)
        found = sorted(path.parent.glob(f"samples_*_{date[0]}.jsonl")) if date else []
    if not found:
        raise ValueError(
            f"there are no samples_*.jsonl in or beside {str(path)!r}: run lm_eval with "
            "--log_samples, which writes the score of every item"
        )
    return found


def _name_parts(samples: Path) -> tuple[str, str]:
    """Return the task and the date in the name of a file of samples."""
    parts = _SAMPLES.fullmatch(samples.name)
    if parts is None:
        raise ValueError(
            f"{str(samples)!r} is not named samples_<task>_<date>.jsonl, as lm_eval names it; the "
            "name says which task it is, so rename it back"
        )
    return parts["task"], parts["date"]


def _results(folder: Path, date: str) -> dict:
    """Return the results of the run of that date, or nothing if their file is not there."""
    files = sorted(folder.glob(f"*_{date}.json"))
    if not files:
        return {}
    results = read_json(files[0])
    version = str(results.get("lm_eval_version", "of unknown version"))
    if not version.startswith("0.4."):
        raise ValueError(
            f"{str(files[0])!r} was written by lm-eval {version}; this reader knows the logs of "
            "0.4.7 and newer 0.4.x"
        )
    return results


def _read_samples(samples, task, results, metric, filter, system, cluster) -> pd.DataFrame:
    what, lines = repr(str(samples)), _json_lines(samples)
    filter = pick(filter, list(dict.fromkeys(line["filter"] for line in lines)), what, "filter")
    lines = [line for line in lines if line["filter"] == filter]
    metric = pick(metric, lines[0]["metrics"], what, "metric")
    system = system or results.get("model_name")
    if system is None:
        raise ValueError(
            f"{what} does not say what was evaluated and its results_*.json is not beside it: "
            "put it there, or give system="
        )
    item_ids = _item_ids([line["doc_hash"] for line in lines])
    items = pd.DataFrame(
        {
            "item_id": item_ids,
            "cluster": cluster_labels(cluster, [line["doc"] for line in lines], item_ids, what),
            "target": [str(line["target"]) for line in lines],
        }
    )
    scores = [_score(line, metric, what) for line in lines]
    _check_against(results, scores, task, metric, filter, what)
    return make_records(
        system,
        task,
        items,
        score=scores,
        prompt=[str(_arguments(line)[0][0]) for line in lines],
        doc_id=[line.get("doc_id") for line in lines],
        source=f"lm-eval {results['lm_eval_version']}" if results else "lm-eval",
        **_answers(lines, metric),
    )


def _check_against(results, scores, task, metric, filter, what) -> None:
    n = results.get("n-samples", {}).get(task, {}).get("effective", len(scores))
    if n != len(scores):
        raise ValueError(
            f"{what} holds {len(scores):,} items, but the results beside it say {n:,}: the file is "
            "truncated or of another run"
        )
    reported = results.get("results", {}).get(task, {}).get(f"{metric},{filter}")
    if reported is not None:
        advice = "the files are of different runs, or the harness does not average this metric"
        check_mean(scores, reported, what, advice)


def _json_lines(path: Path) -> list[dict]:
    # Not splitlines, which also cuts at separators that may stand inside a text.
    rows = path.read_text("utf-8").rstrip("\n").split("\n")
    if rows == [""]:
        raise ValueError(f"{str(path)!r} is empty: the evaluation wrote no items; run it again")
    lines = []
    for number, line in enumerate(rows, start=1):
        where = f"{str(path)!r}, line {number}"
        try:
            found = json.loads(line)
        except ValueError as error:
            advice = "the file is truncated" if number == len(rows) else "the line is damaged"
            raise ValueError(
                f"{where} is not whole JSON ({error}): {advice}; copy or write it anew"
            ) from error
        missing = [name for name in _FIELDS if not isinstance(found, dict) or name not in found]
        if missing:
            raise ValueError(
                f"{where} lacks the field {missing[0]!r}, which lm-eval writes since 0.4.7: run "
                "the evaluation with that version or a newer 0.4.x"
            )
        lines.append(found)
    return lines


def _item_ids(hashes: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    items = []
    for whole in hashes:
        seen[whole] += 1
        copy = f"#{seen[whole]}" if seen[whole] > 1 else ""
        items.append(whole[:16] + copy)
    return items


def _score(line: dict, metric: str, what: str) -> float:
    value = line.get(metric)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(
            f"{what}: {metric!r} of document {line.get('doc_id')} is {value!r}, not one number an "
            f"item; choose another metric of {', '.join(line['metrics'])}"
        )
    return float(value)


def _answers(lines: list[dict], metric: str) -> dict:
    """Return what the system answered, under the names by which `make_records` takes it."""
    answers = [_answer(line, metric) for line in lines]
    prediction, loglik, choices, logliks = map(list, zip(*answers, strict=True))
    return {
        "prediction": prediction,
        "loglik": loglik,
        "logliks": _by_choice(choices, logliks),
    }


def _answer(line: dict, metric: str) -> tuple[str, float, list[str], list[float]]:
    """Return prediction, log-likelihood of the target, choices and log-likelihoods of an item."""
    found, requests = line["filtered_resps"], _arguments(line)
    contexts, choices = {r[0] for r in requests}, [str(r[-1]) for r in requests]
    if not (len(contexts) == 1 < len(set(choices)) == len(found)):
        text = found[0] if len(found) == 1 and isinstance(found[0], str) else json.dumps(found)
        return text, math.nan, [], []
    logliks = [float(pair[0]) for pair in found]
    # As the harness does, without the space in front.
    choices = [choice.removeprefix(" ") for choice in choices]
    lengths = {
        "acc_norm": [len(c) for c in choices],
        "acc_bytes": [len(c.encode()) for c in choices],
    }
    best = int(np.argmax(np.array(logliks) / lengths.get(metric, [1])))
    target = str(line["target"])
    terms = choices if target in choices else [str(k) for k in range(len(choices))]
    of_target = logliks[terms.index(target)] if target in terms else math.nan
    return terms[best], of_target, choices, logliks


def _arguments(line: dict) -> list[tuple]:
    """Return the requests of an item: (context, continuation) each, or (prompt, options)."""
    return [tuple(request.values()) for request in line["arguments"].values()]


def _by_choice(choices: list[list[str]], logliks: list[list[float]]) -> dict[str, list[float]]:
    """Return the items' log-likelihoods by the choice's text if all have the same, else by number.

    The order of the choices may differ between items; an item with fewer has missing values.
    """
    first = sorted(choices[0])
    if len(set(first)) < len(first) or any(sorted(one) != first for one in choices):
        choices = [[str(k) for k in range(len(one))] for one in choices]
    rows = [dict(zip(*pair, strict=True)) for pair in zip(choices, logliks, strict=True)]
    return pd.DataFrame(rows, dtype=float).to_dict("list")
