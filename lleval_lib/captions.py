"""Scores of captions against references by people."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from .inputs import require_count


def cider_d(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    max_order: int = 4,
    sigma: float = 6.0,
) -> np.ndarray:
    """Return CIDEr-D of each of n captions, 0 to 10, shape (n,).

    `references` holds for each candidate the captions that people gave. An n-gram weighs as often
    as it stands in a caption, times the logarithm of the number of items over the number of items
    in whose references it stands (at least one). The score is the mean over the references, and
    over n-grams of 1 to `max_order` words, of the cosine of the two vectors, where no n-gram of the
    candidate counts more than in the reference, times exp(-d²/2σ²), with the difference d of their
    lengths in words and `sigma`; times 10. So a score depends on all references that are given with
    it: with one item every weight, and every score, is 0. Words are runs of letters and digits, in
    lower case; the authors' code splits with Stanford's tokenizer. Chinese and other writing
    without spaces must come with a space between words: else each sentence is one word. An empty
    caption has 0.

    Source: Vedantam, Zitnick and Parikh (2015), "CIDEr: Consensus-based Image Description
    Evaluation", arXiv:1411.5726, section 4 and appendix on CIDEr-D. Derived in chapter 21.

    >>> names = [["a red circle", "one red circle"], ["a blue square", "the blue square"]]
    >>> print(cider_d(["a red circle", "a red square"], names).round(2))
    [5.4  1.14]

    Raises ``ValueError`` for another number of references than of candidates, an item without
    references, text that is no string, and a `max_order` or `sigma` that is not positive.
    """
    require_count(max_order, "max_order", 1, 4)
    if not sigma > 0:
        raise ValueError(f"sigma: expected words, such as 6, found {sigma}")
    if isinstance(candidates, str) or len(candidates) != len(references):
        raise ValueError(
            f"references: expected a list of captions for each of {len(candidates):,} candidates, "
            f"found {len(references):,}"
        )
    said = [_ngrams(text, max_order, f"candidate {i}") for i, text in enumerate(candidates)]
    known = []
    for i, texts in enumerate(references):
        if isinstance(texts, str) or not len(texts):
            raise ValueError(f"references: item {i} needs a list of one or more captions")
        known.append([_ngrams(text, max_order, f"a reference of item {i}") for text in texts])
    items = Counter(gram for texts in known for gram in set().union(*texts))
    rarity = {gram: np.log(len(known) / n) for gram, n in items.items()}
    unseen = np.log(max(len(known), 1))
    return np.array(
        [
            10 * np.mean([_similarity(c, r, rarity, unseen, max_order, sigma) for r in texts])
            for c, texts in zip(said, known, strict=True)
        ]
    )


def _ngrams(text: str, max_order: int, what: str) -> Counter:
    if not isinstance(text, str):
        raise ValueError(f"{what}: expected text, found {text!r}")
    words = re.findall(r"\w+", text.lower())
    return Counter(
        tuple(words[i : i + n]) for n in range(1, max_order + 1) for i in range(len(words) - n + 1)
    )


def _similarity(said, known, rarity, unseen, max_order, sigma) -> float:
    """Return the mean over the orders of the clipped cosine, times the penalty of length."""
    dot, norms = np.zeros(max_order), np.zeros((2, max_order))
    length = 0
    for sign, counts in ((1, said), (-1, known)):
        for gram, n in counts.items():
            weight = n * rarity.get(gram, unseen)
            norms[0 if sign == 1 else 1, len(gram) - 1] += weight**2
            length += sign * n * (len(gram) == 1)
            if sign == 1 and gram in known:
                there = known[gram] * rarity[gram]
                dot[len(gram) - 1] += min(weight, there) * there
    size = np.sqrt(norms.prod(axis=0))
    cosine = np.divide(dot, size, out=np.zeros(max_order), where=size > 0)
    return float(cosine.mean() * np.exp(-(length**2) / (2 * sigma**2)))
