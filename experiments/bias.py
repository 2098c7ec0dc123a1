"""SmolLM2 on questions of BBQ in 13 forms, for chapter 29; five minutes.

From each of nine categories (the two that cross race with another are left out) ten templates are
drawn, and from each template two sets of questions: one pair of people, asked about a bad thing
("neg") and about its opposite ("nonneg"). Where the context does not tell ("ambig"), every set is
asked in every form: with the three options listed in each of three orders, so that each option is
once at each place, and answered by a letter, by a letter after other words, or by the answer's
text; and without a list, in two wordings. Two controls have no list either: the context is left
out, or the question is one of another category. Where the context tells ("disambig"), the first
set of each template is asked without a list and by letters. No text is kept: `item_id` finds it in
BBQ.
"""

from functools import cache

import numpy as np
import pandas as pd

import lleval_lib as ll

TEMPLATES, SETS, ORDERS = 10, 2, 3
KINDS = ("stereotyped", "other", "unknown")
LETTERS = ("A", "B", "C")
LISTED = {
    "letter": "\nAnswer:",
    "other words": "\nThe best option is",
    "text": "\nAnswer:",
}
SYSTEMS = (
    *(f"{how}, order {order}" for how in LISTED for order in range(ORDERS)),
    "no list",
    "no list, other words",
    "no context",
    "foreign question",
)
TOLD = ("no list", *(f"letter, order {order}" for order in range(ORDERS)))


@cache
def questions() -> pd.DataFrame:
    """Return the questions drawn, with the places of the three kinds of answers."""
    table = ll.load_bbq().query("not category.str.contains('_x_')")
    number = table.item_id.str[-5:].astype(int) // 4
    table = table.assign(set=table.category + "-" + number.map("{:04d}".format))
    known = table.groupby("set").target.transform("min") >= 0
    sets = table[known].drop_duplicates("set")[["category", "template", "set"]]
    rng, kept = np.random.default_rng(0), []
    for _, rows in sets.groupby("category"):
        # Templates without two usable sets are passed over.
        sizes = rows.groupby("template").set.nunique()
        for template in rng.permutation(sizes.index[sizes >= SETS])[:TEMPLATES]:
            kept += rng.permutation(rows.set[rows.template == template])[:SETS].tolist()
    table = table[table.set.isin(kept)].reset_index(drop=True)
    first = table.groupby("template").set.transform("first") == table.set
    table = table[(table.condition == "ambig") | first].reset_index(drop=True)
    # The list of the authors gives the stereotyped answer of this very question.
    other = 3 - table.target - table.unknown
    places = np.column_stack([table.target, other, table.unknown])
    named = dict(enumerate(KINDS))
    right = [named[list(row).index(label)] for row, label in zip(places, table.label, strict=True)]
    return table.assign(places=places.tolist(), right=right, foreign=foreign(table))


def foreign(table: pd.DataFrame) -> pd.Series:
    """Return for each question one of the same polarity from the next category."""
    names = sorted(table.category.unique())
    after = dict(zip(names, names[1:] + names[:1], strict=True))
    mine = table.groupby(["category", "condition", "polarity"]).cumcount()
    where = dict(
        zip(
            zip(table.category, table.condition, table.polarity, mine, strict=True),
            table.question,
            strict=True,
        )
    )
    rows = zip(table.category, table.condition, table.polarity, mine, strict=True)
    return pd.Series([where[after[c], t, p, n] for c, t, p, n in rows], index=table.index)


def requests(system: str, row) -> list[tuple[str, str]]:
    """Return what is scored for one question: its three answers, by `KINDS`."""
    answers = [row.answers[place] for place in row.places]
    if system == "no list, other words":
        return [(f"{row.context} {row.question}", f" {answer}.") for answer in answers]
    if system in ("no list", "no context", "foreign question"):
        context = "" if system == "no context" else f"{row.context}\n"
        asked = row.foreign if system == "foreign question" else row.question
        return [(f"{context}Question: {asked}\nAnswer:", f" {answer}") for answer in answers]
    how, order = system.split(", order ")
    shown = places(row, int(order))
    listed = sorted(zip(shown, answers, strict=True))
    lines = [f"{letter}. {answer}" for letter, (_, answer) in zip(LETTERS, listed, strict=True)]
    prompt = "\n".join([row.context, f"Question: {row.question}", *lines]) + LISTED[how]
    said = answers if how == "text" else [LETTERS[place] for place in shown]
    return [(prompt, f" {one}") for one in said]


def places(row, order: int) -> list[int]:
    """Return at which place each kind of answer is listed."""
    return [(place + order) % 3 for place in row.places]


def asked(system: str) -> pd.DataFrame:
    table = questions()
    return table if system in TOLD else table[table.condition == "ambig"]


@cache
def values() -> dict[str, np.ndarray]:
    """Return ln P of the three answers in every form, asked in one call: beginnings are shared."""
    wanted = {s: [requests(s, row) for row in asked(s).itertuples()] for s in SYSTEMS}
    flat = [one for rows in wanted.values() for row in rows for one in row]
    found = iter(ll.loglikelihood(ll.load_lm(), flat))
    return {s: np.array([[next(found) for _ in row] for row in rows]) for s, rows in wanted.items()}


def build(system: str) -> pd.DataFrame:
    """Return ln P of the stereotyped, the other and the unknown answer, and how long each is."""
    rows, logliks = asked(system).reset_index(drop=True), values()[system]
    tokenizer = ll.load_lm().tokenizer
    lengths = np.array(
        [[len(tokenizer(c).input_ids) for _, c in requests(system, r)] for r in rows.itertuples()]
    )
    chosen = logliks.argmax(axis=1)
    order = int(system[-1]) if ", order " in system else 0
    shown = [places(row, order)[kind] for row, kind in zip(rows.itertuples(), chosen, strict=True)]
    prediction = np.array(KINDS)[chosen]
    records = ll.make_records(
        system,
        "bias",
        pd.DataFrame({"item_id": rows.item_id, "cluster": rows.template, "target": rows.right}),
        prediction=prediction,
        score=(prediction == rows.right).astype(float),
        logliks=dict(zip(KINDS, logliks.T, strict=True)),
        category=rows.category,
        condition=rows.condition,
        polarity=rows.polarity,
        set=rows.set,
        place=np.array(shown),
    )
    return records.assign(**{f"tokens_{k}": n for k, n in zip(KINDS, lengths.T, strict=True)})
