"""Records: one row per (system, task, item), the table between inference and statistics.

Everything upstream (`evaluate`, the recorded results, other tools' logs) produces this table and
everything downstream (intervals, tests, plots) consumes it.

===========  =========  ==========================================================================
column       kind       meaning
===========  =========  ==========================================================================
system       text       what was evaluated: model, prompt and decoding together
task         text       on what
item_id      text       the item; unique within a system and task
cluster      text       items of one cluster may depend on each other (the film of a review)
prompt       text       what the system was given; the one column that may be left out
target       text       the right answer
prediction   text       the system's answer
score        number     how good the answer is; for accuracy 1 or 0
loglik       number     ln P(target | prompt) in nats; missing where a system gives none
===========  =========  ==========================================================================

``loglik_<answer>`` is ln P(answer | prompt) of each possible answer: its text where the answers
are the same for every item, else its number 0, 1, … Where known, logs add

================  =================================================================================
metric            the name of what ``score`` is, such as "acc"
higher_is_better  true or false, one for a metric; missing where the log does not say
group             the benchmark that the task is part of, such as "mmlu"; missing where none
setting_<name>    text: how a run was set up, such as ``setting_shots``, ``setting_version``
source            the tool and version that wrote the log
================  =================================================================================

Further columns are kept as they are.
"""

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

COLUMNS = (
    "system",
    "task",
    "item_id",
    "cluster",
    "prompt",
    "target",
    "prediction",
    "score",
    "loglik",
)
OPTIONAL = {"prompt"}
_KEY = ["system", "task", "item_id"]
_NUMBERS = {"score", "loglik"}


def make_records(
    system: str,
    task: str,
    items: pd.DataFrame,
    *,
    prediction: ArrayLike,
    score: ArrayLike,
    prompt: ArrayLike | None = None,
    logliks: Mapping[str, ArrayLike] | None = None,
    loglik: ArrayLike | None = None,
    missing: str = "refuse",
    **more: object,
) -> pd.DataFrame:
    """Return the validated records of one system on the n `items` of a task, in their order.

    `items` has the columns ``item_id``, ``cluster`` and ``target``. `prediction`, `score` and
    `prompt` are n values each. `logliks` maps each possible answer to its n log-likelihoods in
    nats, which become the columns ``loglik_<answer>``. `loglik` is that of the target: if it is
    not given, it is looked up in `logliks`, and is missing where the target is not among them.
    `more` are further columns, of n values or of one for all. `missing` is that of
    `validate_records`.

    Raises ``ValueError`` as `validate_records`, for a column that has not n values, and for an
    empty name of the system.
    """
    if isinstance(system, str) and not system.strip():
        raise ValueError("system is empty: give what was evaluated a name (--names or system=)")
    require_item_columns(items, task)
    # "dict" and not "|", so that a name given twice is an error.
    columns = dict(
        **{"system": system, "task": task, "item_id": items.item_id, "cluster": items.cluster},
        **({} if prompt is None else {"prompt": prompt}),
        **{"target": items.target, "prediction": prediction, "score": score, "loglik": loglik},
        **{f"loglik_{answer}": values for answer, values in (logliks or {}).items()},
        **more,
    )
    n = len(items)
    records = pd.DataFrame({name: _column(name, v, n) for name, v in columns.items()}, range(n))
    if loglik is None:
        records["loglik"] = _of_target(records)
    return validate_records(records, missing=missing).astype(dict.fromkeys(_NUMBERS, float))


def _column(name: str, values, n: int):
    """Return one value, or n values without their labels: rows of records go by place."""
    if not pd.api.types.is_list_like(values):
        return values
    if len(values) != n:
        raise ValueError(f"{name} has {len(values):,} values for {n:,} items")
    return values.to_numpy() if isinstance(values, pd.Series) else list(values)


def require_item_columns(items: pd.DataFrame, task: str) -> None:
    """Raise a ``ValueError`` that names the column if `items` are not the items of a task."""
    for column in ("item_id", "cluster", "target"):
        if column not in items.columns:
            raise ValueError(f"the items of task {task!r} lack the column {column!r}")


