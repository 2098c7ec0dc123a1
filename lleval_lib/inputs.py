"""Turn what a caller gives, records or arrays of scores, into checked arrays.

Every statistic of the library takes either kind and begins here, so that a mistake is reported in
the same words everywhere.
"""

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

# The scores of one system: its records, or n numbers.
Scores: TypeAlias = pd.DataFrame | ArrayLike
# What dependent items have in common: the name of a column of the records, or n labels.
Cluster: TypeAlias = str | ArrayLike | None
# SPEC 7 of scientific Python: None, a seed, or a Generator.
Rng: TypeAlias = np.random.Generator | int | None


def one_system(scores: Scores, cluster: Cluster = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of one system and the number of each score's cluster, from 0.

    `scores` are n finite numbers, or the records of one system; `cluster` are n labels or the name
    of a column of the records, by default their own ``cluster``, or for bare scores every item its
    own. Raises ``ValueError`` for an empty or not finite column, a wrong length, or an item that
    stands twice; ``LookupError`` for an unknown column.
    """
    if isinstance(scores, pd.DataFrame):
        name = _one_name(scores, "scores")
        values = finite(scores.score, f"score of {name}")
        cluster = "cluster" if cluster is None else cluster
        return values, cluster_numbers(cluster, len(values), scores)
    values = finite(scores, "scores")
    return values, cluster_numbers(cluster, len(values))


def paired_systems(
    a: Scores, b: Scores, cluster: Cluster = None
) -> tuple[tuple[str, str], np.ndarray, np.ndarray, np.ndarray]:
    """Return (names of both systems, scores of a, scores of b, cluster numbers), item by item.

    `a` and `b` are records of one system each, matched by ``item_id``, or two equally long arrays
    in the same order. Raises ``ValueError`` as `one_system`, and when the item sets differ, naming
    an item that only one system has.
    """
    if isinstance(a, pd.DataFrame) != isinstance(b, pd.DataFrame):
        raise ValueError("a and b must be of one kind: both records, or both arrays of scores")
    names = ("a", "b")
    scores = a, b
    frame = None
    if isinstance(a, pd.DataFrame):
        names = _one_name(a, "a"), _one_name(b, "b")
        cluster = "cluster" if cluster is None else cluster
        b = _matched(a, b, names, ["cluster", cluster] if isinstance(cluster, str) else ["cluster"])
        frame, scores = a, (a.score, b.score)
    x, y = (finite(s, f"score of {name}") for s, name in zip(scores, names, strict=True))
    if len(x) != len(y):
        raise ValueError(
            f"a has {len(x):,} scores and b {len(y):,}; a paired comparison needs one each an item"
        )
    return names, x, y, cluster_numbers(cluster, len(x), frame)


def cluster_numbers(cluster: Cluster, n: int, frame: pd.DataFrame | None = None) -> np.ndarray:
    """Return the numbers 0, 1, … of the clusters of n items; ``None``: every item its own.

    A name is looked up among the columns of `frame`, the table that the items come from.
    """
    if cluster is None:
        return np.arange(n)
    labels = np.asarray(labels_of(cluster, frame, "cluster"))
    if labels.shape != (n,):
        raise ValueError(f"cluster= has shape {labels.shape}, but there are {n:,} scores")
    if pd.isna(labels).any():
        raise ValueError("cluster= has missing labels; give an item without a cluster its own")
    return pd.factorize(labels)[0]


def labels_of(labels, frame: pd.DataFrame | None, argument: str) -> Any:
    """Return `labels`, or the column of `frame` that they name; `argument` names them in errors."""
    if not isinstance(labels, str):
        return labels
    if frame is None:
        raise ValueError(
            f"{argument}={labels!r} names a column, but bare scores have none: give one label each"
        )
    if labels not in frame.columns:
        raise LookupError(
            f"{argument}={labels!r} is no column of the records; there are: "
            f"{', '.join(map(str, frame.columns))}"
        )
    return frame[labels]


def require_share(value: float, argument: str = "confidence") -> float:
    """Return `value` if it lies between 0 and 1, both left out."""
    if not 0 < value < 1:
        raise ValueError(f"{argument} must lie between 0 and 1, such as 0.95, not {value}")
    return value


def require_two_clusters(clusters: np.ndarray, what: str = "items") -> int:
    """Return the number of clusters, of which there must be two or more."""
    groups = int(clusters.max()) + 1
    if groups < 2:
        raise ValueError(
            f"all {len(clusters):,} {what} lie in one cluster: nothing shows how clusters vary; "
            "give a finer cluster= or more data"
        )
    return groups


def finite(values: ArrayLike, what: str) -> np.ndarray:
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


def _matched(
    a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str], clusters: list[str]
) -> pd.DataFrame:
    """Return the rows of `b` in the order of the items of `a`."""
    for one, other, name, rest in ((a, b, *names), (b, a, *names[::-1])):
        alone = sorted(set(one.item_id) - set(other.item_id))
        if alone:
            raise ValueError(
                f"column 'item_id': {len(alone):,} items of {name} are not in {rest}, such as "
                f"{alone[0]!r}; a paired comparison needs the same items, so keep the common ones"
            )
    b = b.set_index("item_id").loc[a.item_id].reset_index()
    for name in dict.fromkeys(["task", "target", *clusters]):
        if name not in a.columns or name not in b.columns:
            raise LookupError(f"cluster={name!r} is no column of the records of both systems")
        differ = a[name].to_numpy() != b[name].to_numpy()
        if differ.any():
            item = a.item_id.iloc[int(differ.argmax())]
            raise ValueError(
                f"column {name!r}: item {item!r} is not the same in {names[0]} and {names[1]}; "
                "a paired comparison needs the same items"
            )
    return b
