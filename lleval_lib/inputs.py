"""Turn what a caller gives, records or arrays of scores, into checked arrays.

Every statistic of the library takes either kind and begins here, so that a mistake is reported in
the same words everywhere.
"""

import numpy as np
import pandas as pd


def one_system(scores, cluster=None) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of one system and the number of each score's cluster, from 0.

    `scores` are n finite numbers, or the records of one system; `cluster` are n labels, by
    default the records' own column, or for bare scores every item its own cluster. Raises
    ``ValueError`` for an empty or not finite column, a wrong length, or an item that stands twice.
    """
    if isinstance(scores, pd.DataFrame):
        name = _one_name(scores, "scores")
        values = finite(scores.score, f"score of {name}")
        return values, cluster_numbers(scores.cluster if cluster is None else cluster, len(values))
    values = finite(scores, "scores")
    return values, cluster_numbers(cluster, len(values))


def paired_systems(a, b, cluster=None):
    """Return (names of both systems, scores of a, scores of b, cluster numbers), item by item.

    `a` and `b` are records of one system each, matched by ``item_id``, or two equally long arrays
    in the same order. Raises ``ValueError`` as `one_system`, and when the item sets differ, naming
    an item that only one system has.
    """
    if isinstance(a, pd.DataFrame) != isinstance(b, pd.DataFrame):
        raise ValueError("a and b must be of one kind: both records, or both arrays of scores")
    names = ("a", "b")
    scores = a, b
    if isinstance(a, pd.DataFrame):
        names = _one_name(a, "a"), _one_name(b, "b")
        b = _matched(a, b, names)
        cluster = a.cluster if cluster is None else cluster
        scores = a.score, b.score
    x, y = (finite(s, f"score of {name}") for s, name in zip(scores, names, strict=True))
    if len(x) != len(y):
        raise ValueError(
            f"a has {len(x):,} scores and b {len(y):,}; a paired comparison needs one each an item"
        )
    return names, x, y, cluster_numbers(cluster, len(x))


def cluster_numbers(cluster, n: int) -> np.ndarray:
    """Return the numbers 0, 1, … of the clusters of n items; ``None``: every item its own."""
    if cluster is None:
        return np.arange(n)
    labels = np.asarray(cluster)
    if labels.shape != (n,):
        raise ValueError(f"cluster= has shape {labels.shape}, but there are {n:,} scores")
    if pd.isna(labels).any():
        raise ValueError("cluster= has missing labels; give an item without a cluster its own")
    return pd.factorize(labels)[0]


def finite(values, what: str) -> np.ndarray:
    """Return `values` as a float array of one dimension; `what` names them in an error."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: expected one row of numbers ({error})") from error
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{what}: expected one row of numbers, found shape {array.shape}")
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(
            f"{what}: {int(bad.sum()):,} of {array.size:,} values are missing or infinite, the "
            f"first at place {int(bad.argmax())}; score every item, or drop it from all systems"
        )
    return array


def _one_name(records: pd.DataFrame, what: str) -> str:
    """Return the name of the one system whose records on one task these are."""
    for column in ("system", "task", "item_id", "cluster", "target", "score"):
        if column not in records.columns:
            raise ValueError(
                f"{what} has no column {column!r}: give records, or a plain array of scores"
            )
    if records.empty:
        raise ValueError(f"{what} has no rows: is the system's name spelt as in the records?")
    for column in ("system", "task"):
        found = records[column].unique()
        if len(found) != 1:
            raise ValueError(
                f"{what} must be the records of one {column}, found {len(found)}: select with "
                f"records[records.{column} == …]"
            )
    name = records.system.iloc[0]
    twice = records.item_id.duplicated()
    if twice.any():
        item = records.item_id[twice].iloc[0]
        raise ValueError(
            f"column 'item_id': item {item!r} stands twice in {name}; an item is one row, so "
            "average repeated samples first"
        )
    return name


def _matched(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """Return the rows of `b` in the order of the items of `a`."""
    for one, other, name, rest in ((a, b, *names), (b, a, *names[::-1])):
        alone = sorted(set(one.item_id) - set(other.item_id))
        if alone:
            raise ValueError(
                f"column 'item_id': {len(alone):,} items of {name} are not in {rest}, such as "
                f"{alone[0]!r}; a paired comparison needs the same items, so keep the common ones"
            )
    b = b.set_index("item_id").loc[a.item_id].reset_index()
    for column in ("task", "target", "cluster"):
        differ = a[column].to_numpy() != b[column].to_numpy()
        if differ.any():
            item = a.item_id.iloc[int(differ.argmax())]
            raise ValueError(
                f"column {column!r}: item {item!r} is not the same in {names[0]} and {names[1]}; "
                "a paired comparison needs the same items"
            )
    return b
