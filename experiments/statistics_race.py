"""Race the statistics against the bare sums, scipy and the limits of time and memory set for them.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/statistics_race.py

Prints seconds of one processor beside those of the baseline, where there is one; the faster of
three turns counts. The whole takes about a minute and, by the last line, little memory.
"""

import resource
import time

import numpy as np
import pandas as pd
from scipy import stats

import lleval_lib as ll


def main():
    rng = np.random.default_rng(0)
    items, fewer = rng.random(1_000_000), rng.random(100_000)
    clusters = rng.integers(0, 20_000, 100_000)
    moved = rng.normal(size=(2, 10_000))
    board = (rng.random((100_000, 5)) < 0.7).astype(float)
    races = {
        "mean_interval, 1,000,000 items / bare numpy": (
            lambda: ll.mean_interval(items),
            lambda: bare(items),
        ),
        "bootstrap of a mean, 100,000 items, 2,000 resamples / scipy, vectorised": (
            lambda: ll.bootstrap_interval(np.mean, fewer, rng=0),
            lambda: scipys_bootstrap(fewer),
        ),
        "the same in 20,000 clusters": (
            lambda: ll.bootstrap_interval(np.mean, fewer, cluster=clusters, rng=0),
            lambda: scipys_bootstrap(fewer),
        ),
        "permutation_test, 10,000 clusters": (lambda: ll.permutation_test(*moved, rng=0), None),
        "compare_all, 5 systems x 100,000 items": (lambda: ll.compare_all(board), None),
        "rank_intervals, 5 systems x 100,000 items": (
            lambda: ll.rank_intervals(board, rng=0),
            None,
        ),
        "friedman_test, 5 systems x 100,000 items": (lambda: ll.friedman_test(board), None),
        "accuracy_power, 1,000,000 items": (lambda: ll.accuracy_power(1e6, 0.02, 0.021), None),
    }
    rows = {}
    for name, (ours, baseline) in races.items():
        took = seconds(ours)
        rows[name] = {"s": took, "ratio": took / seconds(baseline) if baseline else np.nan}
    print(pd.DataFrame(rows).T.to_string(float_format="{:.3f}".format, na_rep="-"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"most memory: {peak:,.0f} MB")


def bare(values):
    mean = values.mean()
    return mean, np.sqrt(((values - mean) ** 2).sum() / (len(values) - 1) / len(values))


def scipys_bootstrap(values):
    return stats.bootstrap(
        (values,), np.mean, n_resamples=2_000, batch=100, method="percentile", rng=0
    )


def seconds(run) -> float:
    """Return what a processor worked for the faster of three turns."""
    turns = []
    for _ in range(3):
        start = time.process_time()
        run()
        turns.append(time.process_time() - start)
    return min(turns)


if __name__ == "__main__":
    main()
