"""How long calls take, measured so that they can be compared."""

import time
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from .inputs import require_count


def latency(
    calls: Mapping[str, Callable[[], object]],
    rounds: int = 20,
    *,
    rng: int | np.random.Generator | None = None,
) -> pd.DataFrame:
    """Return how many seconds each of `calls` took in each round, shape (rounds, calls).

    A round makes each call once, in an order drawn anew: what slows the machine for a while then
    slows all alike, and the rounds are pairs. Compare two calls by the ratio of their columns
    within a round. One round before the first warms caches up and is not measured.

    >>> seconds = latency({"short": lambda: sum(range(10)), "long": lambda: sum(range(10**5))}, 5)
    >>> seconds.shape, bool((seconds["long"] > seconds["short"]).all())
    ((5, 2), True)

    Raises ``ValueError`` for no calls, what cannot be called, and fewer than two rounds.
    """
    if not calls:
        raise ValueError("calls is empty: give a mapping from names to functions")
    for name, call in calls.items():
        if not callable(call):
            raise ValueError(f"calls[{name!r}] is {call!r}, not a function without arguments")
    rounds = require_count(rounds, "rounds", 2, 20)
    rng = np.random.default_rng(rng)
    seconds = []
    for _ in range(rounds + 1):
        took = {}
        for name in rng.permutation(list(calls)):
            start = time.perf_counter()
            calls[name]()
            took[name] = time.perf_counter() - start
        seconds.append(took)
    return pd.DataFrame(seconds[1:], columns=list(calls)).rename_axis("round")
