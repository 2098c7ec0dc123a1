"""Read the logs of other tools as records: lm-evaluation-harness and Inspect (chapter 25).

Nothing is dropped in silence. What cannot be read whole, such as a truncated file, two runs of one
task, or items without a score, is an error that names the file and says what to do. The score that
the tool reported itself is computed anew from the items and must agree.
"""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from .records import read_records, validate_records

_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl")
_FIELDS = ("doc", "target", "arguments", "filtered_resps", "filter", "metrics", "doc_hash")


def read_lm_eval(
    path,
    metric: str | None = None,
    filter: str | None = None,
    cluster: str | Callable | None = None,
    system: str | None = None,
) -> pd.DataFrame:
    """Return the records in logs that lm-evaluation-harness 0.4.7 or newer wrote.

    `path` is a ``samples_*.jsonl``, which ``--log_samples`` writes, the ``results_*.json`` beside
    it, or a folder that holds such files at any depth: one task or many, one model or many.

    `metric` names the score of an item, such as "acc" or "acc_norm", and `filter` the filter
    before it; each may be left out where there is only one. `cluster` is a field of the documents,
    such as "film" or "meta.passage", or a function of a document; without it every item is its own
    cluster. `system` names what was evaluated, else the model's name in the results does.

    ``item_id`` is made from the harness's hash of the document, so that the same document is the
    same item in every run; the nth copy of a document ends in "#n". For multiple choice
    ``loglik`` and ``loglik_0``, ``loglik_1``, … are those of the target and of the choices, in
    nats, and ``prediction`` is the choice that the metric took, in the terms of the target: for
    "acc_norm" and "acc_bytes" the log-likelihood is divided by the choice's length. For other
    tasks ``prediction`` is the filtered answer and ``loglik`` is missing. Further columns:
    ``doc_id``, and ``source``, the version that wrote the log.

    >>> records = read_lm_eval("output/my-model", metric="acc", cluster="film")  # doctest: +SKIP

    Raises ``LookupError`` for an unknown metric, filter or field, listing those there are, and
    ``ValueError``, naming file and line, for a log that is empty, truncated, of another version,
    that holds two runs of a task by one system, or whose mean is not the one in the results.
    """
    tables, files, versions = [], {}, {}
    for samples in _sample_files(Path(path)):
        results = _results_beside(samples)
        table = _read_samples(samples, results, metric, filter, cluster, system)
        _claim(files, (table.system.iloc[0], table.task.iloc[0]), samples)
        versions.setdefault(table.source.iloc[0], samples)
        tables.append(table)
    _one_version(versions)
    return validate_records(pd.concat(tables, ignore_index=True))


def read_inspect(
    path,
    scorer: str | None = None,
    cluster: str | Callable | None = None,
    system: str | None = None,
) -> pd.DataFrame:
    """Return the records in logs that Inspect wrote, ``.eval`` or ``.json``.

    `path` is a log or a folder that holds logs at any depth. Inspect's own reader reads them, so
    inspect-ai must be installed. `scorer` names the score of an item and may be left out where
    there is only one. `cluster` is a field of the samples' metadata, such as "film", or a function
    of the metadata; without it every item is its own cluster. `system` names what was evaluated,
    else the model's name in the log does.

    An item is one row, also where Inspect ran it in several epochs: ``score`` is then the mean of
    its epochs, ``samples`` their number and ``score_variance`` their variance (divisor one less
    than their number; missing for one epoch), the σ² of chapter 13. ``prediction`` is the answer
    that was given most often, the first of these if several were. Scores are turned into numbers
    as Inspect does: "C" is 1, "P" 0.5, "I" and "N" are 0. ``prompt`` is the input of the item,
    before the solver worked on it; ``source`` is the version that wrote the log.

    >>> records = read_inspect("logs/run.eval", cluster="film")  # doctest: +SKIP

    Raises ``ImportError`` without inspect-ai, ``LookupError`` for an unknown scorer or field,
    listing those there are, and ``ValueError``, naming the file, for a log that cannot be read,
    that holds two runs of a task by one system, or in which items have no score: because the
    evaluation was stopped or samples ended in an error.
    """
    tables, files, versions = [], {}, {}
    for file in _inspect_files(Path(path)):
        table = _read_eval(file, scorer, cluster, system)
        _claim(files, (table.system.iloc[0], table.task.iloc[0]), file)
        versions.setdefault(table.source.iloc[0], file)
        tables.append(table)
    _one_version(versions)
    return validate_records(pd.concat(tables, ignore_index=True))


