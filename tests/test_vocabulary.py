"""One vocabulary: the signatures of all public functions, and what every result can do.

The words are those of CONTRIBUTING.md: `cluster` is what dependent items have in common, `rng` is
None, a seed or a Generator, `confidence` the one word for a level.
"""

import inspect
from dataclasses import is_dataclass
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest
from builders import CALLS, OTHER, PAIR, SCORES, TABLE, TREATED, films, same

import lleval_lib as ll

PUBLIC = {name: getattr(ll, name) for name in ll.__all__}
FUNCTIONS = {name: f for name, f in PUBLIC.items() if inspect.isfunction(f)}
CLASSES = {name: c for name, c in PUBLIC.items() if inspect.isclass(c)}
# Methods are called by users too, but for those that dataclasses write.
METHODS = {
    f"{name}.{method.__name__}": method
    for name, cls in CLASSES.items()
    for method in vars(cls).values()
    if inspect.isfunction(method) and not method.__name__.startswith("_")
}
SIGNATURES = {name: inspect.signature(f) for name, f in (FUNCTIONS | METHODS).items()}
RESULTS = {
    "Interval": "mean_interval",
    "Comparison": "compare",
    "TestResult": "wilcoxon_test",
    "EffectSizes": "effect_sizes",
    "DesignErrors": "design_errors",
    "VarianceParts": "variance_parts",
    "DesignEffect": "design_effect",
    "ResampledComparison": "resampled_t_test",
    "Cuped": "cuped",
    "RunsInterval": "runs_interval",
    "CalibrationError": "expected_calibration_error",
}

every = pytest.mark.parametrize("name", SIGNATURES)
LAST = {"cluster": None, "rng": None, "confidence": 0.95}
# One word for one thing: what another library may call it, and what it is called here.
SYNONYMS = {
    "confidence": "alpha level ci conf conf_level confidence_level significance sig",
    "rng": "seed random_state generator random",
    "cluster": "clusters groups cluster_ids labels_cluster cluster_by",
    "resamples": "n_boot n_resamples n_bootstrap n_permutations replicates draws B",
    "continuity": "yates corrected continuity_correction",
    "correction": "adjust p_adjust multiple_testing",
    "df": "dof freedom ddof degrees",
}


@every
def test_cluster_rng_and_confidence_come_last_in_that_order(name):
    parameters = SIGNATURES[name].parameters
    found = [parameter for parameter in parameters if parameter in LAST]
    assert found == [parameter for parameter in LAST if parameter in found]
    for parameter in found:
        assert parameters[parameter].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[parameter].default == LAST[parameter]
    assert [*parameters][len(parameters) - len(found) :] == found


@every
def test_one_word_for_one_thing(name):
    forbidden = {word: ours for ours, words in SYNONYMS.items() for word in words.split()}
    strange = {p: forbidden[p] for p in SIGNATURES[name].parameters if p in forbidden}
    assert not strange, f"{name}: say {strange}"


@every
def test_everything_is_annotated(name):
    signature, function = SIGNATURES[name], (FUNCTIONS | METHODS)[name]
    missing = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
    missing = [p for p in missing if p != "self"]
    missing += ["return"] if signature.return_annotation is signature.empty else []
    assert not missing, f"{name} has no annotation for {', '.join(missing)}"
    assert get_type_hints(function)  # and every annotation names a type that there is


def test_the_two_kinds_of_correction():
    """Yates' for continuity is a bool; that for many comparisons is the name of a method."""
    by = {word: {} for word in ("continuity", "correction")}
    for name, signature in SIGNATURES.items():
        for word in by.keys() & signature.parameters.keys():
            by[word][name] = signature.parameters[word]
    assert set(by["continuity"]) == {"mcnemar_test", "accuracy_power"}
    assert all(p.default is False for p in by["continuity"].values())
    assert set(by["correction"]) == {"adjust_p_values", "compare_all", "comparison_report"}
    assert all(p.default == "holm" for p in by["correction"].values())


# rng: SPEC 7 of scientific Python -----------------------------------------------------------------

