"""SmolLM2 adds small numbers, many times: votes and verifiers. Five minutes of processor.

For chapter 30. `EACH` sums of each of five kinds, from one digit and one digit to two digits and
two numbers of one digit, written as a list whose first lines are solved. "greedy, 2 shots" and
"greedy, 8 shots" go on with the likeliest token; "T 0.5" and "T 1.0" draw `SAMPLES` answers after
2 shots at this temperature, the task being the number of the sample. All read the same sums.

`prediction` is the first line, `score` whether it is the sum, `loglik` the log-likelihood of what
was drawn, its end included, at temperature 1, in nats, two decimals; `tokens` counts the prompt's
and, at most `MOST`, the answer's.
"""

from functools import cache

import numpy as np
import pandas as pd
import torch
from transformers import DynamicCache

import lleval_lib as ll

EACH, SAMPLES, MOST, SEED = 20, 32, 5, 30
SYSTEMS = ("T 1.0", "greedy, 2 shots", "greedy, 8 shots", "T 0.5")
ONE, TWO = (2, 10), (11, 100)
KINDS = {
    "1 + 1": (ONE, ONE),
    "2 + 1": (TWO, ONE),
    "2 + 2": (TWO, TWO),
    "1 + 1 + 1": (ONE, ONE, ONE),
    "2 + 1 + 1": (TWO, ONE, ONE),
}


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    lm, table = ll.load_lm(), sums()
    shots = 8 if system == "greedy, 8 shots" else 2
    prompts = [prompt(row.kind, row.asked, shots) for row in table.itertuples()]
    at = float(system.removeprefix("T ")) if system.startswith("T ") else 0.0
    samples = SAMPLES if at else 1
    answers = [drawn(lm, text, samples, at, seed=i) for i, text in enumerate(prompts)]
    built = []
    for j in range(samples):
        said = [each[j][0] for each in answers]
        right = [float(a == b) for a, b in zip(said, table.target, strict=True)]
        logs = [round(each[j][1], 2) for each in answers]
        tokens = [each[j][2] for each in answers]
        built.append(
            ll.make_records(
                *(system, f"sample {j}", table.drop(columns="asked")),
                **{"prediction": said, "score": right, "loglik": logs, "tokens": tokens},
            )
        )
    return pd.concat(built)


@cache
def sums() -> pd.DataFrame:
    """Return the sums: `asked`, such as "3 + 4", its `target` "7", and its `kind`."""
    rows = []
    for kind, ranges in KINDS.items():
        rng, seen = np.random.default_rng([SEED, len(rows)]), set()
        while len(seen) < EACH:
            numbers = terms(ranges, rng)
            if numbers in seen or numbers in solved(kind):
                continue
            seen.add(numbers)
            asked = written(numbers)
            rows.append({"item_id": asked, "cluster": asked, "kind": kind, "asked": asked})
            rows[-1]["target"] = str(sum(numbers))
    return pd.DataFrame(rows)


def terms(ranges, rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(rng.integers(*ends)) for ends in ranges)


def written(numbers: tuple[int, ...]) -> str:
    return " + ".join(map(str, numbers))


@cache
def solved(kind: str) -> tuple[tuple[int, ...], ...]:
    """Return the eight solved sums of a kind; of two shots, the first two."""
    rng, found = np.random.default_rng([SEED, 1, len(kind)]), []
    while len(found) < 8:
        numbers = terms(KINDS[kind], rng)
        if numbers not in found:
            found.append(numbers)
    return tuple(found)


def prompt(kind: str, asked: str, shots: int) -> str:
    lines = [f"{written(numbers)} = {sum(numbers)}\n" for numbers in solved(kind)[:shots]]
    return "".join(lines) + f"{asked} ="


def drawn(
    lm: ll.LM, text: str, samples: int, temperature: float, *, seed: int
) -> list[tuple[str, float, int]]:
    """Return `samples` answers to `text`: the first line, its log-likelihood, the tokens read.

    At temperature 0 the likeliest token is taken. Samples that began alike are run once.
    """
    ids = torch.tensor([lm.tokenizer.encode(text, add_special_tokens=False)])
    random = torch.Generator().manual_seed(seed)
    cache, lines, logs = DynamicCache(), [""] * samples, [0.0] * samples
    at, counts = [0] * samples, [ids.shape[1]] * samples  # `at`: the row of a sample's beginning
    going = list(range(samples))
    with torch.inference_mode():
        logits = lm.model(ids, past_key_values=cache, logits_to_keep=1).logits[:, -1]
        for _ in range(MOST):
            shares = torch.log_softmax(logits.double(), -1)
            heat = torch.softmax(logits.double() / (temperature or 1), -1)
            begun: dict[tuple[int, int], int] = {}
            for j in going:
                row = at[j]
                if temperature:
                    token = int(torch.multinomial(heat[row], 1, generator=random))
                else:
                    token = int(logits[row].argmax())
                lines[j] += lm.tokenizer.decode([token])
                logs[j] += float(shares[row, token])
                counts[j] += 1
                if "\n" not in lines[j]:
                    at[j] = begun.setdefault((row, token), len(begun))
            going = [j for j in going if "\n" not in lines[j]]
            if not going:
                break
            cache.batch_select_indices(torch.tensor([row for row, _ in begun]))
            tokens = torch.tensor([[token] for _, token in begun])
            logits = lm.model(tokens, past_key_values=cache).logits[:, -1]
    firsts = [line.split("\n")[0].strip() for line in lines]
    return list(zip(firsts, logs, counts, strict=True))