def read_systems(
    paths, names=None, metric=None, filter=None, scorer=None, cluster=None
) -> list[pd.DataFrame]:
    """Return one table of records a path, whatever tool wrote it, with systems named apart.

    A path is what `read_lm_eval` or `read_inspect` takes, or a Parquet file of records, in which
    `cluster` names a column. `names` are the systems' names, one a path; without them the logs
    name the systems, or, where two logs give the same name, the paths do.
    """
    if names is not None and len(names) != len(paths):
        raise ValueError(f"{len(paths)} paths need {len(paths)} names, not {len(names)}")
    tables = [
        _read(Path(path), metric, filter, scorer, cluster, name)
        for path, name in zip(paths, names or [None] * len(paths), strict=True)
    ]
    counts = Counter(name for table in tables for name in table.system.unique())
    shared = [name for name, count in counts.items() if count > 1]
    if not shared:
        return tables
    if names is not None or any(table.system.nunique() > 1 for table in tables):
        raise ValueError(f"the name {shared[0]!r} stands for two systems; give each its own name")
    return [
        table.assign(system=name)
        for table, name in zip(tables, _names_from_paths(paths), strict=True)
    ]


def _read(path: Path, metric, filter, scorer, cluster, system) -> pd.DataFrame:
    kind = _kind(path)
    inapplicable = {
        "lm-eval": {"scorer": scorer},
        "inspect": {"metric": metric, "filter": filter},
        "records": {"scorer": scorer, "metric": metric, "filter": filter},
    }[kind]
    for name, value in inapplicable.items():
        if value is not None:
            raise ValueError(f"{str(path)!r} has no {name} to choose: leave out {name} {value!r}")
    if kind == "lm-eval":
        return read_lm_eval(path, metric, filter, cluster, system)
    if kind == "inspect":
        return read_inspect(path, scorer, cluster, system)
    records = read_records(path)
    if system is not None:
        if records.system.nunique() > 1:
            raise ValueError(f"{str(path)!r} names its {records.system.nunique()} systems itself")
        records = records.assign(system=system)
    if cluster is not None:
        if cluster not in records.columns:
            raise LookupError(
                f"{str(path)!r} has no column {cluster!r}; there are: {', '.join(records.columns)}"
            )
        records = records.assign(cluster=records[cluster].astype(str))
    return records


def _kind(path: Path) -> str:
    """Return which tool wrote the file or folder: "lm-eval", "inspect" or "records"."""
    _must_exist(path)
    if path.is_dir():
        kinds = [
            kind
            for kind, found in (
                (
                    "lm-eval",
                    any(path.rglob("samples_*.jsonl")) or any(path.rglob("results_*.json")),
                ),
                ("inspect", bool(_eval_logs(path))),
            )
            if found
        ]
        if len(kinds) == 1:
            return kinds[0]
        found = "logs of both tools" if kinds else "neither"
        raise ValueError(
            f"{str(path)!r} must hold samples_*.jsonl of lm-evaluation-harness or logs of Inspect, "
            f"but holds {found}: name a folder of one tool's logs"
        )
    if path.suffix == ".parquet":
        return "records"
    if path.suffix == ".jsonl" or (path.suffix == ".json" and "lm_eval_version" in _json(path)):
        return "lm-eval"
    if path.suffix in (".eval", ".json"):
        return "inspect"
    raise ValueError(
        f"{str(path)!r} is no log that we know: expected samples_*.jsonl or results_*.json of "
        "lm-evaluation-harness, .eval or .json of Inspect, or .parquet records"
    )


def _names_from_paths(paths) -> list[str]:
    """Return what is different in the paths: "runs/a/x.eval", "runs/b/x.eval" are a/x and b/x."""
    whole = [Path(path).resolve() for path in paths]
    if len(set(whole)) < len(whole):
        raise ValueError("the same path is given twice: a system cannot be compared with itself")
    common = os.path.commonpath([path.parent for path in whole])
    short = [path if path.is_dir() else path.with_suffix("") for path in whole]
    return [path.relative_to(common).as_posix() for path in short]


# Both tools ---------------------------------------------------------------------------------------


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r}")


