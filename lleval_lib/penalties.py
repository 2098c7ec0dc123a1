"""Penalties and decay of weights, the proximal steps that solve them, and descent by such steps.

All take numpy arrays or tensors, and return the same kind. Which weights are penalised is for the
caller to say: biases and the scales of norms are usually left out.
"""

from collections.abc import Callable, Iterable, Iterator
from math import inf
from numbers import Real
from typing import Any

import numpy as np

from .inputs import as_array, as_floats, require_flag, require_number

_TINY = 1e-30  # in place of a norm of 0, which is multiplied by 0


def l1(parameters: Iterable[Any]) -> Any:
    """Return the sum of the absolute values of all `parameters`.

    `parameters` are tensors or arrays of any shapes, such as ``model.parameters()``; those with
    more than one dimension are the weights without biases and norms:

    >>> import numpy as np
    >>> parameters = [np.array([[1.0, -2.0]]), np.array([4.0])]
    >>> float(l1(p for p in parameters if p.ndim > 1))
    3.0

    The sum is not differentiable where a weight is 0; automatic differentiation then answers 0,
    one of its subgradients. Its gradient makes no zeros, `soft_threshold` does. Derived in chapter
    11. Raises ``ValueError`` where there are no parameters.
    """
    return sum(abs(p).sum() for p in _listed(parameters))


def l2(parameters: Iterable[Any]) -> Any:
    """Return the sum of the squares of all `parameters`, without a factor 1/2.

    So its gradient is twice the weights. `parameters` are as in `l1`. Within Adam it is not weight
    decay: there the gradient of the penalty is divided by its own size (Loshchilov & Hutter 2019,
    section 2; chapter 11).

    >>> import numpy as np
    >>> float(l2([np.array([1.0, -2.0]), np.array([2.0])]))
    9.0

    Raises ``ValueError`` where there are no parameters.
    """
    return sum((p * p).sum() for p in _listed(parameters))


def l2_sp(parameters: Iterable[Any], start: Iterable[Any]) -> Any:
    """Return the squared distance of `parameters` from their `start`, such as pre-trained weights.

    `start` holds a copy of each parameter, in the same order (Li, Grandvalet & Davoine 2018,
    equation 2, without its factor 1/2; chapter 11):

    >>> import numpy as np
    >>> float(l2_sp([np.array([1.0, -2.0])], [np.array([1.0, 1.0])]))
    9.0

    Raises ``ValueError`` where there are no parameters, where numbers or shapes differ, or where
    the start is no copy, so that it moves with the parameters.
    """
    now, before = _listed(parameters), _listed(start, "start")
    if len(now) != len(before):
        raise ValueError(f"start has {len(before):,} parameters, but there are {len(now):,}")
    for place, (p, q) in enumerate(zip(now, before, strict=True)):
        if p.shape != q.shape:
            raise ValueError(
                f"start: parameter {place} has shape {tuple(q.shape)}, not {tuple(p.shape)}"
            )
        if np.shares_memory(as_array(p), as_array(q)):
            raise ValueError(
                f"start: parameter {place} is the parameter itself, and moves with it; keep copies "
                "before training, such as [p.detach().clone() for p in model.parameters()]"
            )
    return sum(((p - q) ** 2).sum() for p, q in zip(now, before, strict=True))


