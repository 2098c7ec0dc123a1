"""BBQ's contexts with questions of four more foreign categories, for chapter 29; five minutes.

`bias` has one such control: the question comes from the next category. One draw is noisy, so here
the same contexts are asked the questions of four other categories, without a list. What is scored
is the stereotyped and the other answer. No text is kept: `item_id` finds it in BBQ.
"""

from functools import cache

import bias
import numpy as np
import pandas as pd

import lleval_lib as ll

STEPS = (2, 4, 6, 7)  # how many categories further the question comes from; `bias` has 1
SYSTEMS = tuple(f"foreign question, {step} further" for step in STEPS)


def requests(step: int) -> list[list[tuple[str, str]]]:
    """Return what is scored for each question: the answers of the first two of `bias.KINDS`."""
    rows = foreign(bias.asked("no context").reset_index(drop=True), step).itertuples()
    return [bias.requests("foreign question", row)[:2] for row in rows]


def foreign(table: pd.DataFrame, step: int) -> pd.DataFrame:
    """Return `table` with questions of the same polarity, `step` categories further."""
    names = sorted(table.category.unique())
    after = dict(zip(names, np.roll(names, -step), strict=True))
    number = table.groupby(["category", "polarity"]).cumcount()
    key = ["category", "polarity", "number"]
    asked = table.assign(number=number).set_index(key).question
    wanted = [table.category.map(after), table.polarity, number]
    return table.assign(foreign=asked.loc[pd.MultiIndex.from_arrays(wanted)].to_numpy())


@cache
def values() -> np.ndarray:
    """Return ln P by step, question and answer, asked in one call: beginnings are shared."""
    flat = [one for step in STEPS for row in requests(step) for one in row]
    return np.array(ll.loglikelihood(ll.load_lm(), flat)).reshape(len(STEPS), -1, 2)


def build(system: str) -> pd.DataFrame:
    """Return ln P of the stereotyped and the other answer of each question."""
    rows = bias.asked("no context")
    logliks = values()[SYSTEMS.index(system)]
    prediction = np.array(bias.KINDS)[logliks.argmax(axis=1)]
    return ll.make_records(
        system,
        "bias",
        pd.DataFrame({"item_id": rows.item_id, "cluster": rows.template, "target": rows.right}),
        prediction=prediction,
        score=(prediction == rows.right).astype(float),
        logliks=dict(zip(bias.KINDS, logliks.T, strict=False)),
        category=rows.category,
        polarity=rows.polarity,
        set=rows.set,
    )
