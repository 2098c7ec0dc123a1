"""Evaluate items in shards, on any number of workers, so that nothing is lost or counted twice.

A shard is a few items, and one file. The file's name is a hash of the items and of what is run, so
that the same work always has the same file: who finds it there does nothing, and who does it twice
writes it twice alike. It appears whole or not at all. Then a worker may die and its shard be run
again, elsewhere, while its first run still writes: a run may stop and go on.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .inputs import require_count
from .records import read_records, write_records


def run_shards(
    work: Callable[[pd.DataFrame], pd.DataFrame],
    items: pd.DataFrame,
    folder: str | Path,
    *,
    name: str,
    each: int = 64,
    client: Any = None,
) -> pd.DataFrame:
    """Return the records that `work` makes of `items`, `each` items at a time, in their order.

    `work` takes rows of `items`, which have the column ``item_id``, and returns their records
    (`make_records`, `evaluate`), one row an item. `folder` keeps a file a shard; one that is
    there is read, not made anew. `name` says all that is run and is not in the items, such as
    model, template and version, because a shard is known by its items and this name: another
    name, another file. `client` is a ``distributed.Client``, whose workers must see the same
    `folder`; without it this process does the work. `work` is sent to the workers: let it load a
    model where it runs, once a process (``functools.cache``), and hold none.

    Derived in chapter 25.

    >>> import tempfile
    >>> from lleval_lib import load_records
    >>> some = load_records("reviews").head(5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = run_shards(lambda rows: rows, some, folder, name="as they are", each=2)
    >>> made.item_id.equals(some.item_id)
    True

    Raises ``ValueError`` for an empty name, no items, items without an ``item_id`` or with one
    twice, items that hold more than numbers, texts, bytes, arrays and lists of these (an image has
    no content that names a file: give its path or its hash), and records that are not one row of
    each item of the shard.
    """
    # A worker may have another working folder.
    folder, each = Path(folder).absolute(), require_count(each, "each", 1, 64)
    if not name.strip():
        raise ValueError("name is empty: say what is run, such as model, template and version")
    if "item_id" not in items.columns:
        raise ValueError("items lack the column 'item_id'")
    if items.empty:
        raise ValueError("there are no items")
    if items.item_id.duplicated().any():
        twice = items.item_id[items.item_id.duplicated()].iloc[0]
        raise ValueError(f"column 'item_id': item {twice!r} stands more than once")
    folder.mkdir(parents=True, exist_ok=True)
    shards = [items.iloc[start : start + each] for start in range(0, len(items), each)]
    paths = [folder / f"{_key(shard, name)}.parquet" for shard in shards]
    todo = [(work, *pair) for pair in zip(shards, paths, strict=True) if not pair[1].exists()]
    if client is None:
        for task in todo:
            _run(*task)
    else:
        # Not pure: Dask would answer a second try with the error that it keeps of the first.
        client.gather([client.submit(_run, *task, pure=False) for task in todo])
    return pd.concat([read_records(path) for path in paths], ignore_index=True)


def _key(shard: pd.DataFrame, name: str) -> str:
    """Return what stands for the content of `shard` and for `name`: 16 digits of a sha256."""
    # Not `to_json`, which rounds floats and takes two images for the same.
    content = json.dumps([name, shard.to_dict("split", index=False)], default=_plain)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """Return `value`, which JSON does not know, as something that it does."""
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    raise ValueError(f"items hold a {type(value).__name__}, whose content cannot name a file")


def _run(work: Callable[[pd.DataFrame], pd.DataFrame], shard: pd.DataFrame, path: Path) -> None:
    if path.exists():
        return
    records = work(shard)
    begins = f"the shard that begins with {shard.item_id.iloc[0]!r}"
    if not isinstance(records, pd.DataFrame) or "item_id" not in records:
        raise ValueError(
            f"work returned a {type(records).__name__} without 'item_id', not records, for {begins}"
        )
    if len(records) != len(shard) or set(records.item_id) != set(shard.item_id):
        raise ValueError(
            f"work returned {len(records):,} records, not one of each of the {len(shard):,} items "
            f"of {begins}"
        )
    order = pd.Index(records.item_id).get_indexer(pd.Index(shard.item_id))
    write_records(records.iloc[order], path)
