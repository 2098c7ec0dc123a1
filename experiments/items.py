"""Forty questions that SmolLM2 writes from abstracts, and ten cheap test takers. Minutes.

For chapter 24: may generated items be used? The text is the human summary of the challenge and of
the approach of a paper of ACLSum. After two examples SmolLM2 writes a question, then its answer,
then a wrong answer, greedily, each up to the end of the line. The item has these two options. The
takers choose one: SmolLM2 by the likelihood of the option, with the text or without it; MiniLM by
the nearest vector; and rules that look at words or lengths. `flaw` is what one reader, a language
model, found wrong when it read the item beside the text, before the takers' answers were there:
"same" (both options say the same), "no key" (the text does not support the key), "no question" (it
cannot be answered from the text, or not be understood), or nothing.
"""

from functools import cache

import numpy as np
import pandas as pd

import lleval_lib as ll

ITEMS, TOKENS = 40, 40
EXAMPLES = """\
Text: The heart has four chambers. Blood from the body enters the right atrium, and the left \
ventricle pumps it out again.
Question: Which chamber pumps blood out to the body?
Right answer: the left ventricle
Wrong answer: the right atrium

Text: Bees tell each other where flowers are by a dance. The direction of the dance is the \
direction of the flowers from the sun.
Question: What does the direction of a bee's dance show?
Right answer: where the flowers are
Wrong answer: how sweet the nectar is

"""
PARTS = ("Question", "Right answer", "Wrong answer")
FLAWS = {
    "2022.naacl-main.154": "no key",
    "N10-1002": "no key",
    "P12-1106": "no key",
    "D19-1367": "no key",
    "W96-0213": "no question",
    "2020.aacl-main.67": "no question",
    "D07-1034": "no question",
    "P15-1168": "no question",
    "2022.acl-long.30": "no question",
    "2020.emnlp-main.298": "no question",
    "D19-1547": "same",
    "2021.emnlp-main.424": "same",
}
SYSTEMS = (
    "smollm2 with text",
    "smollm2 with examples",
    "smollm2 without text",
    "minilm to text",
    "minilm to question",
    "words in text",
    "words in question",
    "longer option",
    "shorter option",
    "coin, seed 0",
)


@cache
def texts() -> pd.DataFrame:
    """Return forty papers of ACLSum's test part, drawn once, with the text of each."""
    table = ll.load_aclsum().drop_duplicates("paper").query("split == 'test'")
    kept = np.sort(np.random.default_rng(0).choice(len(table), ITEMS, replace=False))
    table = table.iloc[kept].reset_index(drop=True)
    return pd.DataFrame(
        {"item_id": table.paper, "text": table.challenge_summary + " " + table.approach_summary}
    )


def written(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the question, the key and the wrong answer that SmolLM2 writes for each text."""
    prompts = [f"{EXAMPLES}Text: {text}\n" for text in rows.text]
    found: dict[str, list[str]] = {}
    for part in PARTS:
        prompts = [f"{prompt}{part}:" for prompt in prompts]
        lines = ll.generate(lm(), prompts, max_new_tokens=TOKENS)
        found[part] = [line.strip().split("\n")[0].strip() for line in lines]
        prompts = [f"{p} {line}\n" for p, line in zip(prompts, found[part], strict=True)]
    return pd.DataFrame(dict(zip(("question", "right", "wrong"), found.values(), strict=True)))


@cache
def lm() -> ll.LM:
    return ll.load_lm()


@cache
def items() -> pd.DataFrame:
    return pd.concat([texts(), written(texts())], axis=1)


def build(system: str) -> pd.DataFrame:
    """Return what one of `SYSTEMS` chooses, 1 for the key and 0.5 where it cannot choose."""
    table = items()
    right, wrong = values(system, table).T
    score = np.where(np.isclose(right, wrong), 0.5, right > wrong)
    same = table.right.str.lower() == table.wrong.str.lower()
    chosen = np.where(score == 1, table.right, table.wrong)
    return pd.DataFrame(
        {
            "system": system,
            "task": "items",
            "item_id": table.item_id,
            "cluster": table.item_id,
            "prompt": "",
            "target": table.right,
            "prediction": np.where(score == 0.5, "", chosen),
            "score": score,
            "loglik": np.nan,
            "question": table.question,
            "wrong": table.wrong,
            "flaw": np.where(same, "same", table.item_id.map(FLAWS).fillna("")),
        }
    )


def values(system: str, table: pd.DataFrame) -> np.ndarray:
    """Return what a taker thinks of both options, (items, 2); it takes the larger."""
    options = table[["right", "wrong"]]
    if system.startswith("smollm2"):
        start = EXAMPLES if system.endswith("examples") else ""
        text = "" if system.endswith("without text") else "Text: " + table.text + "\n"
        asked = start + text + "Question: " + table.question + "\nRight answer:"
        requests = [(a, f" {o}") for a, row in zip(asked, options.values, strict=True) for o in row]
        return ll.loglikelihood(lm(), requests).reshape(-1, 2)
    if system.startswith("minilm"):
        of = table.text if system.endswith("text") else table.question
        encoder = ll.load_encoder()
        near = ll.embed(encoder, of.tolist())
        return np.column_stack(
            [(near * ll.embed(encoder, options[o].tolist())).sum(axis=1) for o in options]
        )
    if system.startswith("words"):
        of = table.text if system.endswith("text") else table.question
        return np.array(
            [[overlap(o, t) for o in row] for t, row in zip(of, options.values, strict=True)]
        )
    if system.endswith("option"):
        lengths = options.map(len).to_numpy(float)
        return lengths if system.startswith("longer") else -lengths
    return np.random.default_rng(0).random(options.shape)


def overlap(option: str, text: str) -> float:
    """Return the share of the words of an option that stand in a text."""
    words = option.lower().split()
    return float(np.mean([word in text.lower().split() for word in words])) if words else 0.0
