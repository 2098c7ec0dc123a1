"""Inference: log-likelihoods and greedy text of a language model, vectors of an encoder."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from .models import LM, Encoder
from .prefix_tree import sum_of_logs

_BATCH_TOKENS = 2_048


def loglikelihood(lm: LM, requests: Sequence[tuple[str, str]]) -> np.ndarray:
    """Return ln P(continuation | context) of each request, float64, in nats.

    `requests` is a sequence of ``(context, continuation)`` strings. The pair is tokenised as one
    text and cut where the context's own tokens end. Spaces at the end of the context count as the
    beginning of the continuation, because most tokenizers write a space into the word after it.
    An empty context becomes the tokenizer's first token (BOS, else EOS). A request longer than
    the model's window loses tokens on the left. These are the rules of lm-evaluation-harness
    (Biderman et al. 2024, arXiv:2405.14782). The numbers equal its ``HFLM``: within 1e-6 in 64-bit
    arithmetic, and in 32-bit within the few 1e-4 by which batches of another shape round. Each
    distinct prefix of tokens is run once, whatever the order of the requests (`prefix_tree`).

    Raises ``ValueError``, naming the request, for an empty continuation, for one whose text melts
    into the context's last token, and for one longer than the window.
    """
    return sum_of_logs(lm, _rows(lm, requests))


def generate(lm: LM, prompts: Sequence[str], max_new_tokens: int = 32) -> list[str]:
    """Return the model's greedy continuation of each prompt, without special tokens.

    The most probable token is taken at each step, until the model ends its turn or
    `max_new_tokens` are written. A chat prompt is made with
    ``lm.tokenizer.apply_chat_template(..., tokenize=False, add_generation_prompt=True)``.
    Raises ``ValueError`` for an empty prompt.
    """
    tokens = [_tokenise(lm, prompt) for prompt in prompts]
    if [] in tokens:
        raise ValueError(f"prompt {tokens.index([])} is empty: there is nothing to continue")
    order = sorted(range(len(tokens)), key=lambda i: -len(tokens[i]))
    pad = first_token(lm)
    texts = [""] * len(tokens)
    with torch.inference_mode(), tqdm(total=len(tokens), desc="generate", leave=False) as bar:
        for batch in _batches(order, lambda i: len(tokens[i]) + max_new_tokens):
            rows = [torch.tensor(tokens[i], device=lm.model.device) for i in batch]
            ids = pad_sequence(rows, True, pad, "left")
            seen = [torch.ones_like(row) for row in rows]
            written = lm.model.generate(
                input_ids=ids,
                attention_mask=pad_sequence(seen, True, 0, "left"),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=pad,
            )[:, ids.shape[1] :]
            for i, row in zip(batch, written, strict=True):
                texts[i] = lm.tokenizer.decode(row, skip_special_tokens=True)
            bar.update(len(batch))
    return texts


def embed(encoder: Encoder, texts: Iterable[str], batch_size: int = 64) -> np.ndarray:
    """Return one unit vector a text, shape (texts, hidden size), float32.

    The vector is the mean of the last layer over the text's tokens, divided by its length
    (Reimers & Gurevych 2019, arXiv:1908.10084, section 3). Texts past 256 tokens are cut.
    """
    texts = list(texts)
    order = np.argsort([-len(text) for text in texts], kind="stable")
    vectors = np.empty((len(texts), encoder.model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode(), tqdm(total=len(texts), desc="embed", leave=False) as bar:
        for start in range(0, len(texts), batch_size):
            rows = order[start : start + batch_size]
            inputs = encoder.processor(
                [texts[i] for i in rows],
                padding=True,
                truncation=True,
                max_length=256,
                return_tensors="pt",
            ).to(encoder.model.device)
            hidden = encoder.model(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            vectors[rows] = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
            bar.update(len(rows))
    return vectors


def _rows(lm: LM, requests: Sequence[tuple[str, str]]) -> list[tuple[tuple[int, ...], int]]:
    """Return each request's tokens, cut to the window, and how many of them are continuation.

    The rules and errors are those of `loglikelihood`.
    """
    known: dict[str, list[int]] = {}
    return [_row(lm, i, *request, known) for i, request in enumerate(requests)]


def _row(lm: LM, i: int, context: str, continuation: str, known: dict[str, list[int]]):
    if continuation == "":
        raise ValueError(f"request {i}: the continuation is empty, so there is nothing to score")
    stripped = context.rstrip()
    whole = context + continuation
    if stripped:
        if stripped not in known:  # many requests share a context
            known[stripped] = _tokenise(lm, stripped)
        before = known[stripped]
        after = _tokenise(lm, whole)[len(before) :]
    else:
        before = [first_token(lm)]
        after = lm.tokenizer.encode(whole, add_special_tokens=False)
        if after[0] == before[0]:
            after = after[1:]
    window = lm.model.config.max_position_embeddings
    if not after:
        raise ValueError(
            f"request {i}: {continuation!r} melts into the last token of the context "
            f"{context[-20:]!r}; begin the continuation with a space or at a word's edge"
        )
    if len(after) > window:
        raise ValueError(
            f"request {i}: the continuation has {len(after):,} tokens, the window of {lm.name} "
            f"{window:,}; score it in parts"
        )
    return tuple((before + after)[-(window + 1) :]), len(after)


def _tokenise(lm: LM, text: str) -> list[int]:
    begun = bool(lm.tokenizer.bos_token) and text.startswith(lm.tokenizer.bos_token)
    return lm.tokenizer.encode(text, add_special_tokens=not begun, verbose=False)


def first_token(lm: LM) -> int:
    """Return the token that stands before a text without context: BOS, or else EOS."""
    bos, eos = lm.tokenizer.bos_token_id, lm.tokenizer.eos_token_id
    return eos if bos is None else bos


def _batches(ordered: list[int], size: Callable[[int], int]) -> Iterator[list[int]]:
    """Split `ordered`, longest first, into runs of at most ``_BATCH_TOKENS`` padded tokens."""
    start = 0
    while start < len(ordered):
        stop = start + max(1, _BATCH_TOKENS // max(1, size(ordered[start])))
        yield ordered[start:stop]
        start = stop
