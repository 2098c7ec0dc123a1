"""Turn what a caller gives, records or arrays of scores, into checked arrays.

Every statistic of the library takes either kind and begins here, so that a mistake is reported in
the same words everywhere. A Series says by its index which value belongs to which item: several
are put in the order of the first, or refused. Values without an index belong together by place.
"""

import unicodedata
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .clusters import even_out

# The scores of one system: its records, or n numbers.
Scores: TypeAlias = pd.DataFrame | ArrayLike
# What dependent items have in common: the name of a column of the records, or n labels.
Cluster: TypeAlias = str | ArrayLike | None
# SPEC 7 of scientific Python: None, a seed, or a Generator.
Rng: TypeAlias = np.random.Generator | int | None

_RECORD_COLUMNS = ("system", "task", "item_id", "cluster", "target", "score")


# Scores -------------------------------------------------------------------------------------------


def one_system(scores: Scores, cluster: Cluster = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of one system and the number of each score's cluster, from 0.

    `scores` are n finite numbers, or the records of one system; `cluster` are n labels or the name
    of a column of the records, by default their own ``cluster``, or for bare scores every item its
    own. Raises ``ValueError`` for an empty or not finite column, a wrong length, an item that
    stands twice, or labels in another order than the scores; ``LookupError`` for an unknown column.
    """
    scores = as_pandas(scores)
    if isinstance(scores, pd.DataFrame):
        name = _one_name(scores, "scores")
        values = finite(scores.score, f"score of {name}")
        cluster = "cluster" if cluster is None else cluster
    else:
        values = finite(scores, "scores")
    return values, cluster_numbers(cluster, len(values), first_indexed(scores, cluster))


def paired_systems(
    a: Scores, b: Scores, cluster: Cluster = None
) -> tuple[tuple[str, str], np.ndarray, np.ndarray, np.ndarray]:
    """Return (names of both systems, scores of a, scores of b, cluster numbers), item by item.

    `a` and `b` are records of one system each, matched by ``item_id``, or two equally long arrays
    in the same order, or two Series, matched by their index. Raises ``ValueError`` as `one_system`,
    and when the item sets differ, naming an item that only one system has.
    """
    a, b = as_pandas(a), as_pandas(b)
    if isinstance(a, pd.DataFrame) != isinstance(b, pd.DataFrame):
        raise ValueError("a and b must be of one kind: both records, or both arrays of scores")
    names, scores = ("a", "b"), (a, b)
    if isinstance(a, pd.DataFrame):
        names = _one_name(a, "a"), _one_name(b, "b")
        cluster = "cluster" if cluster is None else cluster
        b = _matched(a, b, names, ["cluster", cluster] if isinstance(cluster, str) else ["cluster"])
        scores = a.score, b.score.to_numpy()
    # Lengths and kinds first: what is wrong with one of two says more than that they differ.
    x, y = (finite(s, f"score of {name}") for s, name in zip(scores, names, strict=True))
    if len(x) != len(y):
        raise ValueError(
            f"a has {len(x):,} scores and b {len(y):,}; a paired comparison needs one each an item"
        )
    if isinstance(scores[1], pd.Series):
        y = finite(in_order(scores[1], scores[0], "b"), f"score of {names[1]}")
    return names, x, y, cluster_numbers(cluster, len(x), first_indexed(a, b, cluster))


def finite(values: ArrayLike, what: str) -> np.ndarray:
    """Return `values` as a float array of one dimension; `what` names them in an error."""
    array = as_floats(values, what)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{what}: expected one row of numbers, found shape {array.shape}")
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(
            f"{what}: {int(bad.sum()):,} of {array.size:,} values are missing or infinite, the "
            f"first at place {int(bad.argmax())}; score every item, or drop it from all systems"
        )
    return array


def as_pandas(values: Any) -> Any:
    """Return frames and columns of other libraries, such as polars, as pandas' own."""
    known = pd.DataFrame | pd.Series | pd.Index | np.ndarray | list
    if isinstance(values, known) or not hasattr(values, "to_pandas"):
        return values
    found = values.to_pandas()
    return found.array if isinstance(found, pd.Series) else found  # their columns have no index


def first_indexed(*values: Any) -> Any:
    """Return the first of `values` that has an index, after which the others are ordered."""
    return next((v for v in values if isinstance(v, pd.Series | pd.DataFrame)), None)


def as_array(values: Any) -> Any:
    """Return a tensor as an array, wherever it lies and whatever is derived from it."""
    if not hasattr(values, "detach"):
        return values
    values = values.detach().cpu()
    if "bfloat16" not in str(values.dtype):
        return values.numpy()
    exact = values.double().numpy()  # numpy has no such numbers; they have two digits
    return even_out(exact, np.abs(exact), 2)


def as_floats(values: Any, what: str) -> np.ndarray:
    """Return numbers as floats, with nan for missing ones; nothing else passes for a number."""
    values = as_pandas(as_array(values))
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(float), np.nan)
    if isinstance(values, pd.DataFrame | pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        values = values.astype(object) if _has_nullable(values) else values
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{what}: expected numbers in one shape ({error})") from error
    if array.dtype.kind == "O":
        other = [not (isinstance(v, Real) or _is_missing(v)) for v in array.flat]
        if any(other):
            place = other.index(True)
            raise ValueError(
                f"{what}: expected numbers, but at place {place} is {array.flat[place]!r}"
            )
        flat = [np.nan if _is_missing(v) else float(v) for v in array.flat]
        array = np.array(flat, dtype=float).reshape(array.shape)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{what}: expected numbers, found {_kind_of(array)}; turn them into numbers first"
        )
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        # Fewer digits are known: 0.7 in 32 bits is 0.7 in 64, and no other number.
        exact = array.astype(float)
        known = np.isfinite(exact)
        digits = np.finfo(array.dtype).precision
        exact[known] = even_out(exact[known], np.abs(exact[known]), digits)
        return exact
    return array.astype(float, copy=False)


