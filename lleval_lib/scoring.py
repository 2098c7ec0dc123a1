"""Score text with a causal language model: log-likelihoods and greedy generation."""

import copy

import numpy as np
import torch
from tqdm import tqdm

from .models import LM

_BATCH_TOKENS = 2_048
_WORTH_SHARING = 16


def loglikelihood(lm: LM, requests) -> np.ndarray:
    """Return ln P(continuation | context) of each request, float64, in nats.

    `requests` is a sequence of ``(context, continuation)`` strings. The pair is tokenised as one
    text and cut where the context's own tokens end. Spaces at the end of the context count as the
    beginning of the continuation, because most tokenizers write a space into the word after it.
    An empty context becomes the tokenizer's first token (BOS, else EOS). A request longer than
    the model's window loses tokens on the left. These are the rules of lm-evaluation-harness
    (Biderman et al. 2024, arXiv:2405.14782). The numbers equal its ``HFLM``: within 1e-6 in 64-bit
    arithmetic, and in 32-bit within the few 1e-4 by which batches of another shape round.

    Raises ``ValueError``, naming the request, for an empty continuation, for one whose text melts
    into the context's last token, and for one longer than the window. Chapters 02 and 03 use it.
    """
    requests = list(requests)
    encoded = [_encode(lm, i, *request) for i, request in enumerate(requests)]
    # One row of input serves every request that differs from it in the last token only, such as
    # the choices of a question when each choice is one token.
    rows: dict[tuple[int, ...], list[int]] = {}
    for i, (tokens, _) in enumerate(encoded):
        rows.setdefault(tokens[:-1], []).append(i)
    first = {row: len(row) - max(encoded[i][1] for i in rows[row]) for row in rows}
    result = np.empty(len(requests))
    with torch.inference_mode(), tqdm(total=len(rows), desc="score", leave=False) as bar:
        for batch, places, logits in _forward(lm, first):
            for row, scores in zip(batch, logits, strict=True):
                for i in rows[row]:
                    tokens, n = encoded[i]
                    at = [places[p] for p in range(len(row) - n, len(row))]
                    result[i] = _sum_of_logs(scores[at], tokens[-n:])
            bar.update(len(batch))
    return result


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
    pad = _first_token(lm)
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


def _forward(lm: LM, first: dict[tuple[int, ...], int]):
    """Yield batches of rows with the logits at the places that are needed.

    `first` gives, for each row, the first place whose logits are needed; all later ones are too.
    Yields (rows, index of each place among the logits, logits of shape (rows, places, vocabulary)).
    The tokens with which all rows begin are run once and kept as the attention's keys and values.
    """
    ordered = sorted(first, key=lambda row: (-len(row), row))
    shared = _common_prefix(ordered, min(first.values(), default=0))
    cache = None
    if len(ordered) > 1 and len(shared) >= _WORTH_SHARING:
        ids = torch.tensor([shared], device=lm.model.device)
        cache = lm.model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
    else:
        shared = ()
    for batch in _batches(ordered, len):
        places = sorted({p for row in batch for p in range(first[row], len(row))})
        # Padding stands on the right, where a causal model cannot see it: no mask is needed.
        ids = torch.zeros(len(batch), len(batch[0]) - len(shared), dtype=torch.long)
        for r, row in enumerate(batch):
            ids[r, : len(row) - len(shared)] = torch.tensor(row[len(shared) :])
        past = copy.deepcopy(cache)
        if past is not None:
            past.batch_repeat_interleave(len(batch))
        keep = torch.tensor(places, device=lm.model.device) - len(shared)
        output = lm.model(
            input_ids=ids.to(lm.model.device),
            past_key_values=past,
            use_cache=past is not None,
            logits_to_keep=keep,
        )
        yield batch, {p: k for k, p in enumerate(places)}, output.logits


def _encode(lm: LM, i: int, context: str, continuation: str) -> tuple[tuple[int, ...], int]:
    """Return a request's tokens, cut to the window, and how many of them are continuation."""
    if continuation == "":
        raise ValueError(f"request {i}: the continuation is empty, so there is nothing to score")
    stripped = context.rstrip()
    whole = context + continuation
    before = _tokenise(lm, stripped) if stripped else [_first_token(lm)]
    after = (
        _tokenise(lm, whole)[len(before) :]
        if stripped
        else lm.tokenizer.encode(whole, add_special_tokens=False)
    )
    if not stripped and after[0] == before[0]:
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
    return lm.tokenizer.encode(text, add_special_tokens=not begun)


def _first_token(lm: LM) -> int:
    bos, eos = lm.tokenizer.bos_token_id, lm.tokenizer.eos_token_id
    return eos if bos is None else bos


def _sum_of_logs(logits: torch.Tensor, tokens: tuple[int, ...]) -> float:
    logits = logits.cpu().double()
    target = torch.tensor(tokens).unsqueeze(-1)
    return (logits.gather(-1, target).squeeze(-1) - logits.logsumexp(-1)).sum().item()


def _common_prefix(rows: list[tuple[int, ...]], most: int) -> tuple[int, ...]:
    """Return the tokens with which all rows begin, at most the first `most`."""
    low, high = min(rows, default=()), max(rows, default=())
    n = 0
    while n < min(most, len(low)) and low[n] == high[n]:
        n += 1
    return low[:n]


def _batches(ordered: list, size):
    """Split `ordered`, longest first, into runs of at most ``_BATCH_TOKENS`` padded tokens."""
    start = 0
    while start < len(ordered):
        stop = start + max(1, _BATCH_TOKENS // max(1, size(ordered[start])))
        yield ordered[start:stop]
        start = stop
