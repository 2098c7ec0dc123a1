"""Results: how they print, and the one table of many."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from builders import DARWIN, answers

import lleval_lib as ll


def test_printed_interval():
    found = ll.mean_interval([1, 0, 1, 1, 0, 1], cluster=list("aabbcc"), confidence=0.999)
    # A 99.9% interval must not print as one of 100%.
    assert str(found) == (
        f"0.667 [{found.low:.3f}, {found.high:.3f}] (99.9%, n = 6 in 3 clusters)"
        "\n  warning: near 1: see proportion_interval"
    )


def test_printed_comparison_and_test():
    found = ll.compare(np.zeros(15), DARWIN)
    d = found.difference
    assert str(found) == (
        f"b - a: {d.estimate:+.3f} [{d.low:+.3f}, {d.high:+.3f}]\n  p = 0.050 (95%, n = 15)"
    )
    assert "p < 0.001" in str(ll.compare(np.zeros(15), DARWIN + 200))
    printed = str(ll.TestResult("sign", 2.5, 0.0004, 3.0, 2_000, 40))
    assert printed == "sign: statistic 2.500\n  p < 0.001 (n = 2,000 in 40 clusters)"
    name = "equivalence, |smollm2 in its template - smollm2| < 0.05 (TOST)"
    lines = str(ll.TestResult(name, 12.5, 0.2, 3.0, 100, 100)).splitlines()
    assert " ".join(line.strip() for line in lines).startswith(f"{name}: statistic 12.500 p = ")
    assert max(map(len, lines)) <= 60


def test_a_table_of_named_results_is_indexed_by_name():
    results = {name: ll.mean_interval([1, 0, 1, score]) for name, score in (("x", 1), ("y", 0))}
    table = ll.table(results)
    assert list(table.index) == ["x", "y"]
    assert list(table.columns) == [field.name for field in fields(ll.Interval)]
    for name, found in results.items():
        assert table.loc[name].to_list() == [getattr(found, column) for column in table]


def test_a_table_lays_nested_results_out_flat():
    sizes = ll.effect_sizes(*answers(3, 5, 2, 4))
    comparison, d = sizes.comparison, sizes.comparison.difference
    table = ll.table([sizes])
    assert list(table.index) == [0]
    assert list(table.columns) == [
        *("a", "b", "mean_a", "mean_b"),
        *(field.name for field in fields(d)),
        *("p_value", "d_z", "d_av", "superiority", "h", "odds_ratio"),
    ]
    row = table.iloc[0]
    assert (row.a, row.mean_b, row.p_value) == ("a", comparison.mean_b, comparison.p_value)
    assert (row.estimate, row.df, row.odds_ratio) == (d.estimate, 13, 5 / 3)


def test_results_of_several_kinds_share_a_table():
    pair = [0, 1, 1, 0, 1], [1, 1, 1, 0, 0]
    table = ll.table([ll.wilcoxon_test(*pair), ll.compare(*pair)])
    assert np.isnan(table.estimate[0])
    assert table.p_value.notna().all()


@pytest.mark.parametrize("nothing", [[], {}])
def test_a_table_of_nothing(nothing):
    with pytest.raises(ValueError, match=r"results must be results .*: there are none"):
        ll.table(nothing)


@pytest.mark.parametrize("strange", [0.5, ll.Interval, pd.DataFrame({"a": [1]})])
def test_a_table_of_what_is_no_result(strange):
    with pytest.raises(ValueError, match=r"results must be results of this library, .*: found"):
        ll.table([ll.mean_interval([1, 0]), strange])


def test_a_result_with_two_of_a_name_cannot_be_one_row():
    """A Cuped holds two comparisons: laid out flat, one would hide the other."""
    found = ll.cuped([1.0, 0, 1, 1], [0.2, 0.1, 0.9, 1], [True, False, True, False])
    with pytest.raises(ValueError, match=r"Cuped has two columns .*'a'.*: give its parts"):
        ll.table([found])
    table = ll.table({"plain": found.plain, "adjusted": found.adjusted})
    assert table.estimate.to_list() == [
        found.plain.difference.estimate,
        found.adjusted.difference.estimate,
    ]
