"""Penalties against autograd and finite differences, proximal steps against a numerical minimum."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize, minimize_scalar

import lleval_lib as ll

numbers = st.floats(-5, 5, allow_subnormal=False)
amounts = st.floats(0.01, 5)
START = [np.array([[1.0, -2.0]]), np.array([0.5])]
PENALTIES = {
    "l1": ll.l1,
    "l2": ll.l2,
    "l2_sp": lambda p: ll.l2_sp(p, [torch.tensor(s) for s in START]),
}
each_penalty = pytest.mark.parametrize("name", PENALTIES)


def tensors(values):
    return [torch.tensor(v, requires_grad=True) for v in values]


# Penalties ----------------------------------------------------------------------------------------


def test_values_by_hand():
    p = [np.array([[3.0, -4.0]]), np.array([0.5])]
    assert ll.l1(p) == 7.5
    assert ll.l2(p) == 25.25
    assert ll.l2_sp(p, START) == 4 + 4


@each_penalty
@given(values=arrays(float, 3, elements=numbers))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_gradients_are_those_of_finite_differences(name, values):
    values = np.where(abs(values) < 1e-3, 1e-3, values)  # l1 has a corner at 0
    penalty, h = PENALTIES[name], 1e-5

    def shaped(v):
        return tensors([v[:2].reshape(1, 2), v[2:]])

    parameters = shaped(values)
    penalty(parameters).backward()
    found = np.concatenate([p.grad.numpy().ravel() for p in parameters])
    for k in range(3):
        e = h * np.eye(3)[k]
        slope = (penalty(shaped(values + e)) - penalty(shaped(values - e))) / (2 * h)
        assert found[k] == pytest.approx(slope.item(), abs=1e-6)


def test_at_zero_autograd_names_one_subgradient_of_l1():
    (w,) = tensors([np.zeros(1)])
    ll.l1([w]).backward()
    assert w.grad.item() == 0
    assert [ll.l1([np.array([h])]) / h for h in (1e-6, -1e-6)] == [1, -1]


def test_biases_are_left_out_by_the_caller():
    model = torch.nn.Linear(3, 2)
    whole, weights = ll.l2(model.parameters()), ll.l2(p for p in model.parameters() if p.ndim > 1)
    assert (whole - weights).item() == pytest.approx((model.bias**2).sum().item())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ll.l1([]), "parameters is empty.*read once"),
        (lambda: ll.l2(p for p in ()), "parameters is empty"),
        (lambda: ll.l2_sp(START, []), "start is empty"),
        (lambda: ll.l2_sp(START, START[:1]), "start has 1 parameters, but there are 2"),
        (lambda: ll.l2_sp(START, [s[..., :1] + 1 for s in START]), r"shape \(1, 1\), not \(1, 2\)"),
        (lambda: ll.l2_sp(START, START), "parameter 0 is the parameter itself"),
        (lambda: ll.soft_threshold([1.0], -0.1), "amount must be 0 or more"),
        (lambda: ll.soft_threshold([1.0], [np.nan]), "amount must be 0 or more"),
        (lambda: ll.soft_threshold([1.0], "0.1"), "amount: expected numbers, found texts"),
        (lambda: ll.soft_threshold(["a"], 1), "values: expected numbers, found texts"),
        (lambda: ll.group_soft_threshold([[1.0]], [0.1]), "amount must be one number"),
        (lambda: ll.group_soft_threshold([[1.0]], -1), "amount must be 0 or more"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_start_that_is_detached_but_no_copy_is_refused():
    parameters = tensors(START)
    with pytest.raises(ValueError, match="moves with it"):
        ll.l2_sp(parameters, [p.detach() for p in parameters])
    assert ll.l2_sp(parameters, [p.detach().clone() for p in parameters]).item() == 0


# Proximal steps -----------------------------------------------------------------------------------


@given(v=numbers, amount=amounts)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_soft_threshold_minimises(v, amount):
    def objective(x):
        return amount * abs(x) + (x - v) ** 2 / 2

    x = ll.soft_threshold([v], amount)[0]
    best = minimize_scalar(objective, bounds=(-6, 6), method="bounded", options={"xatol": 1e-10})
    assert objective(x) <= best.fun + 1e-12
    assert x == pytest.approx(np.sign(v) * max(abs(v) - amount, 0), abs=1e-12)  # Parikh & Boyd
    assert (x == 0) == (abs(v) <= amount)


@given(v=arrays(float, (2, 2), elements=numbers), amount=amounts)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_group_soft_threshold_minimises(v, amount):
    def objective(x):
        x = x.reshape(2, 2)
        return amount * np.linalg.norm(x, axis=1).sum() + ((x - v) ** 2).sum() / 2

    x = ll.group_soft_threshold(v, amount)
    best = minimize(objective, v.ravel() / 2 + 0.01, method="Nelder-Mead", options={"xatol": 1e-8})
    assert objective(x) <= best.fun + 1e-9
    short = np.linalg.norm(v, axis=1) <= amount
    assert (x[short] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_stay_tensors(dtype):
    values = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=dtype)
    soft = ll.soft_threshold(values, torch.tensor(1.0))
    assert soft.dtype == dtype
    assert soft.tolist() == [[2, 3], [0, 0]]
    rows = ll.group_soft_threshold(values, 2.5)
    assert rows.dtype == dtype
    assert rows.tolist() == [[1.5, 2], [0, 0]]
    assert torch.equal(ll.group_soft_threshold(values, 0), values)


def test_each_value_its_own_amount():
    assert ll.soft_threshold([2.0, 2.0], np.array([0, 3])).tolist() == [2, 0]


# Descent ------------------------------------------------------------------------------------------


def lasso(seed=0, n=40, p=10, amount=0.05):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, p)), rng.normal(size=n)
    curvature = np.linalg.eigvalsh(x.T @ x / n)[-1]

    def gradient(w):
        return x.T @ (x @ w - y) / n

    def objective(w):
        return ((x @ w - y) ** 2).mean() / 2 + amount * abs(w).sum()

    def prox(v, step):
        return ll.soft_threshold(v, step * amount)

    return gradient, prox, objective, curvature, (x, y)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("accelerated", [False, True])
def test_descent_reaches_the_lasso_and_keeps_its_promised_rate(seed, accelerated):
    from sklearn.linear_model import Lasso

    gradient, prox, objective, curvature, (x, y) = lasso(seed)
    points = ll.proximal_gradient(
        gradient, prox, np.zeros(10), 1 / curvature, accelerated=accelerated
    )
    path = list(islice(points, 2000))
    best = Lasso(alpha=0.05, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(x, y).coef_
    np.testing.assert_allclose(path[-1], best, atol=1e-6)
    assert ((path[-1] == 0) == (best == 0)).all()
    k = np.arange(1, 2001)
    gap = np.array([objective(w) for w in path]) - objective(best)
    square = (best**2).sum() * curvature
    # Beck & Teboulle 2009, theorems 3.1 and 4.4
    bound = 2 * square / (k + 1) ** 2 if accelerated else square / (2 * k)
    assert (gap <= bound + 1e-12).all()


def test_without_a_penalty_it_is_gradient_descent():
    gradient, _, _, curvature, _ = lasso()
    w = np.zeros(10)
    points = ll.proximal_gradient(gradient, lambda v, step: v, w, 1 / curvature, accelerated=False)
    for found in islice(points, 5):
        w = w - gradient(w) / curvature
        np.testing.assert_allclose(found, w)


def test_a_step_that_is_too_long_is_named():
    gradient, prox, _, curvature, _ = lasso()
    points = ll.proximal_gradient(gradient, prox, np.zeros(10), 30 / curvature)
    with (
        pytest.raises(ValueError, match="too long: the points grow without end"),
        np.errstate(all="ignore"),
    ):
        list(islice(points, 5000))


@pytest.mark.parametrize("step", [0, -1, np.inf, np.nan, "0.1"])
def test_a_step_is_a_positive_number_and_is_refused_at_once(step):
    gradient, prox, *_ = lasso()
    with pytest.raises(ValueError, match="step must be"):
        ll.proximal_gradient(gradient, prox, np.zeros(10), step)


# Adam ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [1e-4, 1.0, 100.0])
def test_the_first_step_of_adam_on_l2_does_not_know_its_amount(amount):
    start = np.array([3.0, -0.2, 0.001])
    (w,) = tensors([start])
    optimizer = torch.optim.Adam([w], lr=0.01, eps=0)
    (amount * ll.l2([w])).backward()
    optimizer.step()
    np.testing.assert_allclose(w.detach().numpy(), start - 0.01 * np.sign(start), rtol=1e-12)


@pytest.mark.parametrize("amount", [1e-4, 1.0, 10.0])
def test_decoupled_decay_does(amount):
    start = np.array([3.0, -0.2, 0.001])
    (w,) = tensors([start])
    optimizer = torch.optim.AdamW([w], lr=0.01, weight_decay=amount)
    w.grad = torch.zeros_like(w)
    optimizer.step()
    np.testing.assert_allclose(w.detach().numpy(), start - 0.01 * amount * start, rtol=1e-12)


# Decay --------------------------------------------------------------------------------------------


def test_matrices_decay_and_biases_norms_and_what_is_frozen_do_not():
    model = torch.nn.Sequential(
        torch.nn.Embedding(5, 4),
        torch.nn.Linear(4, 3),
        torch.nn.LayerNorm(3),
        torch.nn.Linear(3, 1),
    )
    model[3].requires_grad_(False)
    decaying, free = ll.decay_groups(model, 0.1)
    assert [tuple(p.shape) for p in decaying["params"]] == [(5, 4), (3, 4)]
    assert {id(p) for p in free["params"]} == {id(model[1].bias), *map(id, model[2].parameters())}
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.AdamW([decaying, free], lr=0.5)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for p, old in zip(model.parameters(), before, strict=True):
        shrunk = p.ndim > 1 and p.requires_grad
        assert torch.allclose(p, old * (1 - 0.5 * 0.1) if shrunk else old)


@pytest.mark.parametrize("decay", [-0.1, float("nan"), float("inf"), "much"])
def test_a_decay_is_a_number_of_0_or_more(decay):
    with pytest.raises(ValueError, match="decay"):
        ll.decay_groups(torch.nn.Linear(2, 1), decay)


def test_a_model_that_cannot_learn_has_no_groups():
    with pytest.raises(ValueError, match="no parameter that learns"):
        ll.decay_groups(torch.nn.Linear(2, 1).requires_grad_(False), 0.1)
