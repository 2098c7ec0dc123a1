"""Results read as they come in: published bounds, and coverage at all times by simulation."""

import numpy as np
import pytest
from builders import SCORES, four_errors, near
from scipy import stats

import lleval_lib as ll
from lleval_lib import sequential

# Looks --------------------------------------------------------------------------------------------

PEEKING = {1: 0.05, 2: 0.083, 3: 0.107, 4: 0.126, 5: 0.142, 10: 0.193, 20: 0.248, 50: 0.320}


@pytest.mark.parametrize(("looks", "error"), PEEKING.items())
def test_published_error_of_peeking(looks, error):
    """Armitage, McPherson & Rowe 1969, table 2; Jennison & Turnbull 2000, table 2.1."""
    assert ll.peeking_error(looks) == pytest.approx(error, abs=5e-4)


POCOCK = {2: 2.178, 3: 2.289, 4: 2.361, 5: 2.413}
OBRIEN_FLEMING = {2: 1.977, 3: 2.004, 4: 2.024, 5: 2.040}


@pytest.mark.parametrize("looks", POCOCK)
def test_published_bounds(looks):
    """Jennison & Turnbull 2000, tables 2.1 and 2.3."""
    pocock = ll.group_sequential_bounds(looks, kind="pocock")
    assert pocock == pytest.approx(np.full(looks, POCOCK[looks]), abs=6e-4)
    strict = ll.group_sequential_bounds(looks)
    shape = np.sqrt(looks / np.arange(1, looks + 1))
    assert strict == pytest.approx(OBRIEN_FLEMING[looks] * shape, abs=6e-4 * shape.max())


def test_published_bounds_at_other_levels():
    """Jennison & Turnbull 2000, as above, at 1% and 10%."""
    first = ll.group_sequential_bounds(5, "pocock", confidence=0.99)[0]
    last = ll.group_sequential_bounds(5, confidence=0.9)[-1]
    assert (first, last) == pytest.approx((2.986, 1.751), abs=6e-4)


@pytest.mark.parametrize("kind", ["pocock", "obrien-fleming"])
def test_one_look_is_the_usual_test(kind):
    assert ll.group_sequential_bounds(1, kind) == pytest.approx([stats.norm.isf(0.025)])
    assert ll.peeking_error(1, confidence=0.8) == pytest.approx(0.2)


@pytest.mark.parametrize("kind", ["pocock", "obrien-fleming"])
def test_scipys_normal_distribution_agrees(kind):
    """P(no crossing) is the mass of a box under the normal with Corr(Z_j, Z_k) = √(j/k), j < k."""
    k = np.arange(1, 4)
    correlation = np.sqrt(np.minimum.outer(k, k) / np.maximum.outer(k, k))
    bounds = ll.group_sequential_bounds(3, kind)
    inside = stats.multivariate_normal(np.zeros(3), correlation).cdf(bounds, lower_limit=-bounds)
    assert inside == pytest.approx(0.95, abs=1e-4)


def test_many_looks_by_simulation():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20_000, 30)).cumsum(axis=1) / np.sqrt(np.arange(1, 31))
    fooled = (abs(z) > stats.norm.isf(0.025)).any(axis=1).mean()
    assert fooled == pytest.approx(ll.peeking_error(30), abs=four_errors(0.28, 20_000))
    for kind in ("pocock", "obrien-fleming"):
        crossed = (abs(z) > ll.group_sequential_bounds(30, kind=kind)).any(axis=1).mean()
        assert crossed == near(0.05, 20_000)


def test_more_looks_than_planned():
    """What the docstring warns of: bounds for 5 looks, used for 20."""
    bound = ll.group_sequential_bounds(5, kind="pocock")[0]
    assert sequential._crossing(np.full(20, bound)) > 0.08


def test_the_integral_has_converged(monkeypatch):
    """More nodes change nothing that could be printed."""
    leggauss = np.polynomial.legendre.leggauss
    for looks, kind in ((5, "pocock"), (50, "obrien-fleming")):
        bounds = ll.group_sequential_bounds(looks, kind=kind)
        monkeypatch.setattr(np.polynomial.legendre, "leggauss", lambda n: leggauss(2 * n))
        assert sequential._crossing(bounds) == pytest.approx(0.05, abs=1e-9)
        monkeypatch.setattr(np.polynomial.legendre, "leggauss", leggauss)