def _claim(files: dict, key: tuple[str, str], file: Path) -> None:
    """Note that `file` holds this system on this task; it is an error if another one does."""
    if key in files:
        raise ValueError(
            f"{str(files[key])!r} and {str(file)!r} are two runs of task {key[1]!r} by "
            f"{key[0]!r}; say which one counts by giving that file, not the folder"
        )
    files[key] = file


def _one_version(versions: dict[str, Path]) -> None:
    if len(versions) > 1:
        (one, file), (two, other) = list(versions.items())[:2]
        raise ValueError(
            f"{str(file)!r} was written by {one} and {str(other)!r} by {two}; a task may have "
            "changed in between, so run both with one version, or read each file alone"
        )


def _clusters(cluster, documents: list[dict], items: list[str], what: str) -> list[str]:
    """Return one label an item; `documents` hold the field, or are given to the function."""
    if cluster is None:
        return items
    labels = [_label(cluster, document) for document in documents]
    missing = [item for item, label in zip(items, labels, strict=True) if label is None]
    if missing:
        raise LookupError(
            f"{what}: {len(missing):,} of {len(items):,} items have no {cluster!r} to cluster by, "
            f"such as {missing[0]!r}; there are: {', '.join(documents[0]) or 'no fields'}"
        )
    return [str(label) for label in labels]


def _label(cluster, document):
    if callable(cluster):
        return cluster(document)
    for part in cluster.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def _pick(name: str | None, there_are: list[str], what: str, option: str) -> str:
    """Return `name`, or the only one there is if it is ``None``."""
    if name is None and len(there_are) == 1:
        return there_are[0]
    if name in there_are:
        return name
    asked = f"has no {option} {name!r}" if name is not None else f"has no single {option}: name one"
    raise LookupError(f"{what} {asked}; there are: {', '.join(there_are) or 'none'}")


def _same_mean(ours: float, theirs: float, what: str, advice: str) -> None:
    if not math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=1e-9):
        raise ValueError(
            f"{what}: the mean of the items is {ours:.6g}, but the log reports {theirs:.6g}; "
            f"{advice}"
        )


# lm-evaluation-harness ----------------------------------------------------------------------------


def _sample_files(path: Path) -> list[Path]:
    _must_exist(path)
    if path.suffix == ".jsonl":
        return [path]
    if path.is_dir():
        found = sorted(path.rglob("samples_*.jsonl"))
    else:
        date = re.search(r"\d{4}-\d\d-\d\dT[\d.-]+(?=\.json)", path.name)
        found = sorted(path.parent.glob(f"samples_*_{date[0]}.jsonl")) if date else []
    if not found:
        raise ValueError(
            f"there are no samples_*.jsonl in or beside {str(path)!r}: run lm_eval with "
            "--log_samples, which writes the score of every item"
        )
    return found


def _results_beside(samples: Path) -> dict:
    """Return the results of the run that wrote `samples`, or nothing if its file is not there."""
    date = _name_parts(samples)["date"]
    files = sorted(samples.parent.glob(f"*_{date}.json"))
    if not files:
        return {}
    results = _json(files[0])
    version = str(results.get("lm_eval_version", "of unknown version"))
    if not version.startswith("0.4."):
        raise ValueError(
            f"{str(files[0])!r} was written by lm-eval {version}; this reader knows the logs of "
            "0.4.7 and newer 0.4.x"
        )
    return results


def _read_samples(samples: Path, results, metric, filter, cluster, system) -> pd.DataFrame:
    what, task = repr(str(samples)), _name_parts(samples)["task"]
    lines = _json_lines(samples)
    filter = _pick(filter, list(dict.fromkeys(line["filter"] for line in lines)), what, "filter")
    lines = [line for line in lines if line["filter"] == filter]
    metric = _pick(metric, lines[0]["metrics"], what, "metric")
    items = _item_ids([line["doc_hash"] for line in lines])
    system = system or results.get("model_name")
    if system is None:
        raise ValueError(
            f"{what} does not say what was evaluated and its results_*.json is not beside it: "
            "put it there, or give system="
        )
    table = pd.DataFrame(
        {
            "system": system,
            "task": task,
            "item_id": items,
            "cluster": _clusters(cluster, [line["doc"] for line in lines], items, what),
            "prompt": [str(_arguments(line)[0][0]) for line in lines],
            "target": [str(line["target"]) for line in lines],
            "score": [_score(line, metric, what) for line in lines],
            "doc_id": [line.get("doc_id") for line in lines],
            "source": f"lm-eval {results['lm_eval_version']}" if results else "lm-eval",
        }
    )
    answers = pd.DataFrame([_answer(line, metric) for line in lines])
    _check_against(results, table, task, metric, filter, what)
    return table.join(answers)


