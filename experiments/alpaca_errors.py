"""What AlpacaEval 2's item scores say of its errors: 56 systems. Two minutes on two cores.

The item scores come with the code of AlpacaEval, under CC BY-NC 4.0, and not by pip. Clone
https://github.com/tatsu-lab/alpaca_eval and say where:

    make records NAME=alpaca_errors ALPACA_EVAL=/path/to/the/clone

Recorded are only statistics of the scores, one a row: `task` names it, `score` is its value,
`item_id` says of what. Of a system: ``n``, and in percent ``win_rate`` and its plain ``se``. Of a
refit (`REFITS`), in percent: ``lc``, the length-controlled win rate; ``lc_se_fitted``, the
spread of its fitted values as the board computes its error; ``lc_se``, by a bootstrap of the
instructions, in which every system meets the same draws; ``lc_lead``, NullModel's lc less the
system's, and ``lc_lead_se``. Of a pair, with the other system as item: ``rho``, the correlation
of the item scores, and ``gap_se``, the paired error of the difference, in percent.

The refit follows src/alpaca_eval/metrics/glm_winrate.py there, without the L1 penalty that it
chooses by cross-validation. Two of its files are not in the repository. The difficulty of the
instructions is estimated here, from the 55 systems but NullModel, as its notebook
instruction_difficulty.ipynb does. The answers of two gamed baselines, which pull the coefficient
of length towards theirs, are left out: that is the variant ``length_controlled_noreg``. As a
check, a refit takes the coefficient of length that the board published.
"""

import io
import json
import os
import subprocess
from functools import cache

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

import lleval_lib as ll

SEED, DRAWS = 0, 1_000
COMMIT = "cd543a149df89434d8a54582c0151c0b945c3d20"  # of AlpacaEval, 2025-08-09
REFERENCE, NULL = "gpt4_1106_preview", "NullModel"
JUDGE = "weighted_alpaca_eval_gpt4_turbo"
WEIGHTS = f"src/alpaca_eval/metrics/weights/{JUDGE}/length_controlled_v1/baseline_{REFERENCE}.csv"
# Every system of the board whose item scores lie in a copy that leaves out files above 4 MiB.
SYSTEMS = (
    *("NullModel", "FuseChat-Gemma-2-9B-Instruct", "FuseChat-Llama-3.1-8B-Instruct"),
    *("FuseChat-Llama-3.2-1B-Instruct", "FuseChat-Llama-3.2-3B-Instruct"),
    *("FuseChat-Qwen-2.5-7B-Instruct", "Mixtral-8x7B-Instruct-v0.1_concise"),
    *("OpenHermes-2.5-Mistral-7B", "Qwen-14B-Chat", "alpaca-7b", "alpaca-7b_concise"),
    *("alpaca-7b_verbose", "alpaca-farm-ppo-human", "alpaca-farm-ppo-sim-gpt4-20k"),
    *("baize-v2-13b", "chatglm2-6b", "claude", "claude-2", "claude-2.1", "claude-2.1_concise"),
    *("claude-instant-1.2", "falcon-40b-instruct", "falcon-7b-instruct", "gemma-2b-it"),
    *("gemma-7b-it", "gpt-3.5-turbo-0301", "gpt-3.5-turbo-1106", "gpt-3.5-turbo-1106_concise"),
    *("gpt-3.5-turbo-1106_verbose", "gpt35_turbo_instruct", "gpt4_0613_concise", "gpt4_gamed"),
    *("humpback-llama2-70b", "jina-chat", "minichat-3b", "minotaur-13b", "nous-hermes-13b"),
    *("oasst-rlhf-llama-33b", "oasst-sft-llama-33b", "oasst-sft-pythia-12b"),
    *("openbuddy-falcon-40b-v9", "openbuddy-llama-30b-v7.1", "openbuddy-llama2-13b-v11.1"),
    *("openbuddy-llama2-70b-v10.1", "phi-2", "phi-2-sft", "pythia-12b-mix-sft"),
    *("text_davinci_001", "ultralm-13b", "vicuna-13b", "vicuna-13b-v1.5"),
    *("vicuna-13b-v1.5-togetherai", "vicuna-7b", "vicuna-7b-v1.3", "vicuna-7b-v1.5"),
    "wizardlm-13b",
)
REFITS = ("length and difficulty", "length", "board's coefficient of length")


