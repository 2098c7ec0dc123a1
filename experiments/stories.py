"""SmolLM2 writes summaries and goes on with film plots, at five temperatures. Eight minutes.

For chapter 20. "summary" asks, in the chat template, for each aspect of the abstracts of ACLSum's
100 test papers, greedily, and keeps at most 25 words, the most that a human summary has;
"lead" takes the first 25 words of the abstract, "lead of human length" as many as the aspect's
human summary has, "last" the last 25. Score: ROUGE-1 F times 100 against the human summary.

A "plot" is the first 25 words of a film's plot, of `FILMS` films drawn once; SmolLM2 goes on for
`TOKENS` tokens, without its template, `SAMPLES` times at each temperature. "human" is what the
source says there, of which only the log-likelihood is kept. Score and `loglik` are the
log-likelihood at temperature 1, in nats, two decimals; `tokens` and `bytes` are of the text.
"""

from functools import cache

import numpy as np
import pandas as pd
import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import DynamicCache

import lleval_lib as ll

ASPECTS = ("challenge", "approach", "outcome")
ASKED = {
    "challenge": "What problem does this paper address?",
    "approach": "What do the authors of this paper do?",
    "outcome": "What do the authors of this paper find?",
}
WORDS, FILMS, TOKENS, SAMPLES = 25, 20, 36, 8
TEMPERATURES = (0.3, 0.7, 1.0, 1.5, 2.0)
SUMMARIES = ("summary", "lead", "lead of human length", "last")
SYSTEMS = (*SUMMARIES, "human", *(f"T {t}" for t in TEMPERATURES))


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    return summaries(system) if system in SUMMARIES else stories(system)


@cache
def papers() -> pd.DataFrame:
    """Return one item for each test paper and aspect, the human summary its target."""
    table = ll.load_aclsum()
    table = table[table.split == "test"]
    rows = [
        {
            "item_id": f"{paper}-{aspect}",
            "cluster": paper,
            "aspect": aspect,
            "abstract": " ".join(rows.text[rows.section == "abstract"]),
            "target": rows[f"{aspect}_summary"].iloc[0],
        }
        for paper, rows in table.groupby("paper", sort=False)
        for aspect in ASPECTS
    ]
    return pd.DataFrame(rows)


def asked(lm: ll.LM) -> list[str]:
    """Return the prompt of each item of `papers`."""
    turns = [
        f"{row.abstract}\n\n{ASKED[row.aspect]} Answer in one sentence of at most {WORDS} words."
        for row in papers().itertuples()
    ]
    return [chat(lm, text) for text in turns]


def chat(lm: ll.LM, text: str) -> str:
    turns = [{"role": "user", "content": text}]
    return lm.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def summaries(system: str) -> pd.DataFrame:
    table = papers()
    words = table.abstract.str.split()
    if system == "summary":
        lm = ll.load_lm()
        texts = ll.generate(lm, asked(lm), 48)
        texts = [" ".join(text.split()[:WORDS]) for text in texts]
    elif system == "lead of human length":
        sizes = table.target.str.split().str.len()
        texts = [" ".join(w[:n]) for w, n in zip(words, sizes, strict=True)]
    else:
        texts = [" ".join(w[:WORDS] if system == "lead" else w[-WORDS:]) for w in words]
    return ll.make_records(
        system, "summary", table, prediction=texts, score=rouge_1(texts, table.target)
    )


def rouge_1(texts, references) -> list[float]:
    scorer = RougeScorer(["rouge1"])
    scored = (scorer.score(r, t)["rouge1"] for t, r in zip(texts, references, strict=True))
    return [round(100 * s.fmeasure, 2) for s in scored]


@cache
def plots() -> pd.DataFrame:
    """Return the beginnings of plots: `opening`, and as `target` the 25 words that follow."""
    table = ll.load_plots()
    words = table.text.str.split()
    table = table.assign(
        opening=words.str[:WORDS].str.join(" "),
        target=words.str[WORDS : 2 * WORDS].str.join(" "),
        cluster=table.film,
    )[words.str.len() >= 2 * WORDS]
    table = table.drop_duplicates("film")
    return table.sample(FILMS, random_state=20).sort_index().reset_index(drop=True)


def stories(system: str) -> pd.DataFrame:
    lm, table = ll.load_lm(), plots()
    if system == "human":
        pairs = [(r.opening, " " + r.target) for r in table.itertuples()]
        # Their text is not ours to publish.
        return one(lm, system, "sample 0", table, [text for _, text in pairs], "")
    temperature = float(system.removeprefix("T "))
    texts = [
        written(lm, row.opening, SAMPLES, temperature, seed=i, most=TOKENS)
        for i, row in enumerate(table.itertuples())
    ]
    return pd.concat(
        [
            one(lm, system, f"sample {j}", table, [t[j] for t in texts], None)
            for j in range(SAMPLES)
        ]
    )


def one(lm, system: str, task: str, table: pd.DataFrame, texts: list[str], kept) -> pd.DataFrame:
    """Return the records of one continuation of each plot; `kept` may replace their text."""
    logs = nats(lm, table.opening, texts)
    return ll.make_records(
        system,
        task,
        table.assign(target=""),
        prediction=texts if kept is None else kept,
        score=logs.round(2),
        loglik=logs.round(2),
        tokens=[len(lm.tokenizer.encode(text, add_special_tokens=False)) for text in texts],
        bytes=[len(text.encode()) for text in texts],
    )


def nats(lm: ll.LM, openings, texts) -> np.ndarray:
    """Return the log-likelihood of each text after its opening; 0 of one that is empty."""
    pairs = [(o, t) for o, t in zip(openings, texts, strict=True)]
    full = [i for i, (_, text) in enumerate(pairs) if text.strip()]
    logs = np.zeros(len(pairs))
    logs[full] = ll.loglikelihood(lm, [pairs[i] for i in full])
    return logs


def written(
    lm: ll.LM, prompt: str, samples: int, temperature: float, *, seed: int, most: int, ends=None
) -> list[str]:
    """Return `samples` continuations of `prompt`, drawn at `temperature`, of `most` tokens.

    `ends` is a function of a text that says whether it may stop; it is asked every eight tokens.
    """
    ids = torch.tensor([lm.tokenizer.encode(prompt, add_special_tokens=False)])
    random = torch.Generator().manual_seed(seed)
    stops = torch.tensor([lm.tokenizer.eos_token_id, *lm.tokenizer.encode("<|im_end|>")])
    cache, drawn = DynamicCache(), []
    with torch.inference_mode():
        seen = lm.model(ids, past_key_values=cache, logits_to_keep=1)
        cache.batch_repeat_interleave(samples)
        logits = seen.logits[:, -1].expand(samples, -1)
        done = torch.zeros(samples, dtype=torch.bool)
        for step in range(1, most + 1):
            share = torch.softmax(logits / temperature, -1)
            token = torch.multinomial(share, 1, generator=random)[:, 0]
            token[done] = stops[0]
            drawn.append(token)
            done |= torch.isin(token, stops)
            if ends and step % 8 == 0:
                done |= torch.tensor([ends(text) for text in texts_of(lm, drawn)])
            if done.all():
                break
            logits = lm.model(token[:, None], past_key_values=cache).logits[:, -1]
    return texts_of(lm, drawn)


def texts_of(lm: ll.LM, drawn: list[torch.Tensor]) -> list[str]:
    return lm.tokenizer.batch_decode(torch.stack(drawn, 1), skip_special_tokens=True)
