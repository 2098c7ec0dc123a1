"""Score text with a causal language model: log-likelihoods and greedy generation."""

import numpy as np
import torch
from tqdm import tqdm

from .models import LM
from .prefix_tree import sum_of_logs

_BATCH_TOKENS = 2_048


def loglikelihood(lm: LM, requests) -> np.ndarray:
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
    into the context's last token, and for one longer than the window. Chapters 02 and 03 use it.
    """
    return sum_of_logs(lm, encode(lm, requests))


def generate(lm: LM, prompts, max_new_tokens: int = 32) -> list[str]:
    """Return the model's greedy continuation of each prompt, without special tokens.

    The most probable token is taken at each step, until the model ends its turn or
    `max_new_tokens` are written. A chat prompt is made with
    ``lm.tokenizer.apply_chat_template(..., tokenize=False, add_generation_prompt=True)``.
    Raises ``ValueError`` for an empty prompt. Chapter 03 compares it with `loglikelihood`.
    """
    tokens = [_tokenise(lm, prompt) for prompt in prompts]
    if [] in tokens:
        raise ValueError(f"prompt {tokens.index([])} is empty: there is nothing to continue")
    order = sorted(range(len(tokens)), key=lambda i: -len(tokens[i]))
    pad = first_token(lm)
    texts = [""] * len(tokens)
    with torch.inference_mode(), tqdm(total=len(tokens), desc="generate", leave=False) as bar:
        for batch in _batches(order, lambda i: len(tokens[i]) + max_new_tokens):
            longest = len(tokens[batch[0]])
            ids = torch.full((len(batch), longest), pad, device=lm.model.device)
            mask = torch.zeros_like(ids)
            for row, i in enumerate(batch):
                ids[row, longest - len(tokens[i]) :] = torch.tensor(tokens[i])
                mask[row, longest - len(tokens[i]) :] = 1
            written = lm.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=pad,
            )[:, longest:]
            for i, text in zip(
                batch, lm.tokenizer.batch_decode(written, skip_special_tokens=True), strict=True
            ):
                texts[i] = text
            bar.update(len(batch))
    return texts


def encode(lm: LM, requests) -> list[tuple[tuple[int, ...], int]]:
    """Return each request's tokens, cut to the window, and how many of them are continuation.

    The rules and errors are those of `loglikelihood`.
    """
    known: dict[str, list[int]] = {}
    return [_encode(lm, i, *request, known) for i, request in enumerate(requests)]


def _encode(lm: LM, i: int, context: str, continuation: str, known: dict[str, list[int]]):
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


def _batches(ordered: list, size):
    """Split `ordered`, longest first, into runs of at most ``_BATCH_TOKENS`` padded tokens."""
    start = 0
    while start < len(ordered):
        stop = start + max(1, _BATCH_TOKENS // max(1, size(ordered[start])))
        yield ordered[start:stop]
        start = stop
