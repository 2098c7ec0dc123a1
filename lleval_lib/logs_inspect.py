"""Read the logs of Inspect as records, with Inspect's own classes."""

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from .logs_common import (
    Choice,
    Cluster,
    Tasks,
    check_mean,
    choice_for,
    cluster_labels,
    files_in,
    one_table,
    wanted,
)
from .logs_inspect_samples import open_log, pick_scorer, read_samples, scored
from .logs_samples import items_of, require_scores
from .records import make_records


def read_inspect(
    path: str | Path,
    *,
    scorer: Choice = None,
    task: Tasks = None,
    system: str | None = None,
    missing: str = "refuse",
    cluster: Cluster = None,
) -> pd.DataFrame:
    """Return the records in logs that Inspect wrote, ``.eval`` or ``.json``.

    `path` is a log or a folder that holds logs at any depth; inspect-ai must be installed. Of a
    run and its retries the folder gives the latest that succeeded. `scorer` names the score of an
    item, such as "match", or "quality.correct" where a scorer gives several named values; it may
    be left out where there is only one, and may be a mapping from task to name. `task` keeps the
    tasks of these names or patterns, such as "mmlu_*". `system` names what was evaluated, else the
    model's name in the log does. `missing` is "refuse", or "keep" for the score nan where an item
    has none. `cluster` is a field of the samples' metadata, such as "film", or a function of the
    metadata; without it every item is its own cluster.

    ``item_id`` is a hash of input, choices and target, so that the same question is the same item
    in every run, shuffled or not; ``sample_id`` is Inspect's own id. Where one model ran a task
    with several arguments, those that differ belong to the task's name: "mmlu (subject=law)".

    An item is one row, also where Inspect ran it in several epochs: ``score`` is then the mean of
    its epochs, ``n_samples`` their number and ``score_variance`` their variance (divisor one less
    than their number; missing for one epoch), the σ² of Miller (2024, arXiv:2411.00640). If one of
    them has no score the item has none. Where the log reduces epochs in another way, such as their
    maximum, ``metric`` says so. ``prediction`` is the answer that was given most often, the first
    of these if several were. Scores are turned into numbers as Inspect does: "C" is 1, "P" 0.5,
    "I" and "N" are 0. ``prompt`` is the input of the item, before the solver worked on it.
    ``higher_is_better`` is true where all scores are such letters or the log reports their
    accuracy, else unknown. Settings are the task's version and arguments, epochs and reducers.

    >>> records = read_inspect("logs/run.eval", cluster="film")  # doctest: +SKIP

    Raises ``ImportError`` without inspect-ai, ``LookupError`` for an unknown scorer, task or
    field, listing those there are, and ``ValueError``, naming the file, for a log that cannot be
    read, lacks samples, holds two runs of a task by one system, or in which items have no score.
    """
    path = Path(path)
    files = [file for file in files_in(path) if is_log(file) or file == path]
    if not files:
        raise ValueError(f"there are no logs of Inspect (.eval, or <date>_….json) in {str(path)!r}")
    headers = _current({file: open_log(file, header_only=True) for file in files})
    tasks = _task_names(headers)
    kept = set(wanted(tasks.values(), task, repr(str(path))))

    def read(file):
        return _read_log(file, headers[file], tasks[file], scorer, system, missing, cluster)

    return one_table([file for file in headers if tasks[file] in kept], read)


def is_log(path: Path) -> bool:
    """Return whether a file is, by its name, one that Inspect writes."""
    # Other files of Inspect's end in .json too, but only logs begin with a date.
    dated = path.suffix == ".json" and re.match(r"\d{4}-\d\d-\d\dT", path.name)
    # macOS puts a file ._X beside X on foreign disks.
    return not path.name.startswith("._") and (path.suffix == ".eval" or bool(dated))


def _current(headers: dict) -> dict:
    """Return the headers without runs that a later success of the same task took the place of."""
    runs: dict[tuple, list] = {}
    for file, log in headers.items():
        runs.setdefault((log.eval.task_id, log.eval.model), []).append((file, log))
    kept = {}
    for run in runs.values():
        done = [(file, log) for file, log in run if log.status == "success"] or run
        latest = max(log.eval.created for _, log in done)
        kept |= {file: log for file, log in done if log.eval.created == latest}
    return {file: log for file, log in headers.items() if file in kept}


def _task_names(headers: dict) -> dict[Path, str]:
    """Return the task's name by file, with the arguments that differ if a model ran it twice."""
    logs = {file: log.eval for file, log in headers.items()}
    twice = [run for run, n in Counter((e.task, e.model) for e in logs.values()).items() if n > 1]
    names = {}
    for file, spec in logs.items():
        names[file] = spec.task
        if spec.task in {task for task, _ in twice}:
            alike = [other.task_args for other in logs.values() if other.task == spec.task]
            different = [k for k in spec.task_args if len({str(a.get(k)) for a in alike}) > 1]
            if different:
                names[file] += f" ({_arguments({k: spec.task_args[k] for k in different})})"
    return names


def _arguments(arguments: dict) -> str:
    texts = (v if isinstance(v, str) else json.dumps(v, default=str) for v in arguments.values())
    return ", ".join(f"{key}={text}" for key, text in zip(arguments, texts, strict=True))