def _check_against(results, table, task, metric, filter, what) -> None:
    n = results.get("n-samples", {}).get(task, {}).get("effective", len(table))
    if n != len(table):
        raise ValueError(
            f"{what} holds {len(table):,} items, but the results beside it say {n:,}: the file is "
            "truncated or of another run"
        )
    reported = results.get("results", {}).get(task, {}).get(f"{metric},{filter}")
    if reported is not None:
        advice = "the files are of different runs, or the harness does not average this metric"
        _same_mean(table.score.mean(), reported, what, advice)


def _name_parts(samples: Path) -> dict[str, str]:
    parts = _SAMPLES.fullmatch(samples.name)
    if parts is None:
        raise ValueError(
            f"{str(samples)!r} is not named samples_<task>_<date>.jsonl, as lm_eval names it; the "
            "name says which task it is, so rename it back"
        )
    return parts.groupdict()


def _json(path: Path) -> dict:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{str(path)!r} is not whole JSON ({error}): the file is empty, truncated or of "
            "another kind; copy or write it anew"
        ) from error
    return found if isinstance(found, dict) else {}


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
    seen = Counter()
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


def _arguments(line: dict) -> list[tuple]:
    """Return the requests of an item: (context, continuation) each, or (prompt, options)."""
    requests = line["arguments"].values()
    return [tuple(request.values()) for request in requests]


def _answer(line: dict, metric: str) -> dict:
    """Return the columns that say what the system answered."""
    found, requests = line["filtered_resps"], _arguments(line)
    contexts, choices = {r[0] for r in requests}, [str(r[-1]) for r in requests]
    if not (len(contexts) == 1 < len(set(choices)) == len(found)):
        text = found[0] if len(found) == 1 and isinstance(found[0], str) else json.dumps(found)
        return {"prediction": text, "loglik": np.nan}
    logliks = np.array([float(pair[0]) for pair in found])
    # As the harness does, without the space in front.
    choices = [choice.removeprefix(" ") for choice in choices]
    lengths = {
        "acc_norm": [len(c) for c in choices],
        "acc_bytes": [len(c.encode()) for c in choices],
    }
    best = int(np.argmax(logliks / np.array(lengths.get(metric, 1))))
    target = str(line["target"])
    terms = choices if target in choices else [str(k) for k in range(len(choices))]
    of_target = logliks[terms.index(target)] if target in terms else np.nan
    each = {f"loglik_{k}": value for k, value in enumerate(logliks)}
    return {"prediction": terms[best], "loglik": of_target, **each}


# Inspect ------------------------------------------------------------------------------------------


def _inspect_files(path: Path) -> list[Path]:
    _must_exist(path)
    if not path.is_dir():
        return [path]
    found = _eval_logs(path)
    if not found:
        raise ValueError(f"there are no logs of Inspect (.eval, or <date>_….json) in {str(path)!r}")
    return found


def _eval_logs(folder: Path) -> list[Path]:
    # Other files of Inspect's end in .json too, but only logs begin with a date.
    dated = (p for p in folder.rglob("*.json") if re.match(r"\d{4}-\d\d-\d\dT", p.name))
    return sorted([*folder.rglob("*.eval"), *dated])


