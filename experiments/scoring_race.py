"""Race `loglikelihood` against lm-evaluation-harness's HFLM: one process, one model, same requests.

    .venv/bin/python experiments/scoring_race.py [--items 24] [--repeats 3] [--output experiments]

Prints the ratios of time, the largest difference of the log-likelihoods, and the fraction of the
limit: the time that the distinct tokens would take at the model's best measured rate of reading,
divided by the time they took. Writes a figure, cost against the number of shots and of choices.
The two contestants take turns, and the fastest turn of each counts, so that a busy machine harms
both alike. HFLM runs with two batch sizes, and its better one counts.
"""

import argparse
import os
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

import lleval_lib as ll
from lleval_lib.prefix_tree import build
from lleval_lib.scoring import _rows

BATCH_SIZES = (1, 16)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=24, help="questions in each race")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each contestant")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    ll.use_style()
    lm = ll.load_lm()
    races = {
        "0-shot, 4 answers of several words": questions(given.items),
        "5-shot, 2 answers of several words": reviews(given.items, shots=5),
        "5-shot, 2 answers of one token": reviews(given.items, 5, [" positive", " negative"]),
    }
    table = pd.DataFrame({name: race(lm, r, given.repeats) for name, r in races.items()}).T
    # The best rate of the whole run: a lower one would flatter us.
    rate = table.pop("reads, tokens/s").max()
    table["of the limit"] = table.distinct / rate / table["ours, s"]
    print(f"{torch.get_num_threads()} threads; reads {rate:,.0f} tokens a second at best\n")
    print(table.T.to_string(float_format="{:.3g}".format))
    n = max(2, given.items // 4)
    curves = {
        "shots": {k: reviews(n, shots=k) for k in (0, 1, 2, 4, 8)},
        "choices": {k: choices(n, k) for k in (1, 2, 4, 8)},
    }
    costs = {
        name: pd.DataFrame({k: race(lm, r, given.repeats) for k, r in points.items()}).T
        for name, points in curves.items()
    }
    for name, cost in costs.items():
        print(f"\n{n} items, by the number of {name}")
        print(cost[["ours, s", "HFLM, s", "ratio"]].to_string(float_format="{:.2f}".format))
    draw(costs, n, given.output / "scoring_race.png")


def race(lm, requests, repeats: int) -> dict[str, float]:
    """Return both times in seconds, their ratio, and what makes the numbers worth believing."""
    ours, rates, theirs = [], [], {size: [] for size in BATCH_SIZES}
    for _ in range(repeats):
        mine, took = timed(lambda: ll.loglikelihood(lm, requests))
        ours.append(took)
        rates.append(prefill_rate(lm))
        for size in BATCH_SIZES:
            expected, took = timed(lambda size=size: harness(lm, requests, size))
            theirs[size].append(took)
    size = min(theirs, key=lambda s: min(theirs[s]))
    rows = _rows(lm, requests)
    distinct = len(build(rows).tokens)
    return {
        "ours, s": min(ours),
        "HFLM, s": min(theirs[size]),
        "ratio": min(theirs[size]) / min(ours),
        "HFLM's batch": size,
        "tokens asked": sum(len(tokens) - 1 for tokens, _ in rows),
        "distinct": distinct,
        "reads, tokens/s": max(rates),
        "largest difference": float(np.abs(mine - expected).max()),
    }


def timed(run):
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


def harness(lm, requests, batch_size: int) -> np.ndarray:
    model = HFLM(pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=batch_size)
    instances = [Instance("loglikelihood", {}, r, i) for i, r in enumerate(requests)]
    return np.array([log for log, _ in model.loglikelihood(instances, disable_tqdm=True)])


def prefill_rate(lm) -> float:
    """Return the best rate at which the model reads, without logits: tokens a second."""
    best = 0.0
    with torch.inference_mode():
        for rows, length in ((1, 256), (1, 512), (4, 128), (8, 64)):
            ids = torch.randint(10, 10_000, (rows, length))
            _, took = timed(lambda ids=ids: lm.model(ids, use_cache=False, logits_to_keep=1))
            best = max(best, rows * length / took)
    return best


def questions(n: int) -> list[tuple[str, str]]:
    """Return MMLU questions, each with its four answers in words."""
    table = ll.load_mmlu_dev().sample(n, random_state=0)
    return [
        (f"Question: {row.question}\nAnswer:", f" {choice}")
        for row in table.itertuples()
        for choice in row.choices
    ]


def reviews(n: int, shots: int, answers=(" I liked this film.", " I did not like it.")):
    """Return film reviews behind `shots` worked examples, each with two answers."""
    table = ll.load_reviews()
    train = table[table.split == "train"].sample(shots, random_state=0)
    test = table[table.split == "test"].sample(n, random_state=0)
    words = {"fresh": answers[0], "rotten": answers[1]}
    worked = "".join(f"Review: {r.text}\nVerdict:{words[r.label]}\n\n" for r in train.itertuples())
    prompts = [f"{worked}Review: {text}\nVerdict:" for text in test.text]
    return [(prompt, answer) for prompt in prompts for answer in answers]


def choices(n: int, k: int):
    """Return film reviews with the names of k films to choose from."""
    table = ll.load_reviews()
    test = table[table.split == "test"].sample(n, random_state=0)
    films = sorted(set(table.film))[:k]
    return [
        (f"Review: {text}\nThis review is about the film:", f" {film.replace('_', ' ')}")
        for text in test.text
        for film in films
    ]


def draw(curves: dict[str, pd.DataFrame], n: int, path: Path):
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for ax, (name, table) in zip(axes, curves.items(), strict=True):
        for column, label, color in (("HFLM, s", "HFLM", ll.ORANGE), ("ours, s", "ours", ll.BLUE)):
            cost = table[column] / n
            ax.plot(table.index, cost, "o-", color=color)
            ax.annotate(
                label, (table.index[-1], cost.iloc[-1]), (0, 8), textcoords="offset points",
                color=color, ha="right",
            )  # fmt: skip
        ax.set(xlabel=f"number of {name}", xticks=table.index, ylim=(0, None))
    axes[0].set_ylabel("seconds an item")
    fig.savefig(path, dpi=110)


if __name__ == "__main__":
    os.environ.setdefault("TQDM_DISABLE", "1")
    main()
