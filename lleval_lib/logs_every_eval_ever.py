"""Read evaluations in the format of Every Eval Ever, 0.3, as records.

Its converters make them of the logs of other tools.
"""

import math
from collections.abc import Callable
from functools import cache
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
    one_table,
    pick,
    wanted,
)
from .logs_every_eval_ever_files import OURS, evaluation, evaluations, part, parts, sample_rows
from .logs_every_eval_ever_files import is_log as is_log
from .logs_every_eval_ever_write import write_every_eval_ever as write_every_eval_ever
from .logs_samples import content_hash, items_of, require_scores
from .records import make_records

# What to do with files of tools that this library does not read itself.
CONVERTERS = {
    "helm": (
        "in Python 3.12, pip install 'every-eval-ever[helm]', run `every_eval_ever convert helm "
        "--log_path RUN_FOLDER --output_dir data`, and give the folder data"
    ),
    "lighteval": "run it with `lighteval eval`, which writes logs of Inspect, and give those",
}


def read_every_eval_ever(
    path: str | Path,
    *,
    metric: Choice = None,
    task: Tasks = None,
    system: str | None = None,
    missing: str = "refuse",
    cluster: Cluster = None,
) -> pd.DataFrame:
    """Return the records in evaluations of Every Eval Ever, with the scores of their samples.

    `path` is a ``<uuid>.json``, the ``<uuid>_samples.jsonl`` beside it, or a folder that holds
    such pairs at any depth; results without samples in a folder are left out. `metric` is the
    ``evaluation_result_id`` of a result, or its metric's name or the id's first part where that is
    one result's alone, such as "acc"; it may be left out where there is only one, and may be a
    mapping from task to name. A task is an ``evaluation_name``; `task` keeps those of these names
    or patterns. `system` names what was evaluated, else the id of the model does. `missing` is
    "refuse", or "keep" for the score nan where a sample has none. `cluster` is a field of the rows
    or of their metadata, such as "film", or a function of a row.

    ``item_id`` is a hash of input, choices and reference, as in `read_inspect`; for rows that come
    from lm-evaluation-harness it is made of the document's hash, as in `read_lm_eval`.
    ``sample_id`` is the id in the row. An item is the mean of its rows: ``n_samples`` and
    ``score_variance`` are as in `read_inspect`, but the converter of Inspect's logs writes the
    reduced score into the row of each epoch, so that their variance is unknown.
    ``higher_is_better`` is what the metric's ``lower_is_better`` says, missing where its polarity
    is noted as unknown.

    >>> records = read_every_eval_ever("data", metric="acc")  # doctest: +SKIP

    Raises ``LookupError`` for an unknown metric, task or field, listing those there are, and
    ``ValueError``, naming file and line, for a file that is damaged or lacks a field, whose number
    of rows, checksum or mean is not the one in the evaluation, that holds two runs of a task by one
    system, or in which samples have no score.
    """
    path, what = Path(path), repr(str(path))
    logs = {file: evaluation(file) for file in evaluations(path)}
    rows_of = cache(lambda file: sample_rows(file, logs[file]))
    files: dict[str, list[Path]] = {}
    for file in logs:
        for name in dict.fromkeys(row["evaluation_name"] for row in rows_of(file)):
            files.setdefault(name, []).append(file)

    def read(name: str) -> Callable[[Path], pd.DataFrame]:
        choice = choice_for(metric, name)
        return lambda file: _read_task(
            file, logs[file], rows_of(file), name, choice, system, missing, cluster
        )

    names = wanted(files, task, what)
    return pd.concat([one_table(files[name], read(name)) for name in names], ignore_index=True)


def _read_task(file, log, rows, task, metric, system, missing, cluster) -> pd.DataFrame:
    what = f"{str(file)!r}, {task!r}"
    results = {_id(r): r for r in log["evaluation_results"] if r["evaluation_name"] == task}
    rows = [row for row in rows if row["evaluation_name"] == task]
    chosen = _pick_metric(metric, results, rows, what)
    samples = pd.DataFrame(_samples(log, rows, chosen, results))
    require_scores(samples, missing, what, "run them again and convert anew")
    items = items_of(samples, what)
    scored, reported = items.scored_mean.dropna(), results[chosen]["score_details"]["score"]
    advice = "the rows are of another run, or this metric is no mean of its samples"
    check_mean(scored, reported, f"{what}, metric {chosen!r}", advice)
    items["cluster"] = cluster_labels(cluster, list(items.document), list(items.item_id), what)
    higher = _higher_is_better(results[chosen]["metric_config"])
    reduced = log["eval_library"]["name"].startswith("inspect")
    return make_records(
        system or log["model_info"]["id"],
        task,
        items,
        prediction=items.prediction,
        score=items.score,
        prompt=items.prompt,
        missing=missing,
        sample_id=items.sample_id,
        n_samples=items.n_samples,
        score_variance=math.nan if reduced else items.score_variance,
        metric=_short(chosen, results[chosen]),
        higher_is_better=pd.Series([higher] * len(items), dtype=object),
        group=None,
        **_settings(log, results[chosen]),
        source=_source(log),
    )