def decay_groups(model: Any, decay: float) -> list[dict[str, Any]]:
    """Return the parameters of `model` that learn, as two groups for an optimizer of PyTorch.

    The first, matrices and whatever has more than one dimension, has the weight decay `decay`; the
    second, biases and the scales of norms, has none:

    >>> import torch
    >>> groups = decay_groups(torch.nn.Linear(3, 2), decay=0.01)
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
    [(1, 0.01), (1, 0.0)]

    With ``torch.optim.AdamW(groups, lr=1e-4)`` the decay is decoupled (Loshchilov & Hutter 2019,
    algorithm 2; chapter 06). Raises ``ValueError`` where no parameter learns, and for a decay that
    is negative or missing.
    """
    if not 0 <= require_number(decay, "decay", "0.01") < inf:
        raise ValueError(f"decay must be 0 or more, such as 0.01, not {decay}")
    learning = [p for p in model.parameters() if p.requires_grad]
    if not learning:
        raise ValueError("model has no parameter that learns: set requires_grad_(True) on some")
    return [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": float(decay)},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]


def soft_threshold(values: Any, amount: Any) -> Any:
    """Return `values` moved towards 0 by `amount`; what is nearer becomes exactly 0.

    This is the proximal step of the penalty ``amount * l1``: the x that minimises amount · |x| +
    (x - v)²/2 for each value v (Parikh & Boyd 2014, section 6.5.2; derived in chapter 11). `amount`
    is a number of 0 or more, or one each value, with 0 for what is not penalised.

    >>> soft_threshold([-3.0, 0.5, 2.0], 1)
    array([-2.,  0.,  1.])

    Raises ``ValueError`` where an amount is negative or missing.
    """
    values, amount = _arrays(values), _amount(amount)
    return values - values.clip(-amount, amount)


def group_soft_threshold(values: Any, amount: float) -> Any:
    """Return `values` with each row moved towards 0 by `amount`; a shorter row becomes 0.

    A row is what stands along the last axis. This is the proximal step of the penalty ``amount``
    times the sum of the rows' lengths, the group lasso (Parikh & Boyd 2014, section 6.5.4): a row
    v becomes (1 - amount / ‖v‖) v, or 0. Use it to remove whole units or heads.

    >>> group_soft_threshold([[3.0, 4.0], [0.3, 0.4]], 1)
    array([[2.4, 3.2],
           [0. , 0. ]])

    Raises ``ValueError`` where the amount is negative or missing.
    """
    values, amount = _arrays(values), _amount(require_number(amount, "amount", "0.1"))
    length = (values * values).sum(-1)[..., None] ** 0.5
    return values * (1 - amount / length.clip(_TINY)).clip(0)


def proximal_gradient(
    gradient: Callable[[np.ndarray], np.ndarray],
    prox: Callable[[np.ndarray, float], np.ndarray],
    start: Any,
    step: float,
    *,
    accelerated: bool = True,
) -> Iterator[np.ndarray]:
    """Yield one point after another, towards the minimum of a smooth loss and a penalty.

    `gradient(x)` is that of the loss, and `prox(v, step)` minimises step · penalty(x) + ‖x - v‖²/2
    over x, such as ``lambda v, step: soft_threshold(v, step * 0.1)``. `step` is at most 1/L, where
    L is the largest curvature of the loss. Each new point is prox(x - step · gradient(x), step):
    ISTA, within O(1/k) of the minimum after k steps. `accelerated` takes the step from a point
    ahead of x: FISTA, within O(1/k²) (Beck & Teboulle 2009, theorems 3.1 and 4.4; chapter 11). The
    caller says when to stop:

    >>> from itertools import islice
    >>> path = proximal_gradient(lambda x: x - 3, lambda v, step: soft_threshold(v, step), [0.0], 1)
    >>> [x.tolist() for x in islice(path, 2)]
    [[2.0], [2.0]]

    Raises ``ValueError`` for a step that is not positive, or so long that the points grow for ever.
    """
    if not 0 < require_number(step, "step", "0.1") < inf:
        raise ValueError(f"step must be a positive number, such as 0.1, not {step}")
    require_flag(accelerated, "accelerated")
    return _points(gradient, prox, np.array(as_floats(start, "start")), step, accelerated)


def _points(
    gradient: Callable[[np.ndarray], np.ndarray],
    prox: Callable[[np.ndarray, float], np.ndarray],
    x: np.ndarray,
    step: float,
    accelerated: bool,
) -> Iterator[np.ndarray]:
    ahead, t = x, 1.0
    while True:
        new = prox(ahead - step * gradient(ahead), step)
        if not np.isfinite(new).all():
            raise ValueError(
                f"step={step:g} is too long: the points grow without end; take 1/L or less, where "
                "L is the largest curvature of the loss"
            )
        t, before = (1 + np.sqrt(1 + 4 * t * t)) / 2 if accelerated else 1.0, t
        ahead, x = new + (before - 1) / t * (new - x), new
        yield x


def _listed(parameters: Iterable[Any], what: str = "parameters") -> list[Any]:
    found = list(parameters)
    if not found:
        raise ValueError(
            f"{what} is empty: model.parameters() and other generators are read once, so keep a "
            "list of them"
        )
    return found


def _arrays(values: Any, what: str = "values") -> Any:
    return values if hasattr(values, "detach") else as_floats(values, what)


def _amount(amount: Any) -> Any:
    if not np.all(as_floats(amount, "amount") >= 0):
        raise ValueError("amount must be 0 or more: a penalty pulls towards 0")
    return amount if isinstance(amount, Real) else _arrays(amount, "amount")