DRAWING = {
    "bootstrap_interval": lambda **rng: ll.bootstrap_interval(
        np.median, films()[0] + np.arange(60) / 7, resamples=99, **rng
    ),
    "expected_calibration_error": lambda **rng: ll.expected_calibration_error(
        (films()[0] + films()[1] + 0.5) / 3, films()[1], **rng
    ),
    "permutation_test": lambda **rng: ll.permutation_test(
        *films()[:2], resamples=999, cluster=np.arange(60) // 2, **rng
    ),
    "krippendorff_alpha": lambda **rng: ll.krippendorff_alpha(
        np.repeat(np.arange(60), 2), list("xy") * 60, np.r_[films()[:2]], resamples=99, **rng
    ),
    "rank_intervals": lambda **rng: ll.rank_intervals(
        np.column_stack(films()[:2]), resamples=999, **rng
    ),
}


def test_no_function_that_draws_is_left_out():
    statistics = {n for n in CALLS if "rng" in inspect.signature(FUNCTIONS[n]).parameters}
    assert statistics == set(DRAWING)


@pytest.mark.parametrize("draw", DRAWING.values(), ids=DRAWING)
def test_a_seed_is_that_of_a_generator_which_moves_on(draw):
    once = draw(rng=7)
    same(draw(rng=7), once)
    generator = np.random.default_rng(7)
    same(draw(rng=generator), once)
    assert str(draw(rng=generator)) != str(once) != str(draw(rng=8))
    # Without a seed, what is drawn differs: of six, not all are one.
    assert len({str(draw()) for _ in range(6)}) > 1


# Results ------------------------------------------------------------------------------------------


def test_no_class_of_results_is_left_out():
    statistics = ("results", "runs", "calibration", "pairs", "planning", "crossval", "online")
    modules = {f"lleval_lib.{name}" for name in statistics}
    assert {name for name, c in CLASSES.items() if c.__module__ in modules} == set(RESULTS)


@pytest.mark.parametrize(("name", "call"), RESULTS.items())
def test_results_are_frozen_print_and_compare(name, call):
    result, again = CALLS[call](), CALLS[call]()
    cls = PUBLIC[name]
    assert type(result) is cls
    assert is_dataclass(cls)
    with pytest.raises(AttributeError):
        setattr(result, next(iter(vars(result))), 0)
    assert cls.__str__ is not object.__str__
    assert max(map(len, str(result).splitlines())) <= 60
    assert not str(result).startswith(name)
    same_, other = result == again, result == ll.mean_interval(OTHER)
    assert isinstance(same_, bool)
    assert other is False


def test_results_of_arrays_compare_without_raising():
    curves = [ll.design_errors([0.1, 0.2], 0.1) for _ in "ab"]
    assert isinstance(curves[0] == curves[1], bool)
    assert curves[0] == curves[0]


@pytest.mark.parametrize("call", [name for name in CALLS if name in set(RESULTS.values())])
def test_what_has_an_error_or_a_statistic_has_its_degrees_of_freedom(call):
    result = CALLS[call]()
    parts = [result.plain, result.adjusted] if isinstance(result, ll.Cuped) else [result]
    for part in parts:
        columns = set(ll.table([part]).columns)
        if columns & {"se", "statistic"} and not isinstance(part, ll.VarianceParts):
            assert {"df", "n"} <= columns


@pytest.mark.parametrize(
    ("result", "df"),
    [
        (ll.mean_interval(SCORES), 3),
        (ll.mean_interval(SCORES, cluster=list("xxyz")), 1.8),
        (ll.proportion_interval(SCORES), 3),
        (ll.bootstrap_interval(np.mean, SCORES, resamples=9, rng=0), np.nan),
        (ll.compare(*PAIR).difference, 3),
        (ll.mcnemar_test(*PAIR), np.nan),
        (ll.mcnemar_test(*PAIR, exact=False), 1),
        (ll.permutation_test(*PAIR), np.nan),
        (ll.wilcoxon_test(*PAIR), np.nan),
        (ll.equivalence_test(OTHER, SCORES, 0.3), 3),
        (ll.noninferiority_test(OTHER, SCORES, 0.3, cluster=list("xxyz")), 1.8),
        (ll.friedman_test(TABLE), 2),
        (ll.sample_ratio_test([6, 5, 4]), 2),
        (ll.resampled_t_test(OTHER, 8, 2).difference, 3),
        (ll.group_difference([1.0, 0, 2, 1], TREATED).difference, 2),
    ],
)
def test_degrees_of_freedom(result, df):
    assert result.df == pytest.approx(df, nan_ok=True)
    assert pd.api.types.is_number(result.df)
