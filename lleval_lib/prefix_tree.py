"""Run each distinct prefix of tokens through a causal model once.

Rows of tokens form a tree: the examples of a few-shot prompt are its trunk, the context of a
question is a branch, each continuation a twig. The tree is walked depth first and cut into packs
of tokens. In the forward pass over a pack, the attention mask lets each token see its own
ancestors and nothing else; ancestors that earlier packs have run are kept as keys and values. So
no token is run twice and none is padding, and memory is bounded by one window and one pack,
however many rows there are. Masking a tree is due to SpecInfer (Miao et al. 2024,
arXiv:2305.09781), keeping the prefixes of a tree to SGLang (Zheng et al. 2024, arXiv:2312.07104).
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from tqdm import tqdm
from transformers import DynamicCache

from .models import LM

# Tokens of a row, and how many of the last are scored.
Row = tuple[tuple[int, ...], int]

# On two processor cores longer packs run no faster, and attend to more strangers' tokens.
_PACK = 512


@dataclass(frozen=True)
class Tree:
    """The distinct prefixes of some rows of tokens; a node is a prefix, numbered depth first.

    ``tokens[x]`` is the last token of node x and ``depth[x]`` the number of tokens before it.
    Branch b is the run of nodes from ``starts[b]`` to the next start, each the parent of the one
    after it; its first node grows from node ``parents[b]`` (-1: from nothing). ``reads[x]`` lists
    what is asked at node x: pairs of a row's index and the token whose probability it needs.
    """

    tokens: list[int] = field(default_factory=list)
    depth: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    reads: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))


def sum_of_logs(lm: LM, rows: Sequence[Row]) -> np.ndarray:
    """Return for each row the sum of ln P of its last tokens given those before, float64, in nats.

    `rows` is a sequence of (tokens, n): a tuple of token numbers, at most one more than the
    model's window, of which the last n are scored. A model whose layers do not all take a mask
    (sliding windows, recurrences, ALiBi) is run row by row instead.
    """
    with torch.inference_mode():
        if not _takes_a_mask(lm.model):
            bar = tqdm(rows, desc="score", unit="row", leave=False)
            return np.array([one_by_one(lm, *row) for row in bar], dtype=float)
        result = np.zeros(len(rows))
        tree = build(rows)
        with tqdm(total=len(tree.tokens), desc="score", unit="token", leave=False) as bar:
            for size, nodes, logits in _packs(lm.model, tree):
                asked = [(k, *read) for k, node in enumerate(nodes) for read in tree.reads[node]]
                if asked:
                    lines, of_row, targets = zip(*asked, strict=True)
                    np.add.at(result, list(of_row), _logs(logits, list(lines), list(targets)))
                bar.update(size)
    return result


def one_by_one(lm: LM, tokens: tuple[int, ...], n: int) -> float:
    """Return the sum of ln P of the last n of `tokens`, the plain way: one row, one pass."""
    with torch.inference_mode():
        ids = torch.tensor([tokens[:-1]], device=lm.model.device)
        logits = lm.model(input_ids=ids, use_cache=False).logits[0, -n:]
    return float(_logs(logits, list(range(n)), list(tokens[-n:])).sum())


def build(rows: Sequence[Row]) -> Tree:
    """Return the tree of the rows' prefixes, each row's last token excepted: it is only asked for.

    >>> build([((5, 6, 7), 1), ((5, 6, 8), 1), ((5, 9, 7), 2)]).tokens
    [5, 6, 9]
    """
    tree = Tree()
    path: list[int] = []
    before: tuple[int, ...] = ()
    # In sorted order a row shares its longest prefix with the row just before it.
    for i in sorted(range(len(rows)), key=lambda i: rows[i][0][:-1]):
        tokens, n = rows[i]
        row = tokens[:-1]
        shared = _shared(before, row)
        if shared < len(row):
            tree.starts.append(len(tree.tokens))
            tree.parents.append(path[shared - 1] if shared else -1)
            del path[shared:]
            path.extend(range(len(tree.tokens), len(tree.tokens) + len(row) - shared))
            tree.tokens.extend(row[shared:])
            tree.depth.extend(range(shared, len(row)))
        for place in range(len(row) - n, len(row)):
            tree.reads[path[place]].append((i, tokens[place + 1]))
        before = row
    return tree


def _packs(model, tree: Tree):
    """Yield (number of tokens run, nodes that are asked, their logits), pack by pack."""
    cache = DynamicCache()
    for start in range(0, len(tree.tokens), _PACK):
        stop = min(start + _PACK, len(tree.tokens))
        mask = _ancestors(tree, start, stop)
        nodes = [x for x in range(start, stop) if x in tree.reads]
        output = model(
            input_ids=torch.tensor([tree.tokens[start:stop]], device=model.device),
            position_ids=torch.tensor([tree.depth[start:stop]], device=model.device),
            attention_mask=_additive(mask, model)[None, None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=torch.tensor(nodes or [stop - 1], device=model.device) - start,
        )
        yield stop - start, nodes, output.logits[0, : len(nodes)]
        if stop < len(tree.tokens):
            _prune(cache, _kept(tree, mask, start, stop))


def _ancestors(tree: Tree, start: int, stop: int) -> torch.Tensor:
    """Return which keys each node from start to stop may see: (nodes, kept + nodes), bool.

    The kept keys are the ancestors of node `start`, in order. Depth first, an ancestor of a later
    node that lies before `start` is an ancestor of `start` too, so these serve the whole pack.
    """
    kept = tree.depth[start]
    mask = torch.zeros(stop - start, kept + stop - start, dtype=torch.bool)
    first = bisect_left(tree.starts, start + 1)
    last = bisect_left(tree.starts, stop)
    edges = [start, *tree.starts[first:last], stop]
    for (x, end), parent in zip(
        pairwise(edges), [start - 1, *tree.parents[first:last]], strict=True
    ):
        rows = slice(x - start, end - start)
        if parent >= start:
            mask[rows] = mask[parent - start]
        else:
            mask[rows, : tree.depth[x]] = True
        mask[rows, kept + x - start : kept + end - start].fill_(True).tril_()
    return mask


def _kept(tree: Tree, mask: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """Return which of the keys that a pack has seen or made are ancestors of the node after it."""
    branch = bisect_left(tree.starts, stop)
    begins = branch < len(tree.starts) and tree.starts[branch] == stop
    parent = tree.parents[branch] if begins else stop - 1
    if parent >= start:
        return mask[parent - start].nonzero().squeeze(-1)
    return torch.arange(tree.depth[stop])


def _prune(cache: DynamicCache, kept: torch.Tensor) -> None:
    for layer in cache.layers:
        at = kept.to(layer.keys.device)
        layer.keys, layer.values = layer.keys[:, :, at], layer.values[:, :, at]


def _additive(mask: torch.Tensor, model) -> torch.Tensor:
    low = torch.finfo(model.dtype).min
    zeros = torch.zeros(mask.shape, dtype=model.dtype, device=model.device)
    return zeros.masked_fill_(~mask.to(model.device), low)


def _logs(logits: torch.Tensor, lines: list[int], targets: list[int]) -> np.ndarray:
    """Return ln softmax of the rows `lines` of `logits` at `targets`, one each."""
    # Some lines at a time: in 64 bits a large vocabulary takes much memory.
    totals = torch.cat([part.double().logsumexp(-1) for part in logits.split(64)])
    return (logits[lines, targets].double() - totals[lines]).cpu().numpy()


def _shared(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Return how many tokens a and b have in common at the beginning."""
    # Comparing slices is done in C: a loop over tokens would take longer than the model.
    return bisect_left(
        range(min(len(a), len(b))), True, key=lambda place: a[: place + 1] != b[: place + 1]
    )


def _takes_a_mask(model) -> bool:
    config = model.config
    layers = set(getattr(config, "layer_types", None) or [])
    slides = "sliding_attention" in layers or (
        not layers and getattr(config, "sliding_window", None)
    )
    return model._supports_attention_backend and not slides and layers <= {"full_attention"}