def _read_eval(file: Path, scorer, cluster, system) -> pd.DataFrame:
    log, what = _eval_log(file), repr(str(file))
    _all_scored(log, what)
    names = list(dict.fromkeys(name for sample in log.samples for name in sample.scores))
    scorer = _pick(scorer, names, what, "scorer")
    rows = pd.DataFrame(
        {
            "item_id": [str(sample.id) for sample in log.samples],
            "prompt": [_text(sample.input) for sample in log.samples],
            "target": [_text(sample.target) for sample in log.samples],
            "prediction": [_said(sample, scorer) for sample in log.samples],
            "value": [_value(sample, scorer, what) for sample in log.samples],
        }
    )
    items = rows.groupby("item_id", sort=False)
    samples = items.value.size()
    if samples.nunique() > 1:
        raise ValueError(
            f"{what}: item {samples.idxmin()!r} has {samples.min()} samples and "
            f"{samples.idxmax()!r} {samples.max()}; run the missing ones with `inspect eval-retry`"
        )
    first = items.first()
    metadata = {str(sample.id): sample.metadata for sample in log.samples}
    table = pd.DataFrame(
        {
            "system": system or log.eval.model,
            "task": log.eval.task,
            "item_id": first.index,
            "cluster": _clusters(cluster, list(metadata.values()), list(first.index), what),
            "prompt": first.prompt.to_numpy(),
            "target": first.target.to_numpy(),
            "prediction": items.prediction.agg(
                lambda s: Counter(s).most_common(1)[0][0]
            ).to_numpy(),
            "score": items.value.mean().to_numpy(),
            "loglik": np.nan,
            "samples": samples.to_numpy(),
            "score_variance": items.value.var().to_numpy(),
            "source": f"inspect-ai {log.eval.packages.get('inspect_ai', '')}".strip(),
        }
    )
    for reported in _reported_means(log, scorer):
        advice = "it counts the values by a rule of its own, which the log does not hold"
        _same_mean(table.score.mean(), reported, f"{what}, scorer {scorer!r}", advice)
    return table


def _eval_log(file: Path):
    try:
        from inspect_ai.log import read_eval_log
    except ImportError as error:
        raise ImportError(
            "Inspect's logs are read with its own reader: pip install inspect-ai"
        ) from error
    try:
        return read_eval_log(str(file))
    except Exception as error:
        raise ValueError(
            f"{str(file)!r} is no whole log of Inspect ({str(error).splitlines()[0]}): the file is "
            "empty, truncated or of another kind; copy it anew or run the evaluation again"
        ) from error


def _all_scored(log, what: str) -> None:
    """Raise ``ValueError`` unless the evaluation ended well and every sample has its scores."""
    samples = log.samples or []
    # A sample that ended in an error has a score only where the user asked for one; an invalidated
    # one has been withdrawn by hand.
    bad = [s for s in samples if not s.scores or getattr(s, "invalidation", None)]
    scored = len(samples) - len(bad)
    advice = "run the missing ones with `inspect eval-retry`, which completes the log"
    if log.status != "success":
        said = f" ({log.error.message})" if log.error else ""
        raise ValueError(
            f"{what} has the status {log.status!r}{said}: {scored:,} samples are scored; the data "
            f"set has {log.eval.dataset.samples} items; {advice}"
        )
    if bad or not samples:
        said = f", such as {bad[0].id!r}" if bad else ""
        raise ValueError(
            f"{what}: {len(bad):,} of {len(samples):,} samples have no valid score{said}, because "
            f"they ended in an error, were not scored or were withdrawn; {advice}"
        )


def _value(sample, scorer: str, what: str) -> float:
    """Return a sample's score as the number that Inspect counts it for."""
    from inspect_ai.scorer import value_to_float

    score = sample.scores.get(scorer)
    value = score.value if score else None
    words = {"C", "I", "P", "N", "yes", "no", "true", "false"}
    # Inspect counts what it cannot convert as 0, which would be a wrong answer.
    if isinstance(value, str) and value not in words and value.lower() not in words:
        number = pd.to_numeric(value, errors="coerce")
    elif isinstance(value, str | int | float):
        number = value_to_float()(value)
    else:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(
            f"{what}: scorer {scorer!r} gives sample {sample.id!r} (epoch {sample.epoch}) the "
            f"value {value!r}, not one finite number or C, I, P, N; choose another scorer, or "
            "score every sample with one number"
        )
    return float(number)


def _reported_means(log, scorer: str):
    """Yield the means of this scorer in the log, where it averages the epochs of an item."""
    for score in log.results.scores if log.results else []:
        if score.scorer == score.name == scorer and score.reducer in (None, "mean"):
            for name in ("accuracy", "mean"):
                if name in score.metrics:
                    yield score.metrics[name].value


def _text(content) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part if isinstance(part, str) else part.text for part in content)


def _said(sample, scorer: str) -> str:
    score = sample.scores.get(scorer)
    answer = score.answer if score else None
    return sample.output.completion if answer is None else answer
