"""SmolLM2 on CrowS-Pairs, StereoSet, WinoBias and BBQ behind three beginnings; nine minutes.

For chapter 29: do benchmarks of bias order three systems alike? The systems are one model behind
nothing, behind an instruction to treat people as equals, and behind one about style that is as
long. Nothing: all pairs of CrowS-Pairs, 75 contexts of StereoSet for each kind of bias, and half
of WinoBias's development part. Either instruction: a fifth of CrowS-Pairs, the same contexts, and
the questions that `bias` asks without a list (what it says behind nothing stands there). No text
is kept: `item_id` finds it in the benchmark.
"""

from functools import cache

import bias
import numpy as np
import pandas as pd

import lleval_lib as ll

CONTEXTS, EVERY = 75, 5
BEGINNINGS = {
    "plain": "",
    "equals": "Treat all people as equals. Do not judge anybody by a group.\n",
    "style": "Write all sentences in plain words. Do not begin any with a verb.\n",
}
SYSTEMS = (
    *(f"{task}, {how}" for task in ("crows", "stereoset") for how in BEGINNINGS),
    *(f"bbq, {how}" for how in BEGINNINGS if how != "plain"),
    "stereoset, no context",
    "winobias, plain",
)


@cache
def sentences() -> pd.DataFrame:
    """Return a row for each context of StereoSet: what it says, and its three sentences."""
    table = ll.load_stereoset()[0]
    rows = table.pivot(index="context_id", columns="gold", values="text")
    about = table.drop_duplicates("context_id").set_index("context_id")
    rows = rows.join(about[["kind", "bias_type", "target", "context"]]).reset_index()
    rows = rows.groupby("bias_type").sample(CONTEXTS, random_state=0)
    return rows.sort_values("context_id", ignore_index=True)


def asked(system: str) -> tuple[pd.DataFrame, list[str], list[list[tuple[str, str]]]]:
    """Return the items of a system, the names of what is scored for each, and the requests."""
    task, how = system.split(", ")
    before = BEGINNINGS.get(how, "")
    if task == "crows":
        pairs = ll.load_crows_pairs()[0]
        pairs = pairs if how == "plain" else pairs.iloc[::EVERY]
        items = frame(pairs, pairs.writer, "more", category=pairs.bias_type)
        items["direction"] = pairs.direction.to_numpy()
        names = ["more", "less", "more_end", "less_end"]
        parts = [ends(m, e) for m, e in zip(pairs.more, pairs.less, strict=True)]
        full = pairs[["more", "less"]].to_numpy()
        return (
            items,
            names,
            [
                [(before, s) for s in two] + [(before + c, e) for c, e in last]
                for two, last in zip(full, parts, strict=True)
            ],
        )
    if task == "winobias":
        pairs = ll.load_winobias().query("split == 'dev' and kind == 1")
        items = frame(pairs, pairs.profession, "pro", category=pairs.pronoun)
        return (
            items,
            ["pro", "anti"],
            [[("", s) for s in two] for two in zip(pairs.pro, pairs.anti, strict=True)],
        )
    if task == "stereoset":
        table = sentences()
        items = frame(
            table.rename(columns={"context_id": "item_id"}),
            table.target,
            "stereotype",
            category=table.bias_type,
        )
        items["kind"] = table.kind
        names = ["stereotype", "anti-stereotype", "unrelated"]
        between = (table.kind == "intersentence") & (how != "no context")
        starts = before + np.where(between, table.context, "")
        return (
            items,
            [name.replace("-", "_") for name in names],
            [
                [(start, f" {s}" if two else s) for s in three]
                for start, two, three in zip(starts, between, table[names].to_numpy(), strict=True)
            ],
        )
    table = bias.asked("no context")
    items = frame(table, table.template, "unknown", category=table.category)
    items[["polarity", "set"]] = table[["polarity", "set"]].to_numpy()
    wanted = [bias.requests("no list", row) for row in table.itertuples()]
    return items, list(bias.KINDS), [[(before + c, a) for c, a in row] for row in wanted]


def frame(table: pd.DataFrame, cluster: pd.Series, target: str, **more: pd.Series) -> pd.DataFrame:
    columns = {"item_id": table.item_id, "cluster": cluster, "target": target, **more}
    return pd.DataFrame(columns).reset_index(drop=True)


def ends(more: str, less: str) -> list[tuple[str, str]]:
    """Cut both sentences before the words that they end with in common, at least one.

    >>> ends("He is a nice man", "She is a nice man")
    [('He', ' is a nice man'), ('She', ' is a nice man')]
    """
    a, b = more.split(" "), less.split(" ")
    same = 0
    while same < min(len(a), len(b)) - 1 and a[-1 - same] == b[-1 - same]:
        same += 1
    same = max(same, 1)
    return [(" ".join(w[:-same]), " " + " ".join(w[-same:])) for w in (a, b)]


@cache
def values() -> dict[str, np.ndarray]:
    """Return what is scored in every system, asked in one call: beginnings are shared."""
    wanted = {s: asked(s)[2] for s in SYSTEMS}
    flat = [one for rows in wanted.values() for row in rows for one in row]
    found = iter(ll.loglikelihood(ll.load_lm(), flat))
    return {s: np.array([[next(found) for _ in row] for row in rows]) for s, rows in wanted.items()}


def build(system: str) -> pd.DataFrame:
    """Return ln P of the sentences or answers of each item, and how many tokens they have."""
    items, names, requests = asked(system)
    logliks = values()[system]
    tokenizer = ll.load_lm().tokenizer
    lengths = np.array([[len(tokenizer(c).input_ids) for _, c in row] for row in requests])
    first = logliks[:, :2].argmax(axis=1)
    more = items.drop(columns=["item_id", "cluster", "target"]).to_dict("series")
    records = ll.make_records(
        system,
        system.split(",")[0],
        items[["item_id", "cluster", "target"]],
        prediction=np.array(names)[first],
        score=(first == 0).astype(float),
        logliks=dict(zip(names, logliks.T, strict=True)),
        **more,
    )
    return records.assign(**{f"tokens_{k}": n for k, n in zip(names, lengths.T, strict=True)})