def _has_nullable(values: Any) -> bool:
    dtypes = values.dtypes if isinstance(values, pd.DataFrame) else [values.dtype]
    return any(map(pd.api.types.is_extension_array_dtype, dtypes))


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT


def _kind_of(array: np.ndarray) -> str:
    kinds = {"U": "texts", "S": "bytes", "c": "complex numbers", "M": "dates", "m": "durations"}
    kind = kinds.get(array.dtype.kind, f"shape {array.shape} of {array.dtype}")
    return f"{kind} such as {str(array.flat[0])!r}" if array.dtype.kind in kinds else kind


# Labels -------------------------------------------------------------------------------------------


def cluster_numbers(cluster: Cluster, n: int, reference: Any = None) -> np.ndarray:
    """Return the numbers 0, 1, … of the clusters of n items; ``None``: every item its own.

    `reference` is what the items come from: a name is looked up among its columns, and labels that
    are a Series are put in the order of its index.
    """
    if cluster is None:
        return np.arange(n, dtype=np.int32)
    return pd.factorize(labels_of(cluster, n, reference, "cluster"))[0]


def labels_of(labels: Any, n: int, reference: Any, argument: str) -> np.ndarray:
    """Return n labels without a missing one: `labels`, or the column of `reference` they name."""
    frame = reference if isinstance(reference, pd.DataFrame) else None
    found = _column(labels, frame, argument) if isinstance(labels, str) else labels
    found = as_pandas(as_array(found))
    if isinstance(found, list | tuple):
        found = np.array([*found, None], dtype=object)[:-1]  # else numpy turns nan into a text
        if any(map(_holds_more, found)):
            raise ValueError(
                f"{argument}= has lists or tensors for labels, such as {found[0]!r}: give numbers "
                "or texts"
            )
    masked = isinstance(found, np.ma.MaskedArray) and np.ma.getmaskarray(found).any()
    if isinstance(found, pd.Series):
        if found.shape == (n,):
            found = in_order(found, reference, f"{argument}=")
        found = found.to_numpy()
    array = np.asarray(found)
    if array.dtype.kind == "U" and (array == "nan").any():
        raise ValueError(f"{argument}= has the text 'nan', which numpy makes of a missing label")
    if array.shape != (n,):
        raise ValueError(
            f"{argument}= has shape {array.shape}, but there are {n:,} scores; give one label each"
        )
    if masked or pd.isna(array).any():
        raise ValueError(
            f"{argument}= has missing labels; give an item without a {argument} its own"
        )
    if array.dtype.kind == "O":
        texts = np.array([isinstance(label, str) for label in array])
        if texts.any() and not texts.all():
            one, other = array[texts][0], array[~texts][0]
            raise ValueError(
                f"{argument}= has labels of two kinds, such as {one!r} and {other!r}; write all as "
                "texts or all as numbers"
            )
    return array


