"""SmolLM2 writes summaries and goes on with film plots, at four temperatures. Five minutes.

For chapter 20. "summary" asks, in the chat template, for each aspect of the abstracts of ACLSum's
50 validation papers, greedily, and keeps at most 25 words, the most that a human summary has;
"lead" takes the first 25 words of the abstract, "lead of human length" as many as the aspect's
human summary has, "last" the last 25. Score: ROUGE-1 F times 100 against the human summary.

A "plot" is the first 25 words of a film's plot, of `FILMS` films drawn once; SmolLM2 goes on for
`TOKENS` tokens, without its template, `SAMPLES` times at each temperature. "human" is what the
source says there, of which no text is kept; "salad" are `SALAD` words drawn from the list of the
words of all plots. Score and `loglik` are the log-likelihood at temperature 1, in nats, two
decimals; `tokens` and `bytes` are of the text. `near` is the cosine of the MiniLM vectors of text
and opening, `apart` is 1 less the mean cosine of a text and the seven others of its plot.
"""

import re
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
WORDS, FILMS, TOKENS, SAMPLES = 25, 16, 32, 8
SALAD = 22
TEMPERATURES = (0.3, 0.7, 1.0, 1.5)
SUMMARIES = ("summary", "lead", "lead of human length", "last")
SYSTEMS = (*SUMMARIES, "human", "salad", *(f"T {t}" for t in TEMPERATURES))


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    return summaries(system) if system in SUMMARIES else stories(system)


@cache
def papers() -> pd.DataFrame:
    """Return one item for each validation paper and aspect, the human summary its target."""
    table = ll.load_aclsum()
    table = table[table.split == "validation"]
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
        texts = ll.generate(lm, asked(lm), 40)
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
        texts = [[f" {text}"] for text in table.target]
    elif system == "salad":
        rng, known = np.random.default_rng(20), vocabulary()
        texts = [[" " + " ".join(rng.choice(known, SALAD)) for _ in range(SAMPLES)] for _ in rows()]
    else:
        at = float(system.removeprefix("T "))
        texts = [
            written(lm, row.opening, SAMPLES, at, seed=i, most=TOKENS)
            for i, row in enumerate(rows())
        ]
    near, apart = distances(texts)
    built = [
        ll.make_records(
            system,
            f"sample {j}",
            table.assign(target=""),
            # What a human wrote is not ours to publish.
            prediction="" if system == "human" else said,
            score=logs.round(2),
            loglik=logs.round(2),
            tokens=[len(lm.tokenizer.encode(text, add_special_tokens=False)) for text in said],
            bytes=[len(text.encode()) for text in said],
            near=near[:, j],
            apart=apart[:, j],
        )
        for j in range(len(texts[0]))
        for said in [[each[j] for each in texts]]
        for logs in [nats(lm, table.opening, said)]
    ]
    return pd.concat(built)


def rows() -> list:
    return list(plots().itertuples())


def vocabulary() -> list[str]:
    """Return the words of all plots that are lower-case letters."""
    return sorted({w for text in ll.load_plots().text for w in re.findall(r"\b[a-z]{2,}\b", text)})


def distances(texts: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Return `near` and `apart` of each text, shape (plots, samples), to three decimals."""
    encoder = ll.load_encoder()
    openings = ll.embed(encoder, plots().opening)
    flat = ll.embed(encoder, [text for said in texts for text in said])
    vectors = flat.reshape(len(texts), -1, flat.shape[1])
    near = (vectors * openings[:, None]).sum(2)
    n = vectors.shape[1]
    cosines = (vectors @ vectors.transpose(0, 2, 1)).sum(2) - 1
    return near.round(3), (1 - cosines / max(n - 1, 1)).round(3)


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
