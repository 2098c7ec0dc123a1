"""Records: one row per (system, task, item), the table between inference and statistics.

Everything upstream (`evaluate`, the recorded results, other tools' logs) produces this table and
everything downstream (intervals, tests, plots) consumes it. Chapter 03 introduces it.

===========  =========  ==========================================================================
column       kind       meaning
===========  =========  ==========================================================================
system       text       what was evaluated: model, prompt and decoding together
task         text       on what
item_id      text       the item; unique within a system and task
cluster      text       items of one cluster may depend on each other (the film of a review)
prompt       text       what the system was given
target       text       the right answer
prediction   text       the system's answer
score        number     how good the answer is; for accuracy 1 or 0
loglik       number     ln P(target | prompt) in nats; missing where a system gives none
===========  =========  ==========================================================================

Further columns are kept as they are.
"""

import os
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

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
_KEY = ["system", "task", "item_id"]
_NUMBERS = {"score", "loglik"}


def validate_records(records: pd.DataFrame) -> pd.DataFrame:
    """Return `records` unchanged if it is a table of records as this module describes.

    Raises ``ValueError`` naming the column, and the first row at fault: for a missing column, an
    empty table, a missing text, a score that is missing or infinite, a column of numbers that is
    not one, or two rows of the same system, task and item.
    """
    missing = [name for name in COLUMNS if name not in records.columns]
    if missing:
        raise ValueError(f"records lack the column {missing[0]!r}; they need {', '.join(COLUMNS)}")
    if records.empty:
        raise ValueError("the table of records is empty: there is nothing to evaluate")
    for name in COLUMNS:
        column = records[name]
        if name in _NUMBERS:
            if not pd.api.types.is_numeric_dtype(column):
                raise ValueError(f"column {name!r} of the records must hold numbers, not text")
            bad = np.isinf(column) | (column.isna() & (name == "score"))
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


def write_records(records: pd.DataFrame, path) -> None:
    """Validate `records` and write them to the Parquet file `path`, in one step."""
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        validate_records(records).to_parquet(scratch, index=False, compression="zstd")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def read_records(path) -> pd.DataFrame:
    """Return the records in the Parquet file `path`, validated.

    Raises ``FileNotFoundError`` or ``ValueError`` naming the file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file of records at {str(path)!r}")
    try:
        return validate_records(pd.read_parquet(path))
    except Exception as error:
        raise ValueError(f"{str(path)!r} does not hold records: {error}") from error


def load_records(name: str) -> pd.DataFrame:
    """Return the results recorded in the library under `name`, validated.

    "reviews": systems on the test films of ``load_reviews`` (chapter 03). They are rebuilt by
    ``make records``; a test scores a random sample of them anew. An unknown name raises a
    ``LookupError`` that lists those there are.
    """
    folder = Path(str(resources.files(__package__).joinpath("records")))
    path = folder / f"{name}.parquet"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in folder.glob("*.parquet")))
        raise LookupError(f"no results are recorded as {name!r}; there are: {names}")
    return read_records(path)