def _id(result: dict) -> str:
    return result.get("evaluation_result_id") or _metric(result) or "score"


def _metric(result: dict) -> str | None:
    config = result["metric_config"]
    return config.get("metric_name") or config.get("metric_id")


def _pick_metric(metric, results: dict, rows: list[dict], what: str) -> str:
    """Return the id of the result that `metric` names, among those of which there are rows."""
    named = {row.get("evaluation_result_id") for row in rows} - {None}
    there = [name for name in results if name in named or (not named and len(results) == 1)]
    if not there:
        raise ValueError(
            f"{what}: the rows do not say of which result they are, {', '.join(results)}: read the "
            "log that was converted"
        )
    alike = [name for name in there if metric in (_metric(results[name]), name.partition(":")[0])]
    return (
        alike[0] if metric not in there and len(alike) == 1 else pick(metric, there, what, "metric")
    )


def _samples(log: dict, rows: list[dict], chosen: str, results: dict) -> list[dict]:
    """Return the rows of the chosen result, and one without a value for each sample that has none.

    A sample that has another result of the same metric lacks nothing: it is of another split.
    """
    metric = _metric(results[chosen])
    of_metric = {name for name, result in results.items() if _metric(result) == metric}
    alone = all(row.get("evaluation_result_id") is None for row in rows)
    there = {row["sample_id"] for row in rows if row.get("evaluation_result_id") in of_metric}
    found = []
    for row in rows:
        scored = alone or row.get("evaluation_result_id") == chosen
        if not scored:
            if row["sample_id"] in there:
                continue
            there.add(row["sample_id"])
        found.append(_sample(log, row, row["evaluation"]["score"] if scored else math.nan))
    return found


def _sample(log: dict, row: dict, value: float) -> dict:
    more, asked = part(row, "metadata"), row["input"]
    content = content_hash(asked["raw"], asked.get("choices"), asked["reference"])
    if log["eval_library"]["name"] == OURS:
        content = str(more.get("item_id", content))
    elif more.get("doc_hash"):
        content = str(more["doc_hash"])[:16]
    return {
        "sample_id": row["sample_id"],
        "content": content,
        "prompt": asked["raw"],
        "target": "\n".join(map(str, asked["reference"])),
        "prediction": _said(row),
        "value": float(value),
        "why": "ended in an error" if row.get("error") else "without this metric",
        "document": {**row, **more},
    }


def _said(row: dict) -> str:
    """Return the answer that was scored, or else what the model wrote last."""
    texts = [a.get("extracted_value") for a in parts(row, "answer_attribution")]
    output = part(row, "output").get("raw")
    texts = texts or (output if isinstance(output, list) else [])
    texts = texts or [message.get("content") for message in parts(row, "messages")]
    return str(texts[-1] or "") if texts else ""


def _short(chosen: str, result: dict) -> str:
    """Return the metric's name as the readers of the tools' own logs give it."""
    metric = _metric(result) or chosen
    return chosen.removesuffix(f":{metric}") if chosen.endswith(f":{metric}") else metric


def _higher_is_better(config: dict) -> bool | None:
    unknown = part(config, "additional_details").get("polarity") == "unknown"
    return None if unknown else not config["lower_is_better"]


def _settings(log: dict, result: dict) -> dict[str, Any]:
    config = part(result, "generation_config")
    more = part(config, "additional_details")
    if log["eval_library"]["name"] == OURS:
        return {f"setting_{name}": str(value) for name, value in more.items()}
    generation = part(config, "generation_args").items()
    said = [f"{k}={v}" for k, v in generation if isinstance(v, int | float | str)]
    shots = str(more.get("num_fewshot", ""))
    return {"setting_shots": shots, "setting_generation": ", ".join(said)}


def _source(log: dict) -> str:
    library, version = log["eval_library"]["name"], str(log["eval_library"].get("version", ""))
    return f"{library} {version.removeprefix('inspect_ai:')}, Every Eval Ever"
