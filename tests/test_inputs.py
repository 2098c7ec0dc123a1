"""What every statistic does with its input: records or arrays, clusters by name, and mistakes.

An error says what is wrong, names the argument or column, and says what to do; in the same words
for all statistics, since all of them take their input through ``inputs``.
"""

from functools import partial
from importlib import import_module
from inspect import getmembers, isfunction, signature

import numpy as np
import pandas as pd
import pytest
from builders import CALLS, SCORES, TABLE, films, records, records_of, same

import lleval_lib as ll


def _macro(scores, **options):
    group = "task" if isinstance(scores, pd.DataFrame) else ["all"] * np.size(scores)
    return ll.macro_interval(scores, group, **options)


def _macro_pair(a, b, **options):
    group = "task" if isinstance(a, pd.DataFrame) else ["all"] * np.size(a)
    return ll.macro_compare(a, b, group, **options)


ONE = {
    "mean_interval": ll.mean_interval,
    "macro_interval": _macro,
    "proportion_interval": ll.proportion_interval,
    "design_effect": ll.design_effect,
}
TWO = {
    "compare": ll.compare,
    "mcnemar_test": ll.mcnemar_test,
    "permutation_test": partial(ll.permutation_test, resamples=999, rng=0),
    "wilcoxon_test": ll.wilcoxon_test,
    "equivalence_test": lambda a, b, **options: ll.equivalence_test(a, b, 0.3, **options),
    "noninferiority_test": lambda a, b, **options: ll.noninferiority_test(a, b, 0.3, **options),
    "effect_sizes": ll.effect_sizes,
    "macro_compare": _macro_pair,
}
MANY = {
    "compare_all": ll.compare_all,
    "friedman_test": ll.friedman_test,
    "average_ranks": ll.average_ranks,
    "rank_intervals": partial(ll.rank_intervals, resamples=99, rng=0),
}
# Statistics that take arrays alone, by the argument under test.
ARRAYS = {
    "outcome": lambda x: ll.group_difference(x, [True, False, True, False]),
    "outcome ": lambda x: ll.cuped(x, SCORES, [True, False, True, False]),
    "covariate": lambda x: ll.cuped(SCORES, x, [True, False, True, False]),
    "differences": lambda x: ll.resampled_t_test(x, 80, 20),
    "values": lambda x: ll.confidence_sequence(x, 10),
    "counts": ll.sample_ratio_test,
    "numerator": lambda x: ll.ratio_interval(x, [1.0, 2.0, 1.0, 4.0]),
    "denominator": lambda x: ll.ratio_interval(SCORES, x),
    "verdict": lambda x: ll.judged_rate(x, [1.0, 0.0, np.nan, np.nan]),
    "score": lambda x: ll.bradley_terry(list("xyzx"), list("yzxy"), x),
    "expected": lambda x: ll.sample_ratio_test([6, 4], x),
}
CLUSTERED = {
    *ONE,
    *TWO,
    *MANY,
    *("ratio_interval", "runs_interval", "bootstrap_interval", "group_difference", "cuped"),
    *("expected_calibration_error", "krippendorff_alpha", "judged_rate", "bradley_terry"),
}

one = pytest.mark.parametrize("call", ONE.values(), ids=ONE)
two = pytest.mark.parametrize("call", TWO.values(), ids=TWO)
many = pytest.mark.parametrize("call", MANY.values(), ids=MANY)
# McNemar's test refuses clusters of two items: tested in test_pairs.
two_clustered = pytest.mark.parametrize(
    "call", [TWO[name] for name in TWO if name != "mcnemar_test"], ids=[*TWO][:1] + [*TWO][2:]
)


def test_no_statistic_is_left_out():
    public = set()
    for name in (
        *("intervals", "runs", "bootstrap", "calibration", "pairs", "many", "planning"),
        *("crossval", "online", "sequential", "raters", "judges", "bradley_terry"),
    ):
        module = import_module(f"lleval_lib.{name}")
        own = {n for n, f in getmembers(module, isfunction) if f.__module__ == module.__name__}
        public |= own & set(ll.__all__)
    assert public == set(CALLS)
    assert {name for name in CALLS if "cluster" in signature(CALLS[name]).parameters} == CLUSTERED


# Scores -------------------------------------------------------------------------------------------

