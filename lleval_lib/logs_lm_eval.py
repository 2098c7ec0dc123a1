"""Read the logs of lm-evaluation-harness as records."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from .logs_common import (
    Choice,
    Cluster,
    Tasks,
    checked_labels,
    choice_for,
    files_in,
    one_table,
    pick,
    wanted,
)
from .logs_lm_eval_lines import Line, is_number, lines_of
from .logs_lm_eval_results import described, results_beside, scores_of, shown, system_in
from .records import make_records

_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl")

_LENGTHS: dict[str, Callable[[str], int]] = {
    "acc_norm": len,
    "acc_bytes": lambda choice: len(choice.encode()),
}


def read_lm_eval(
    path: str | Path,
    *,
    metric: Choice = None,
    filter: Choice = None,
    task: Tasks = None,
    system: str | None = None,
    missing: str = "refuse",
    prompts: bool = True,
    cluster: Cluster = None,
) -> pd.DataFrame:
    """Return the records in logs that lm-evaluation-harness 0.4.7 or newer wrote.

    `path` is a ``samples_*.jsonl``, which ``--log_samples`` writes, the ``results_*.json`` beside
    it, or a folder that holds such files at any depth: one task or many, one model or many.

    `metric` names the score of an item, such as "acc" or "acc_norm", and `filter` the filter
    before it; each may be left out where there is only one, and may differ by task:
    ``{"gsm8k": "exact_match", "": "acc"}``, where "" is every other task. `task` keeps only the
    tasks of that name, or of a pattern such as "mmlu_*", or of a list of these. `system` names what
    was evaluated, else the model's name in the results does, with its revision if that is not the
    main one. With `missing` "keep" an item that lacks the metric has the score nan; so has one
    whose score of -1 the harness left out of its mean, as RULER's tasks do. Without `prompts` the
    column ``prompt``, most of what a long log holds, is left out. `cluster` is a field of the
    documents, such as "film" or "meta.passage", or a function of a document; without it every
    item is its own cluster.

    ``item_id`` is made from the harness's hash of the document, so that the same document is the
    same item in every run; the nth copy of a document ends in "#n". For multiple choice
    ``prediction`` is the choice that the metric took, in the terms of the target: for "acc_norm"
    and "acc_bytes" the log-likelihood is divided by the choice's length. ``loglik`` is that of the
    target, in nats, missing where it is -inf, and each choice has a column: ``loglik_<its text>``
    where the items of a task have the same choices, such as ``loglik_yes``, else by its number,
    ``loglik_0``, ``loglik_1``, … For other tasks ``prediction`` is the filtered answer and
    ``loglik`` is missing. The ``prompt`` of a chat is what was said in it.

    Further columns: ``doc_id``; ``metric``, and what the results say of it and of the run:
    ``higher_is_better``, ``group`` (the topmost one that holds the task), ``setting_shots``,
    ``setting_version`` (of the task), ``setting_chat_template``, ``setting_multiturn``,
    ``setting_system_instruction``, ``setting_gen_kwargs``; and ``source``, the version that wrote
    the log, if it says so.

    >>> records = read_lm_eval("output/my-model", metric="acc", cluster="film")  # doctest: +SKIP

    Raises ``LookupError`` for an unknown metric, filter, task or field, listing those there are,
    and ``ValueError``, naming file and line, for a log that is empty, truncated, of another
    version, that holds two runs of a task by one system, or whose mean is not the one in the
    results.
    """
    if missing not in ("refuse", "keep"):
        raise ValueError(f"missing must be 'refuse' or 'keep', not {missing!r}")
    path = Path(path)
    # A run has one file of results, however many tasks it has.
    results_of = cache(results_beside)
    parts = {file: _name_parts(file) for file in _samples(path)}
    kept = wanted([name for name, _ in parts.values()], task, repr(str(path)))

    def read(file):
        name, date = parts[file]
        what, results = repr(str(file)), results_of(file.parent, date)
        lines, first = lines_of(file, cluster, prompts=prompts)
        _refuse_unscored(lines, what)
        lines = _filtered(lines, choice_for(filter, name), what)
        one = _metric(choice_for(metric, name), lines, what)
        scores = scores_of(lines, one, results, name, what)
        if missing == "refuse":
            _refuse_missing(lines, scores, one, what)
        items = _items(lines, cluster, first, what)
        return make_records(
            system_in(results, what) if system is None else system,
            name,
            items,
            score=scores,
            prompt=[line.prompt for line in lines] if prompts else None,
            doc_id=[line.doc_id for line in lines],
            metric=one,
            missing=missing,
            **described(results, name, one, len(lines)),
            **_answers(lines, one),
        )

    return one_table([file for file, (name, _) in parts.items() if name in kept], read)


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
        packed = [file.name for file in files if file.match("samples_*.jsonl.*")]
        advice = (
            f"unpack {packed[0]} first"
            if packed
            else "run lm_eval with --log_samples, which writes the score of every item"
        )
        raise ValueError(f"there are no samples_*.jsonl in or beside {str(path)!r}: {advice}")
    return found


def _name_parts(samples: Path) -> tuple[str, str]:
    """Return the task and the date in the name of a file of samples."""
    parts = _SAMPLES.fullmatch(samples.name)
    if parts is None:
        raise ValueError(
            f"{str(samples)!r} is not named samples_<task>_<date>.jsonl, as lm_eval names it; if "
            "lm_eval wrote it, rename it back, since the name says which task it is"
        )
    return parts["task"], parts["date"]


def _refuse_unscored(lines: list[Line], what: str) -> None:
    if all(line.scores.keys() <= {"bypass"} for line in lines):
        raise ValueError(
            f"{what} has no scores: the run only wrote answers (--predict_only); run lm_eval "
            "without that option"
        )


def _filtered(lines: list[Line], filter: str | None, what: str) -> list[Line]:
    counts = Counter(line.filter for line in lines)
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{n:,} items of the filter {name!r}" for name, n in counts.items())
        raise ValueError(f"{what} has {told}: lines are missing or damaged; copy or write it anew")
    filter = pick(filter, list(counts), what, "filter")
    return [line for line in lines if line.filter == filter]


def _metric(metric: str | None, lines: list[Line], what: str) -> str:
    """Return the metric, one of those that give an item a number."""
    names = list(dict.fromkeys(name for line in lines for name in line.scores))
    # Where every item has -1, RULER's tasks say that none counts.
    usable = [
        name
        for name in names
        if any(is_number(line.scores.get(name)) and line.scores[name] != -1 for line in lines)
    ]
    if usable and (metric in usable or metric not in names):
        return pick(metric, usable, what, "metric")
    name = metric if metric in names else names[0]
    line = next((line for line in lines if line.scores.get(name) is not None), lines[0])
    raise ValueError(
        f"{what}, line {line.number}: {name!r} is {shown(line.scores.get(name))}, not one number "
        "an item, such as where a score is computed over all items together; there are: "
        f"{', '.join(usable) or 'none by which items can be compared'} (--metric or metric=)"
    )


def _refuse_missing(lines: list[Line], scores: np.ndarray, metric: str, what: str) -> None:
    lacks = np.isnan(scores)
    if lacks.any():
        first = lines[int(lacks.argmax())]
        raise ValueError(
            f"{what}: {lacks.sum():,} of {len(lines):,} items have no score {metric!r}, first in "
            f"line {first.number}, where it is {shown(first.scores.get(metric))}; choose another "
            'metric, or say what such an item counts with --missing, or missing="keep" here'
        )


def _items(lines: list[Line], cluster: Cluster, first, what: str) -> pd.DataFrame:
    item_ids = _item_ids([line.doc_hash for line in lines])
    labels = item_ids
    if cluster is not None:
        labels = checked_labels(cluster, [line.label for line in lines], item_ids, first, what)
    target = [line.target for line in lines]
    return pd.DataFrame({"item_id": item_ids, "cluster": labels, "target": target})


def _item_ids(hashes: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    items = []
    for whole in hashes:
        seen[whole] += 1
        copy = f"#{seen[whole]}" if seen[whole] > 1 else ""
        items.append(whole[:16] + copy)
    return items


def _answers(lines: list[Line], metric: str) -> dict:
    """Return what the system answered, under the names by which `make_records` takes it."""
    answers = [_answer(line, metric) for line in lines]
    return {
        "prediction": [prediction for prediction, _ in answers],
        "loglik": [loglik for _, loglik in answers],
        "logliks": _by_choice([line.choices for line in lines], [line.logliks for line in lines]),
    }


def _answer(line: Line, metric: str) -> tuple[str, float]:
    """Return the choice that the metric took, or what was said; and ln P of the target."""
    choices, logliks = line.choices, line.logliks
    if not choices:
        return line.said, math.nan
    values: Sequence[float] = logliks
    if metric in _LENGTHS:
        lengths = map(_LENGTHS[metric], choices)
        values = [log / n if n else -math.inf for log, n in zip(logliks, lengths, strict=True)]
    # As np.argmax, with which the harness takes nan for the highest.
    best = max(range(len(values)), key=lambda k: (math.isnan(values[k]), values[k]))
    terms = choices if line.target in choices else [str(k) for k in range(len(choices))]
    of_target = logliks[terms.index(line.target)] if line.target in terms else math.nan
    return terms[best], of_target if of_target > -math.inf else math.nan


def _by_choice(choices: list[tuple], logliks: list[tuple]) -> dict[str, np.ndarray]:
    """Return the items' log-likelihoods by the choice's text if all have the same, else by number.

    The order of the choices may differ between items; an item with fewer has missing values.
    """
    first = set(choices[0])
    if len(first) < len(choices[0]) or any(
        len(one) != len(first) or set(one) != first for one in choices
    ):
        choices = [tuple(map(str, range(len(one)))) for one in choices]
    names = dict.fromkeys(name for one in choices for name in one)
    found = {name: np.full(len(choices), math.nan) for name in names}
    for row, pair in enumerate(zip(choices, logliks, strict=True)):
        for name, value in zip(*pair, strict=True):
            found[name][row] = value
    return found