# Always-valid intervals ---------------------------------------------------------------------------


def test_it_is_robbins_mixture():
    """At its ends, the likelihood ratio averaged over N(0, tau²) reaches 1/0.05."""
    values = np.random.default_rng(0).normal(size=50)
    found = ll.confidence_sequence(values, planned=30, sd=1, first=1)
    ratio = -sequential.special.lambertw(-(0.05**2) / np.e, -1).real - 1
    tau2 = ratio / 30
    for k in (1, 10, 50):
        for end in ("low", "high"):
            total = (values[:k] - found[end][k - 1]).sum()
            evidence = np.exp(total**2 * tau2 / 2 / (1 + k * tau2)) / np.sqrt(1 + k * tau2)
            assert evidence == pytest.approx(20)
    assert found.estimate.to_list() == pytest.approx([values[: k + 1].mean() for k in range(50)])
    assert found.n.to_list() == list(range(1, 51))


def test_it_is_narrowest_where_planned():
    def width(planned, confidence=0.95):
        found = ll.confidence_sequence(np.zeros(2_000), planned, sd=1, confidence=confidence)
        return (found.high - found.low).iloc[999] / 2

    assert width(1_000) < min(width(900), width(1_100))
    usual = stats.norm.isf(0.025) / np.sqrt(1_000)
    assert width(1_000) / usual == pytest.approx(1.55, abs=0.005)
    assert width(1_000, 0.99) > width(1_000)


@pytest.mark.slow
@pytest.mark.parametrize("planned", [50, 1_000])
@pytest.mark.parametrize("kind", ["normal", "share"])
def test_with_a_known_spread_it_covers_at_all_times(kind, planned):
    """From the first value on, for normal values, and for a share by Hoeffding's inequality."""
    rng = np.random.default_rng(planned)
    held = 0
    for _ in range(500):
        values = rng.normal(size=2_000) if kind == "normal" else rng.random(2_000) < 0.1
        sd, truth = (1, 0) if kind == "normal" else (0.5, 0.1)
        found = ll.confidence_sequence(values, planned, sd=sd, first=1)
        held += ((found.low <= truth) & (truth <= found.high)).all()
    assert held / 500 > 0.95 - four_errors(0.95, 500)


@pytest.mark.slow
@pytest.mark.parametrize(("p", "covered"), [(0.2, 0.96), (0.1, 0.93), (0.05, 0.90), (0.02, 0.89)])
def test_coverage_at_all_times_with_an_estimated_spread(p, covered):
    """The figures of the docstring: rare events need a later start."""
    rng = np.random.default_rng(1)
    held = np.zeros(2)
    for _ in range(500):
        values = (rng.random(3_000) < p).astype(float)
        for k, first in enumerate((100, 1)):
            found = ll.confidence_sequence(values, planned=1_000, first=first)
            held[k] += ((found.low <= p) & (p <= found.high)).all()
    assert held[0] / 500 == near(covered, 500)
    # Without a start-up: equal answers show no spread, and nothing is said of them.
    assert held[1] / 500 > covered - 0.06


def test_daily_intervals_of_the_usual_kind_do_not_cover_at_all_times():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 1_000))
    n = np.arange(1, 1_001)
    out = abs(values.cumsum(axis=1) / n) > 1.96 / np.sqrt(n)
    assert out[:, 99:].any(axis=1).mean() > 0.2
    sequences = [ll.confidence_sequence(v, planned=1_000) for v in values]
    left = [((s.low > 0) | (s.high < 0)).any() for s in sequences]
    assert np.mean(left) < 0.05 + four_errors(0.05, 300)