COLUMNS = [
    (["good", "bad", "x"], r"expected numbers, .*'good'"),
    ([1.0, np.nan, np.nan], "2 of 3 values are missing .* at place 1; score every item, or drop"),
    ([1.0, 0.0, np.inf], "1 of 3 values are missing or infinite, the first at place 2"),
    ([1.0, None, 0.0], "1 of 3 values are missing"),
    (pd.Series([1.0, pd.NA, 0.0], dtype="object"), "1 of 3 values are missing"),
]
SHAPES = [
    ([], r"expected one row of numbers, found shape \(0,\)"),
    ([[1, 0]], r"expected one row of numbers, found shape \(1, 2\)"),
    (0.5, r"expected one row of numbers, found shape \(\)"),
]
bad_columns = pytest.mark.parametrize(("scores", "message"), COLUMNS)
bad_scores = pytest.mark.parametrize(("scores", "message"), COLUMNS + SHAPES)


@one
@bad_scores
def test_unusable_scores(call, scores, message):
    with pytest.raises(ValueError, match=f"^scores: {message}"):
        call(scores)


@two
@bad_scores
def test_unusable_scores_of_one_of_two(call, scores, message):
    with pytest.raises(ValueError, match=f"^score of a: {message}"):
        call(scores, scores)
    with pytest.raises(ValueError, match=f"^score of b: {message}"):
        call([1.0, 0.0, 1.0], scores)


@many
@bad_columns
def test_unusable_scores_of_one_of_many(call, scores, message):
    with pytest.raises(ValueError, match=f"^scores of x: {message}"):
        call(pd.DataFrame({"w": [1.0, 0.0, 1.0], "x": scores, "y": 0.0}))


@pytest.mark.parametrize("what", ARRAYS)
@bad_scores
def test_unusable_arrays(what, scores, message):
    with pytest.raises(ValueError, match=f"^{what.strip()}: {message}"):
        ARRAYS[what](scores)


@two
def test_arrays_of_different_length(call):
    with pytest.raises(ValueError, match="a has 4 scores and b 3; a paired comparison needs one"):
        call(SCORES, SCORES[:3])


@many
def test_one_system_is_not_many(call):
    for scores in (SCORES, TABLE[["w"]], records("w", SCORES)):
        with pytest.raises(ValueError, match="found 1 system: give records of two or more, or a"):
            call(scores)


def test_right_or_wrong_as_booleans():
    assert ll.mean_interval([True, False, True, True]) == ll.mean_interval([1, 0, 1, 1])


@pytest.mark.parametrize(
    "name", [n for n in CALLS if "confidence" in signature(CALLS[n]).parameters]
)
@pytest.mark.parametrize("confidence", [0, 1, -0.1, 95, np.nan])
def test_impossible_confidence(name, confidence):
    with pytest.raises(
        ValueError, match=f"confidence must (lie between 0 and 1|be a number).*not {confidence}"
    ):
        CALLS[name](confidence=confidence)


# Clusters -----------------------------------------------------------------------------------------

clustered = pytest.mark.parametrize("name", sorted(CLUSTERED))


@clustered
@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        (["x", "y"], r"cluster= has shape \(2,\), but there are 4 scores"),
        ([["x"] * 4], "cluster= has lists or tensors for labels, such as"),
        (np.array([["x"] * 4]), r"cluster= has shape \(1, 4\)"),
        (["x", None, "y", "z"], "cluster= has missing labels; give an item without a cluster its"),
        ([1, 2, np.nan, 3], "cluster= has missing labels"),
    ],
)
def test_unusable_clusters(name, cluster, message):
    with pytest.raises(ValueError, match=message):
        CALLS[name](cluster=cluster)


@clustered
def test_one_cluster_shows_nothing(name):
    message = {
        "macro_interval": "group 'all' has one cluster: nothing shows .* a finer cluster=",
        "macro_compare": "group 'all' has one cluster: nothing shows .* a finer cluster=",
        "mcnemar_test": "these 4 lie in 1 clusters: use compare or permutation_test",
        "group_difference": "cluster 'x' has rows in both groups",
        "cuped": "cluster 'x' has rows in both groups",
    }.get(name, "all 4 (items|rows) lie in one cluster: nothing shows .* a finer cluster= or more")
    with pytest.raises(ValueError, match=message):
        CALLS[name](cluster=["x"] * 4)


@clustered
def test_a_name_without_columns_to_look_it_up_in(name):
    """A bare table of many systems has columns, but none of this name."""
    error = LookupError if name in MANY else ValueError
    words = "is no column of .* there are: w, x, y" if name in MANY else "names a column, but bare"
    with pytest.raises(error, match=f"cluster='film' {words}"):
        CALLS[name](cluster="film")


@pytest.fixture
def pair():
    """Return records of two systems on 60 items, whose films are in two columns."""
    a, b, labels = films()
    names = [f"film {k}" for k in labels]
    return [records(s, x, names, film=names) for s, x in (("first", a), ("second", b))]


