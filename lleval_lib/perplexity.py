"""The likelihood of long texts by a sliding window, and bits per byte.

Perplexity is exp(-ln P / tokens). It depends on what the tokenizer calls a token, so it compares
models that share a tokenizer. Bits per byte divides by the bytes of the text instead, which no
tokenizer can change: it compares any two models.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from .inputs import finite
from .models import LM
from .prefix_tree import Row, sum_of_logs
from .scoring import first_token


def rolling_loglikelihood(
    lm: LM, texts: Iterable[str], window: int | None = None, stride: int | None = None
) -> np.ndarray:
    """Return ln P of each whole text, however long, float64, in nats.

    Every token is scored once. The first `window` tokens are scored together, given the
    tokenizer's first token (BOS, else EOS). After that, each step scores the next `stride` tokens
    given the tokens before them that fit into a window that ends with them. A smaller stride
    gives each token more context and takes more steps: at least window - stride + 1 tokens, the
    first window excepted. `window` is the model's own by default and `stride` half the window.
    With stride = window the numbers are those of lm-evaluation-harness's
    ``loglikelihood_rolling`` (Biderman et al. 2024, arXiv:2405.14782). ln P is that of the
    tokenizer's own way to cut the text; other ways would add probability, so it is a lower bound.

    Raises ``ValueError``, naming the text, for one without tokens, and for a window or stride
    that the model does not have.
    """
    longest = lm.model.config.max_position_embeddings
    window = longest if window is None else window
    stride = max(1, window // 2) if stride is None else stride
    if not 1 <= window <= longest:
        raise ValueError(f"window= must lie between 1 and {longest:,}, not {window}")
    if not 1 <= stride <= window:
        raise ValueError(f"stride= must lie between 1 and the window, {window:,}, not {stride}")
    rows: list[Row] = []
    owner: list[int] = []
    for i, text in enumerate(_several(texts)):
        tokens = lm.tokenizer.encode(text, add_special_tokens=False, verbose=False)
        if not tokens:
            raise ValueError(f"text {i} has no tokens: there is nothing to score")
        tokens = (first_token(lm), *tokens)
        stop = min(window + 1, len(tokens))
        rows.append((tokens[:stop], stop - 1))
        while stop < len(tokens):
            new = min(stride, len(tokens) - stop)
            stop += new
            rows.append((tokens[stop - window - 1 : stop], new))
        owner += [i] * (len(rows) - len(owner))
    return np.bincount(owner, sum_of_logs(lm, rows))


def bits_per_byte(logliks: ArrayLike, texts: Iterable[str]) -> np.ndarray:
    """Return -log2 P(text) divided by the length of the text in UTF-8 bytes, for each text.

    `logliks` are ln P of the n texts in nats. A code built on the model needs that many bits for
    each byte of the text (Shannon 1948); a text written out plainly has 8.

    >>> bits_per_byte([-8 * np.log(2)], ["word"])
    array([2.])

    Raises ``ValueError`` for unequal numbers, an empty text, and logliks that are missing,
    infinite or above 0.
    """
    logliks = finite(logliks, "logliks")
    sizes = np.array([len(text.encode()) for text in _several(texts)])
    if logliks.shape != sizes.shape:
        raise ValueError(f"logliks has shape {logliks.shape}, but there are {len(sizes):,} texts")
    if logliks.max() > 0:
        place = int((logliks > 0).argmax())
        raise ValueError(
            f"logliks: {logliks[place]:g} at place {place} is above 0, which no log-likelihood is; "
            "give ln P, not -ln P"
        )
    if (sizes == 0).any():
        raise ValueError(f"text {int((sizes == 0).argmax())} is empty: it has no bytes")
    return -logliks / np.log(2) / sizes


def _several(texts: Iterable[str]) -> list[str]:
    """Return the texts as a list; one text is no list of its letters."""
    if isinstance(texts, str):
        raise ValueError("texts must be a list of texts, not one: put it in brackets")
    found = list(texts)
    strange = [text for text in found if not isinstance(text, str)]
    if strange:
        raise ValueError(f"texts must be texts, but one is {strange[0]!r}")
    return found