def _holds_more(label: Any) -> bool:
    """Return whether a label is a list or a tensor, which are counted by identity."""
    tensor = hasattr(label, "shape") and not isinstance(label, np.generic)
    return tensor or (np.iterable(label) and not isinstance(label, str))


def _column(name: str, frame: pd.DataFrame | None, argument: str) -> pd.Series:
    if frame is None:
        raise ValueError(
            f"{argument}={name!r} names a column, but bare scores have none: give one label each"
        )
    if name not in frame.columns:
        raise LookupError(
            f"{argument}={name!r} is no column of the records; there are: "
            f"{', '.join(map(str, frame.columns))}"
        )
    return frame[name]


def in_order(values: pd.Series, reference: Any, what: str) -> pd.Series:
    """Return `values` in the order of the index of `reference`, if that has one.

    Raises ``ValueError`` where the labels are not the same, or repeat: by place would be a guess.
    """
    index = reference.index if isinstance(reference, pd.Series | pd.DataFrame) else values.index
    if values.index.equals(index):
        return values
    if len(index) == len(values) and index.is_unique and values.index.is_unique:
        places = values.index.get_indexer(index)
        if (places >= 0).all():
            return values.iloc[places]
    raise ValueError(
        f"{what} is a Series with other labels than the values it belongs to (such as "
        f"{_first_other(values.index, index)!r}): give both one index, such as item_id, or, if "
        "they are in the same order, .to_numpy()"
    )


def _first_other(index: pd.Index, other: pd.Index) -> Any:
    alone = index[~index.isin(other)]
    twice = index[index.duplicated()]
    return next(iter([*alone[:1], *twice[:1], *other[other.duplicated()][:1], *index[:1]]), None)


# Arguments ----------------------------------------------------------------------------------------


def require_share(value: Any, argument: str = "confidence") -> float:
    """Return `value` if it is a number between 0 and 1, both left out."""
    number = require_number(value, argument, "0.95")
    if not 0 < number < 1:
        hint = f": for {number:g}% write {number / 100:g}" if 1 < number < 100 else ""
        raise ValueError(f"{argument} must lie between 0 and 1, such as 0.95, not {number:g}{hint}")
    return number


def require_number(value: Any, argument: str, such_as: str) -> float:
    """Return `value` as a float if it is one real number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{argument} must be one number, such as {such_as}, not {value!r}")
    return float(value)


def require_count(value: Any, argument: str, least: int, such_as: int, most: float = 1e7) -> int:
    """Return `value` as an int if it is a whole number from `least` to `most`."""
    number = require_number(value, argument, str(such_as))
    if most < number:
        raise ValueError(f"{argument} must be at most {most:,.0f}, such as {such_as}, not {value}")
    if not (number >= least and number % 1 == 0):
        raise ValueError(
            f"{argument} must be a whole number of {least} or more, such as {such_as}, not {value}"
        )
    return int(number)


def require_one_of(value: Any, argument: str, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of the texts that may be chosen."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"{argument} must be one of {', '.join(map(repr, choices))}, not {value!r}"
        )
    return value


def require_flag(value: Any, argument: str) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{argument} must be True or False, not {value!r}")
    return bool(value)


def generator(rng: Rng) -> np.random.Generator:
    """Return a Generator: the one given, one of a seed, or for None one of the system's chance."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"rng must be None, a seed of 0 or more, or a numpy.random.Generator, not {rng!r}"
        ) from error


