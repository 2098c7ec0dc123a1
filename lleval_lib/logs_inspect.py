"""Read the logs of Inspect as records, through Inspect's own reader."""

import math
import re
from collections import Counter
from pathlib import Path

import pandas as pd

from .logs_common import Cluster, check_mean, cluster_labels, files_in, one_table, pick
from .records import make_records

_ADVICE = "run the missing ones with `inspect eval-retry`"


def read_inspect(
    path: str | Path,
    *,
    scorer: str | None = None,
    system: str | None = None,
    cluster: Cluster = None,
) -> pd.DataFrame:
    """Return the records in logs that Inspect wrote, ``.eval`` or ``.json``.

    `path` is a log or a folder that holds logs at any depth. Inspect's own reader reads them, so
    inspect-ai must be installed. `scorer` names the score of an item and may be left out where
    there is only one. `system` names what was evaluated, else the model's name in the log does.
    `cluster` is a field of the samples' metadata, such as "film", or a function of the metadata;
    without it every item is its own cluster.

    An item is one row, also where Inspect ran it in several epochs: ``score`` is then the mean of
    its epochs, ``n_samples`` their number and ``score_variance`` their variance (divisor one less
    than their number; missing for one epoch), the σ² of Miller (2024, arXiv:2411.00640).
    ``prediction`` is the answer that was given most often, the first of these if several were.
    Scores are turned into numbers as Inspect does: "C" is 1, "P" 0.5, "I" and "N" are 0.
    ``prompt`` is the input of the item, before the solver worked on it; ``source`` is the version
    that wrote the log.

    >>> records = read_inspect("logs/run.eval", cluster="film")  # doctest: +SKIP

    Raises ``ImportError`` without inspect-ai, ``LookupError`` for an unknown scorer or field,
    listing those there are, and ``ValueError``, naming the file, for a log that cannot be read,
    that holds two runs of a task by one system, or in which items have no score: because the
    evaluation was stopped or samples ended in an error.
    """
    path = Path(path)
    files = files_in(path)
    logs = [file for file in files if is_log(file)] if path.is_dir() else files
    if not logs:
        raise ValueError(f"there are no logs of Inspect (.eval, or <date>_….json) in {str(path)!r}")
    return one_table(logs, lambda file: _read_log(file, scorer, system, cluster))


def is_log(path: Path) -> bool:
    """Return whether a file is, by its name, one that Inspect writes."""
    # Other files of Inspect's end in .json too, but only logs begin with a date.
    dated = path.suffix == ".json" and re.match(r"\d{4}-\d\d-\d\dT", path.name)
    return path.suffix == ".eval" or bool(dated)


def _read_log(file: Path, scorer, system, cluster) -> pd.DataFrame:
    log, what = _eval_log(file), repr(str(file))
    _check_scored(log, what)
    names = list(dict.fromkeys(name for sample in log.samples for name in sample.scores))
    scorer = pick(scorer, names, what, "scorer")
    by_item = _samples(log, scorer, what).groupby("item_id", sort=False)
    counts, scores = by_item.size(), by_item.value.mean()
    if counts.nunique() > 1:
        raise ValueError(
            f"{what}: item {counts.idxmin()!r} has {counts.min()} samples and "
            f"{counts.idxmax()!r} {counts.max()}; {_ADVICE}"
        )
    for reported in _reported_means(log, scorer):
        advice = "it counts the values by a rule of its own, which the log does not hold"
        check_mean(scores, reported, f"{what}, scorer {scorer!r}", advice)
    items = by_item.first().reset_index()
    metadata = {str(sample.id): sample.metadata for sample in log.samples}
    labels = cluster_labels(cluster, list(metadata.values()), list(metadata), what)
    return make_records(
        system or log.eval.model,
        log.eval.task,
        items.assign(cluster=labels),
        prediction=by_item.prediction.agg(lambda said: Counter(said).most_common(1)[0][0]),
        score=scores,
        prompt=items.prompt,
        n_samples=counts,
        score_variance=by_item.value.var(),
        source=f"inspect-ai {log.eval.packages.get('inspect_ai', '')}".strip(),
    )


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


def _check_scored(log, what: str) -> None:
    """Raise ``ValueError`` unless the evaluation ended well and every sample has its scores."""
    samples = log.samples or []
    # A sample that ended in an error has a score only where the user asked for one; an invalidated
    # one has been withdrawn by hand.
    bad = [s for s in samples if not s.scores or getattr(s, "invalidation", None)]
    scored = len(samples) - len(bad)
    advice = f"{_ADVICE}, which completes the log"
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


def _samples(log, scorer: str, what: str) -> pd.DataFrame:
    """Return one row a sample: an item has as many as there were epochs."""
    return pd.DataFrame(
        {
            "item_id": [str(sample.id) for sample in log.samples],
            "prompt": [_text(sample.input) for sample in log.samples],
            "target": [_text(sample.target) for sample in log.samples],
            "prediction": [_said(sample, scorer) for sample in log.samples],
            "value": [_value(sample, scorer, what) for sample in log.samples],
        }
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