def _given(call, given, labels):
    """Return the results by the records' own clusters, by a column's name, and by its labels."""
    return call(*given), call(*given, cluster="film"), call(*given, cluster=labels)


@one
def test_one_system_brings_its_clusters(call, pair):
    table = pair[0]
    scores = table.score.to_numpy()
    for found in _given(call, [table], table.film):
        same(found, call(scores, cluster=table.film.to_list()))
    same(call(table, cluster="item_id"), call(scores))
    assert str(call(table)) != str(call(scores))
    # Neither the labels' kind, nor the order or index of the rows matters.
    for labels in (table.film.astype("category"), pd.factorize(table.film)[0]):
        same(call(scores, cluster=labels), call(table))
    same(call(table.sample(frac=1, random_state=0)), call(table))


@two_clustered
def test_two_systems_are_matched_and_bring_their_clusters(call, pair):
    a, b = pair
    expected = call(a.score.to_numpy(), b.score.to_numpy(), cluster=a.film)
    for found in _given(call, [a, b], a.film):
        named = str(found).replace("second", "b").replace("first", "a")
        assert named.split() == str(expected).split()  # longer names may break a line
        assert "n = 60 in 9 clusters" in str(found)
    assert str(call(a, b, cluster="item_id")) == str(call(a, b, cluster=a.item_id)) != str(expected)
    mixed = a.sample(frac=1, random_state=1)
    for found in (
        call(a, b.sample(frac=1, random_state=0)),
        call(mixed, b),
        call(mixed, b, cluster=mixed.film),  # labels follow the rows of a
    ):
        same(found, call(a, b))


@many
def test_many_systems_bring_their_clusters(call):
    rng = np.random.default_rng(4)
    table = pd.DataFrame(rng.random((60, 3)) < [0.4, 0.5, 0.7], columns=list("wxy")).astype(float)
    names = [f"film {k // 5}" for k in range(60)]
    long = records_of(table, names, film=names)
    for found in _given(call, [long], long.film):
        same(found, call(table, cluster=names))
    same(call(table.assign(film=names), cluster="film"), call(table, cluster=names))
    rest = long[long.system != "w"].sample(frac=1, random_state=0).sort_values("system")
    same(call(pd.concat([long[long.system == "w"], rest])), call(long))
    same(call(long, cluster=long.item_id), call(table))
    assert str(call(table)) != str(call(long))


# Records ------------------------------------------------------------------------------------------


def _changed(column, value, place=2):
    table = records("b", SCORES)
    table.loc[place, column] = value
    return table


NAMELESS = [
    (records("b", SCORES).drop(columns="score"), "has no column 'score': give records, or a plain"),
    (records("b", SCORES).drop(columns="system"), "has no column 'system'"),
    (records("b", SCORES).iloc[:0], "has no rows: is the system's name spelt as in the records"),
    (_changed("system", "c"), r"of one system, found 2: select with records\[records.system =="),
    (_changed("task", "u"), r"of one task, found 2: select with records\[records.task =="),
]
NAMED = [
    (_changed("score", np.nan), "score of b: 1 of 4 values are missing .* at place 2"),
    (_changed("item_id", "i1"), "column 'item_id': item 'i1' stands twice in b; .* average"),
]


@one
@pytest.mark.parametrize(
    ("table", "message"),
    [
        *((table, f"^scores (must be the records )?{message}") for table, message in NAMELESS),
        *NAMED,
        (_changed("cluster", None), "cluster= has missing labels"),
    ],
)
def test_unusable_records(call, table, message):
    with pytest.raises(ValueError, match=message):
        call(table)


@two
@pytest.mark.parametrize(
    ("table", "message"),
    [
        *((table, f"^[ab] (must be the records )?{message}") for table, message in NAMELESS),
        *NAMED,
        (_changed("cluster", None), "column 'cluster': item 'i2' is not the same in"),
        (_changed("cluster", "c0"), "column 'cluster': item 'i2' is not the same in"),
        (_changed("target", "no"), "column 'target': item 'i2' is not the same in"),
        (records("b", SCORES, task="u"), "column 'task': item 'i0' is not the same in"),
        (records("b", SCORES[:3]), "'item_id': 1 items of a are not in b, such as 'i3'; .* common"),
        (records("b", [*SCORES, 1.0]), "'item_id': 1 items of b are not in a, such as 'i4'"),
        (_changed("item_id", "zzz"), "'item_id': 1 items of (a|b) are not in (b|a), such as"),
        (SCORES, "a and b must be of one kind: both records, or both arrays"),
    ],
)
def test_records_that_cannot_be_paired(call, table, message):
    good = records("a", SCORES)
    for pair in ((good, table), (table, good)):
        with pytest.raises(ValueError, match=message):
            call(*pair)