def require_two_clusters(clusters: np.ndarray, what: str = "items") -> int:
    """Return the number of clusters, of which there must be two or more."""
    groups = int(clusters.max()) + 1
    if groups < 2:
        n = len(clusters)
        told = (
            f"all {n:,} {what} lie in one cluster" if n > 1 else f"there is but one of the {what}"
        )
        raise ValueError(
            f"{told}: nothing shows how clusters vary; give a finer cluster= or more data"
        )
    return groups


# Records ------------------------------------------------------------------------------------------


def _one_name(records: pd.DataFrame, what: str) -> str:
    """Return the name of the one system whose records on one task these are."""
    for column in _RECORD_COLUMNS:
        if column not in records.columns:
            raise ValueError(
                f"{what} has no column {column!r}: give records, or a plain array of scores"
            )
    if records.empty:
        raise ValueError(f"{what} has no rows: is the system's name spelt as in the records?")
    for column in ("system", "task", "item_id"):
        if records[column].isna().any():
            raise ValueError(f"column {column!r} of {what} has missing names: fill them in")
    for column in ("system", "task"):
        found = records[column].unique()
        if len(found) != 1:
            raise ValueError(
                f"{what} must be the records of one {column}, found {len(found)}: select with "
                f"records[records.{column} == …]"
            )
    name = str(records.system.iloc[0])
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
    _require_same_items(a, b, names)
    b = b.set_index("item_id").loc[a.item_id].reset_index()
    for name in dict.fromkeys(["task", "target", *clusters]):
        for table, system in ((a, names[0]), (b, names[1])):
            if name not in table.columns:
                raise LookupError(
                    f"cluster={name!r} is no column of the records of {system}; there are: "
                    f"{', '.join(map(str, table.columns))}"
                )
        x, y = (table[name].astype(object).to_numpy() for table in (a, b))
        differ = np.array([not _alike(p, q) for p, q in zip(x, y, strict=True)])
        if differ.any():
            place = int(differ.argmax())
            raise ValueError(
                f"column {name!r}: item {a.item_id.iloc[place]!r} is not the same in {names[0]} "
                f"({_shown(x[place])}) and {names[1]} ({_shown(y[place])}); a paired comparison "
                "needs the same items"
            )
    return b


def _alike(one: Any, other: Any) -> bool:
    """Return whether two entries are the same; missing ones are, and so are equal lists."""
    if one is other:
        return True
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    if isinstance(one, list | tuple | np.ndarray) or isinstance(other, list | tuple | np.ndarray):
        return np.array_equal(np.asarray(one, dtype=object), np.asarray(other, dtype=object))
    if pd.isna(one) or pd.isna(other):
        return bool(pd.isna(one) and pd.isna(other))
    return bool(one == other)


def _require_same_items(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str]) -> None:
    for one, other, name, rest in ((a, b, *names), (b, a, *names[::-1])):
        items = set(other.item_id.to_numpy())
        alone = [item for item in one.item_id.to_numpy() if item not in items]
        if alone:
            twin = {_plain_form(item): item for item in items}.get(_plain_form(alone[0]))
            like = "" if twin is None else f" (there it is {twin!a})"
            shown = repr(alone[0]) if twin is None else ascii(alone[0])
            raise ValueError(
                f"column 'item_id': {len(alone):,} items of {name} are not in {rest}, such as "
                f"{shown}{like}; a paired comparison needs the same items, so keep the common ones"
            )


def _plain_form(item: Any) -> str:
    """Return an item's name without what the eye does not see: its type, its Unicode form."""
    return unicodedata.normalize("NFC", str(item))


def _shown(value: Any, most: int = 40) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"