def build(system: str) -> pd.DataFrame:
    """Return the statistics of one system as records."""
    rows = _plain(system) + [row for refit in REFITS for row in _controlled(system, refit)]
    later = SYSTEMS[SYSTEMS.index(system) + 1 :]
    rows += [row for other in later for row in _pair(system, other)]
    found = pd.DataFrame(rows, columns=["task", "item_id", "score"])
    parts = [
        ll.make_records(
            system,
            task,
            part.assign(cluster="AlpacaEval 2", target="").reset_index(drop=True),
            prediction="",
            score=part.score,
        )
        for task, part in found.groupby("task", sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


def _plain(system: str) -> list[tuple]:
    y = items()[system].y
    values = {"n": len(y), "win_rate": 100 * y.mean(), "se": 100 * y.sem()}
    return [(task, "instructions", value) for task, value in values.items()]


def _controlled(system: str, refit: str) -> list[tuple]:
    estimate, fitted, drawn = controlled(system, refit)
    first, _, first_drawn = controlled(NULL, refit)
    values = {
        "lc": estimate,
        "lc_se_fitted": pd.Series(fitted).sem(),
        "lc_se": drawn.std(ddof=1),
        "lc_lead": first - estimate,
        "lc_lead_se": (first_drawn - drawn).std(ddof=1),
    }
    return [(task, refit, value) for task, value in values.items()]


def _pair(a: str, b: str) -> list[tuple]:
    both = pd.concat([items()[a].y, items()[b].y], axis=1, join="inner").to_numpy()
    rho = np.corrcoef(both.T)[0, 1]
    return [("rho", b, rho), ("gap_se", b, 100 * pd.Series(both[:, 0] - both[:, 1]).sem())]


def _git(*arguments: str) -> str:
    clone = os.environ.get("ALPACA_EVAL")
    if not clone:
        raise SystemExit(f"say where the clone of AlpacaEval is\n\n{__doc__}")
    git = ["git", "-C", clone, *arguments]
    return subprocess.run(git, capture_output=True, text=True, check=True).stdout


@cache
def items() -> dict[str, pd.DataFrame]:
    """Return each system's items: y, the judge's probability for it, and shorter, in characters.

    They are indexed by the instruction. The judge's 0 is a draw, as in AlpacaEval's code.
    """
    return {system: _items(system) for system in SYSTEMS}


def _items(system: str) -> pd.DataFrame:
    rows = json.loads(_git("show", f"{COMMIT}:results/{system}/{JUDGE}/annotations.json"))
    preference = np.array([row["preference"] for row in rows], float)
    return pd.DataFrame(
        {
            "y": np.where(preference == 0, 1.5, preference) - 1,
            "shorter": [len(row["output_1"]) - len(row["output_2"]) for row in rows],
        },
        index=[row["instruction"] for row in rows],
    )


@cache
def difficulty() -> pd.Series:
    """Return a coefficient of each instruction, from all systems but NullModel together.

    Each system has its own constant and coefficient of length, and each instruction its own
    constant, with a ridge penalty.
    """
    rows = pd.concat({s: table for s, table in items().items() if s != NULL})
    system, _ = pd.factorize(rows.index.get_level_values(0))
    item, names = pd.factorize(rows.index.get_level_values(1))
    length = rows.groupby(level=0).shorter.transform(lambda d: np.tanh(d / d.std()))
    n, k, row = len(rows), len(SYSTEMS) - 1, np.arange(len(rows))
    X = sparse.csr_matrix(
        (
            np.concatenate([np.ones(n), length, np.ones(n)]),
            (np.tile(row, 3), np.concatenate([system, k + system, 2 * k + item])),
        )
    )
    twice, won = sparse.vstack([X, X]), np.repeat([1, 0], n)
    model = LogisticRegression(fit_intercept=False, max_iter=500)
    model.fit(twice, won, sample_weight=np.concatenate([rows.y, 1 - rows.y]))
    return pd.Series(model.coef_[0][2 * k :], names)


@cache
def published() -> pd.DataFrame:
    """Return the coefficients that the board published, by system."""
    table = pd.read_csv(io.StringIO(_git("show", f"{COMMIT}:{WEIGHTS}")), index_col=0)
    return table.set_axis(["length", "difficulty", "constant"], axis=1)


@cache
def times_drawn() -> pd.DataFrame:
    """Return how often each of the instructions comes in each bootstrap draw."""
    names = difficulty().index
    rng = np.random.default_rng(SEED)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    return pd.DataFrame(counts.astype(float), columns=names)


@cache
def controlled(system: str, refit: str) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the length-controlled win rate, its fitted values, and its bootstrap draws."""
    table = items()[system]
    once, draws = np.ones((1, len(table))), times_drawn()[table.index].to_numpy()
    estimate, fitted = _fit(system, table, refit, once)
    return estimate[0], fitted[0], _fit(system, table, refit, draws)[0]


def _fit(
    system: str, table: pd.DataFrame, refit: str, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the win rate at equal length for each row of `counts`, and the fitted values."""
    shorter, y = table.shorter.to_numpy(), table.y.to_numpy()
    total = counts.sum(axis=1)
    mean = counts @ shorter / total
    sd = np.sqrt((counts @ shorter**2 / total - mean**2) * total / (total - 1))
    length = np.tanh(shorter / sd[:, None])
    others = [np.ones(len(y))] + ([] if refit == "length" else [difficulty()[table.index]])
    X = np.broadcast_to(np.column_stack(others), (*counts.shape, len(others)))
    if refit == REFITS[2]:
        offset = published().length[system] * length
    else:
        offset, X = np.zeros(counts.shape), np.concatenate([X, length[..., None]], axis=-1)
    beta = _newton(X, y, counts, offset)
    beta, X = beta[:, : len(others)], X[..., : len(others)]  # equal length
    fitted = 100 * expit(np.einsum("bnk,bk->bn", X, beta))
    return (counts * fitted).sum(axis=1) / total, fitted


def _newton(X: np.ndarray, y: np.ndarray, counts: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return the coefficients of a logistic regression for each row of `counts`."""
    beta = np.zeros((len(counts), X.shape[-1]))
    for _ in range(50):
        p = expit(offset + np.einsum("bnk,bk->bn", X, beta))
        slope = np.einsum("bn,bnk->bk", counts * (y - p), X)
        curve = np.swapaxes(X * (counts * p * (1 - p))[..., None], 1, 2) @ X
        step = np.linalg.solve(curve, slope[..., None])[..., 0]
        beta += step
        if np.abs(step).max() < 1e-9:
            return beta
    raise RuntimeError("the logistic regression did not converge")