@many
@pytest.mark.parametrize(
    ("table", "message"),
    [
        *NAMED,
        (records("b", SCORES[:3]), "'item_id': 1 items of a are not in b, such as 'i3'"),
        (
            _changed("target", "no"),
            "'target': item 'i2' is not the same in a .'yes'. and b",
        ),
        (_changed("cluster", "c0"), "'cluster': item 'i2' is not the same in a .* and b"),
        (records("b", SCORES, task="u"), "'task': item 'i0' is not the same in a .* and b"),
        (_changed("task", "u"), "must be the records of one task, found 2"),
    ],
)
def test_records_of_many_that_cannot_be_compared(call, table, message):
    with pytest.raises(ValueError, match=message):
        call(pd.concat([records("a", SCORES), table, records("c", SCORES)]))


def test_names_that_are_no_column(pair):
    a, b = pair
    with pytest.raises(LookupError, match=r"cluster='flim' is no column .* there are: system, ta"):
        ll.mean_interval(a, cluster="flim")
    for other in (b.drop(columns="film"), b):
        cluster = "flim" if other is b else "film"
        with pytest.raises(
            LookupError,
            match=f"cluster='{cluster}' is no column of .* of ",
        ):
            ll.compare(a, other, cluster=cluster)
    b.loc[3, "film"] = "another"
    with pytest.raises(ValueError, match=r"'film': item 'i3' is not the same in first .* and"):
        ll.compare(a, b, cluster="film")


# Whatever is given -------------------------------------------------------------------------------


class Opaque:
    """Something that no function knows."""


NOT_NUMBERS = {
    "none": None,
    "text": "95%",
    "object": Opaque(),
    "nan": np.nan,
    "infinite": np.inf,
    "negative": -1.0,
    "percentage": 95,
    "huge": 1e300,
    "array of scalars": np.array([0.5, 0.5]),
    "texts that are numbers": ["1", "0", "1", "1"],
    "complex": np.array([1 + 1j, 0, 1, 0]),
    "dates": pd.to_datetime(["2026-11-25"] * 4),
    "durations": pd.to_timedelta([1, 2, 3, 4]),
    "nullable": pd.array([1, None, 0, 1], dtype="Int64"),
    "nullable booleans": pd.array([True, None, False, True], dtype="boolean"),
    "masked": np.ma.MaskedArray([1.0, 0.0, 1.0, 1.0], [False, True, False, False]),
    "ragged": [[1, 0], [1], 0, 1],
    "records without columns": pd.DataFrame({"x": [1.0, 0, 1, 1]}),
    "another index": pd.Series([1.0, 0, 1, 1], index=list("wxyz")),
    "labels of two kinds": [1, "1", 2, "2"],
    "a label that is missing": ["x", np.nan, np.nan, "z"],
    "categories": pd.Series(["x", "y", "x", None], dtype="category"),
    "dictionary": {"a": 1},
}


def _places():
    """Yield every argument of every statistic, as (name of the call, argument)."""
    for name, call in CALLS.items():
        whole = signature(call.func)
        given = whole.bind(*call.args, **call.keywords).arguments
        for parameter in whole.parameters.values():
            if parameter.kind is not parameter.VAR_KEYWORD:
                yield pytest.param(call, given, parameter, id=f"{name}-{parameter.name}")


@pytest.mark.slow
@pytest.mark.parametrize(("call", "given", "parameter"), _places())
@pytest.mark.parametrize("value", NOT_NUMBERS.values(), ids=NOT_NUMBERS)
@pytest.mark.filterwarnings("error")
def test_no_traceback_and_no_warning_whatever_is_given(call, given, parameter, value):
    """An error is a sentence of ours, and names the argument; else the value was of use."""
    arguments = dict(given) | {parameter.name: value}
    variadic = arguments.pop("columns", None)
    first = arguments.pop("statistic", None)
    if "statistic" not in given:
        call_it = partial(call.func, **arguments)
    else:
        columns = variadic if isinstance(variadic, tuple) else (variadic,)
        call_it = partial(call.func, first, *columns, **arguments)
    said = _error_of(call_it)
    words = {parameter.name, parameter.name.removesuffix("s"), "score", "system", "cluster", "item"}
    words |= {"statistic"} if parameter.name == "columns" else set()
    assert said is None or any(word in said for word in words), said
    assert len(said or "") < 500


def _error_of(call):
    """Return what an error of ours says, or None; any other error is raised."""
    try:
        str(call())
    except (ValueError, LookupError) as error:
        return str(error)
    return None