def test_the_running_spread_is_the_standard_deviation_so_far():
    values = np.random.default_rng(0).normal(size=50)
    found = ll.confidence_sequence(values, planned=30, first=2)
    for n in (2, 10, 50):
        known = ll.confidence_sequence(values, planned=30, sd=values[:n].std(ddof=1), first=2)
        assert found.high[n - 1] == pytest.approx(known.high[n - 1])


def test_before_the_first_interval():
    found = ll.confidence_sequence(np.arange(150) % 2, planned=100)
    assert np.isinf(found.low[:99]).all()
    assert np.isinf(found.high[:99]).all()
    assert np.isfinite(found.iloc[99:].to_numpy()).all()


def test_a_level_far_from_zero_costs_no_digits():
    values = np.random.default_rng(0).normal(size=500)
    near = ll.confidence_sequence(values, planned=400)
    far = ll.confidence_sequence(values + 1e6, planned=400)
    assert (far.high - far.low)[99:].to_numpy() == pytest.approx(
        (near.high - near.low)[99:].to_numpy(), rel=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("p", [0.5, 0.1, 0.02])
def test_with_bounds_it_covers_from_the_first_value_on(p):
    """The empirical Bernstein sequence; for rare events it is narrower than Hoeffding's."""
    rng = np.random.default_rng(2)
    held, width = 0, []
    for _ in range(300):
        values = (rng.random(2_000) < p).astype(float)
        found = ll.confidence_sequence(values, planned=1_000, bounds=(0, 1), first=1)
        held += ((found.low <= p) & (p <= found.high)).all()
        known = ll.confidence_sequence(values, planned=1_000, sd=0.5, first=1)
        width.append([(s.high - s.low).iloc[-1] for s in (found, known)])
    assert held / 300 > 0.95 - four_errors(0.95, 300)
    ours, hoeffding = np.mean(width, axis=0)
    assert (ours < hoeffding) == (p < 0.5)


def test_bounds_of_another_scale_change_the_units_alone():
    x = np.random.default_rng(0).random(50)
    one = ll.confidence_sequence(x, 40, bounds=(0, 1))
    other = ll.confidence_sequence(100 * x - 20, 40, bounds=(-20, 80))
    assert other.low.to_numpy() == pytest.approx(100 * one.low.to_numpy() - 20)


@pytest.mark.parametrize("first", [1, 2])
def test_no_spread_is_no_certainty(first):
    """One value, or equal ones: without a known spread nothing is excluded."""
    found = ll.confidence_sequence(np.zeros(100), 100, first=first)
    assert np.isinf(found.low).all()
    assert np.isinf(found.high).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ll.peeking_error(0),
            "looks must be a whole number of 1 or more, .* not 0",
        ),
        (
            lambda: ll.peeking_error(2.5),
            "looks must be a whole number of 1 or more",
        ),
        (lambda: ll.group_sequential_bounds("5"), "looks must be one number, such as 5, not '5'"),
        (lambda: ll.group_sequential_bounds(5, kind="haybittle"), "kind must be one of 'pocock',"),
        (lambda: ll.confidence_sequence(SCORES, 0), "planned must be a whole number of 1 or more"),
        (lambda: ll.confidence_sequence(SCORES, 10, sd=0), "sd must be positive, not 0"),
        (lambda: ll.confidence_sequence(SCORES, 10, sd=np.nan), "sd must be positive, not nan"),
        (
            lambda: ll.confidence_sequence(SCORES, 10, first=0),
            "first must be a whole number",
        ),
        (lambda: ll.confidence_sequence(SCORES, 10, bounds=0), "bounds must be the least and the"),
        (lambda: ll.confidence_sequence(SCORES, 10, bounds=(1, 0)), "bounds must be the least"),
        (lambda: ll.confidence_sequence(SCORES, 10, bounds=("a", "b")), "bounds must be one num"),
        (lambda: ll.confidence_sequence([0, 7], 10, bounds=(0, 1)), "7 at place 1 lies beyond"),
        (lambda: ll.confidence_sequence([0], 10, bounds=(0, 1), sd=1), "give sd= or bounds=, not"),
    ],
)
def test_what_cannot_be_used(call, message):
    with pytest.raises(ValueError, match=message):
        call()