def _read_log(file: Path, log, task, scorer, system, missing, cluster) -> pd.DataFrame:
    what = repr(str(file))
    _check_status(log, file)
    samples = read_samples(file, metadata=cluster is not None)
    _check_whole(log, samples, file)
    scorer = pick_scorer(choice_for(scorer, task), samples, what)
    table = pd.DataFrame([scored(sample, scorer, what) for sample in samples])
    require_scores(table, missing, f"{what}, scorer {scorer!r}", _advice(table, file))
    items = items_of(table, what)
    reported = _reported(log, scorer)
    _check_reported(reported, table, items, f"{what}, scorer {scorer!r}")
    higher = _higher_is_better(table, reported)
    items["cluster"] = cluster_labels(cluster, list(items.metadata), list(items.item_id), what)
    return make_records(
        system or log.eval.model,
        task,
        items,
        prediction=items.prediction,
        score=items.score,
        prompt=items.prompt,
        missing=missing,
        sample_id=items.sample_id,
        n_samples=items.n_samples,
        score_variance=items.score_variance,
        metric=_metric_name(scorer, reported, items),
        higher_is_better=pd.Series([higher] * len(items), dtype=object),
        group=None,
        **_settings(log),
        source=f"inspect-ai {log.eval.packages.get('inspect_ai', '')}".strip(),
    )


def _check_status(log, file: Path) -> None:
    if log.status != "success":
        said = f" ({log.error.message})" if log.error else ""
        raise ValueError(
            f"{str(file)!r} has the status {log.status!r}{said}: the evaluation of "
            f"{log.eval.dataset.samples} items did not end; {_retry(file)}"
        )


def _retry(file: Path) -> str:
    return (
        f"run `inspect eval-retry {file}`, which writes a new log beside this one: give that one, "
        "or the folder"
    )


def _check_whole(log, samples: list[dict], file: Path) -> None:
    """Raise ``ValueError`` unless the log holds the samples that it counts, and some score."""
    what, results = repr(str(file)), log.results
    if log.eval.config.log_samples is False:
        raise ValueError(
            f"{what} holds no samples, because it was run with --no-log-samples "
            "(log_samples=False): run it again without that"
        )
    planned = (results.logged_samples or results.total_samples) if results else 1
    if len(samples) < planned and not (results and results.early_stopping):
        raise ValueError(
            f"{what} holds {len(samples):,} of the {planned:,} samples that it counts: it was "
            "shortened; take the whole log"
        )
    if not any(sample["scores"] or sample["why"] for sample in samples):
        raise ValueError(
            f"{what} holds no scores, because it was run with --no-score: score it with "
            f"`inspect score {file}`"
        )


def _advice(samples: pd.DataFrame, file: Path) -> str:
    unscored = (samples.why == "unscored by it")[samples.value.isna()].all()
    return "choose another scorer, or score every sample" if unscored else _retry(file)


def _reported(log, scorer: str) -> list:
    """Return what the log reports of a score, once a reducer of epochs."""
    first, _, value = scorer.partition(".")
    scores = log.results.scores if log.results else []
    return [s for s in scores if s.scorer == first and s.name == (value or first)]


def _means(score) -> list[float]:
    return [score.metrics[name].value for name in ("accuracy", "mean") if name in score.metrics]


def _check_reported(reported: list, samples: pd.DataFrame, items: pd.DataFrame, what: str) -> None:
    """Raise ``ValueError`` unless number and mean of the items are those that the log reports."""
    if (samples.why == "withdrawn").any():
        return  # the log reports what was before
    means = items.scored_mean.dropna()
    for score in reported:
        if score.reducer not in (None, "mean"):
            continue
        if score.scored_samples not in (None, len(means)):
            raise ValueError(
                f"{what}: {len(means):,} items have a score, but the log reports "
                f"{score.scored_samples:,}; it was changed: take the log as Inspect wrote it"
            )
        for mean in _means(score):
            advice = "it counts the values by a rule of its own, which the log does not hold"
            check_mean(means, mean, what, advice)


def _metric_name(scorer: str, reported: list, items: pd.DataFrame) -> str:
    """Return the name of the score, which says so if the log's own figure is another one."""
    ours = items.scored_mean.mean()
    figures = [(mean, score.reducer) for score in reported for mean in _means(score)]
    if not figures or any(math.isclose(mean, ours, abs_tol=1e-9) for mean, _ in figures):
        return scorer
    return f"{scorer} (mean of epochs; the log reports their {figures[0][1]})"


def _higher_is_better(samples: pd.DataFrame, reported: list) -> bool | None:
    """Return true for right and wrong answers, ``None`` for numbers: the log does not tell."""
    letters = samples.letter[samples.value.notna()].all()
    return True if letters or any("accuracy" in score.metrics for score in reported) else None


def _settings(log) -> dict[str, Any]:
    config = log.eval.config
    return {
        "setting_version": str(log.eval.task_version),
        "setting_args": _arguments(log.eval.task_args_passed),
        "setting_epochs": str(config.epochs or 1),
        "setting_reducer": ", ".join(config.epochs_reducer or ["mean"]),
    }