def validate_records(records: pd.DataFrame, *, missing: str = "refuse") -> pd.DataFrame:
    """Return `records` unchanged if it is a table of records as this module describes.

    With `missing` "keep" an item may lack its score (nan), for who decides later what it counts;
    statistics refuse such an item.

    Raises ``ValueError`` naming the column, and the first row at fault: for a missing column, an
    empty table, a missing text, a score that is missing or infinite, a column of numbers that is
    not one, or two rows of the same system, task and item.
    """
    if missing not in ("refuse", "keep"):
        raise ValueError(f"missing must be 'refuse' or 'keep', not {missing!r}")
    needed = [name for name in COLUMNS if name not in OPTIONAL]
    absent = [name for name in needed if name not in records.columns]
    if absent:
        raise ValueError(f"records lack the column {absent[0]!r}; they need {', '.join(needed)}")
    if records.empty:
        raise ValueError("the table of records is empty: there is nothing to evaluate")
    for name in [name for name in COLUMNS if name in records.columns]:
        column = records[name]
        if name in _NUMBERS:
            if not pd.api.types.is_numeric_dtype(column):
                raise ValueError(f"column {name!r} of the records must hold numbers, not text")
            bad = np.isinf(column) | (column.isna() & (name == "score") & (missing == "refuse"))
        elif isinstance(column.dtype, pd.StringDtype):
            bad = column.isna()
        else:
            bad = ~column.map(lambda value: isinstance(value, str))
        if bad.any():
            place = int(bad.to_numpy().argmax())  # labels of rows may repeat, places do not
            raise ValueError(
                f"column {name!r} of the records has no usable value in "
                f"{int(bad.sum()):,} of {len(records):,} rows, first in row "
                f"{records.index[place]}: {column.iloc[place]}"
            )
    twice = records.duplicated(_KEY)
    if twice.any():
        system, task, item = records[_KEY].iloc[int(twice.to_numpy().argmax())]
        raise ValueError(
            f"column 'item_id': item {item!r} stands more than once for system {system!r} on task "
            f"{task!r}; an item is one row, so average repeated samples first or name them apart"
        )
    return records


def write_records(records: pd.DataFrame, path: str | Path) -> None:
    """Validate `records` and write them to the Parquet file `path`, in one step."""
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        validate_records(records).to_parquet(scratch, index=False, compression="zstd")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def read_records(path: str | Path, *, missing: str = "refuse") -> pd.DataFrame:
    """Return the records in the Parquet file `path`, validated; also of a recorded result.

    `missing` is that of `validate_records`.

    Raises ``FileNotFoundError`` or ``ValueError`` naming the file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file of records at {str(path)!r}")
    try:
        return unpacked(pd.read_parquet(path), missing=missing)
    except Exception as error:
        raise ValueError(f"{str(path)!r} does not hold records: {error}") from error


def load_records(name: str) -> pd.DataFrame:
    """Return the results recorded in the library under `name`, validated, without prompts.

    "reviews": ten systems on the test films of ``load_reviews``. "promises": for appendix A1, what
    intervals and tests (the systems) said of simulated evaluations (the items). "alpaca_errors":
    for chapter 01, statistics of AlpacaEval's item scores, one a row: `task` names it. "formats":
    for chapter 03, SmolLM2 in its chat template, with other examples, and on MMLU. The file
    ``experiments/<name>.py`` makes them, ``results/<name>.toml`` says when and how that was done,
    and a test scores a random sample of them anew. Where a score is whether the prediction is the
    target, ``metric`` says "accuracy" and ``higher_is_better`` True. An unknown name
    raises a ``LookupError`` that lists those there are.
    """
    folder = Path(str(resources.files(__package__).joinpath("results")))
    path = folder / f"{name}.parquet"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in folder.glob("*.parquet")))
        raise LookupError(f"no results are recorded as {name!r}; there are: {names}")
    records = unpacked(pd.read_parquet(path))
    if (records.score == (records.prediction == records.target)).all():
        records = records.assign(metric="accuracy", higher_is_better=True)
    return records


def packed(records: pd.DataFrame) -> pd.DataFrame:
    """Return `records` as they are recorded: without prompts and what follows from the rest.

    Log-likelihoods are kept in 32 bits, in which models compute them.
    """
    names = [name for name in records.columns if name.startswith("loglik_")]
    table = records.drop(columns="prompt", errors="ignore")
    if names and records.loglik.equals(_of_target(records)):
        table = table.drop(columns="loglik")
    return table.astype(dict.fromkeys(names, np.float32))


def unpacked(table: pd.DataFrame, *, missing: str = "refuse") -> pd.DataFrame:
    """Return the records of which `packed` made `table`, without prompts."""
    names = [name for name in table.columns if name.startswith("loglik_")]
    records = table.astype(dict.fromkeys(names, float))
    if "loglik" not in records and names:
        records.insert(records.columns.get_loc("score") + 1, "loglik", _of_target(records))
    return validate_records(records, missing=missing)


def _of_target(records: pd.DataFrame) -> pd.Series:
    """Return the log-likelihood of each row's target, missing where it has no column."""
    found = pd.Series(np.nan, records.index)
    for target in records.target.unique():
        if f"loglik_{target}" in records:
            found = found.where(records.target != target, records[f"loglik_{target}"])
    return found
