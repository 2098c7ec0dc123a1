"""The tree of prefixes gives what running each row alone gives, and runs each prefix once."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

import lleval_lib as ll
from lleval_lib import prefix_tree

WINDOW = 24


@cache
def tiny(kind):
    torch.manual_seed(0)
    if kind == "gpt2":
        config = GPT2Config(n_positions=WINDOW, n_embd=16, n_layer=2, n_head=2, vocab_size=50)
        model = GPT2LMHeadModel(config)
    elif kind == "bloom":
        config = BloomConfig(hidden_size=16, n_layer=2, n_head=2, vocab_size=50)
        model = BloomForCausalLM(config)
    else:
        classes = {
            "llama": (LlamaConfig, LlamaForCausalLM, {}),
            "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": 4}),
        }
        config, model, more = classes[kind]
        model = model(
            config(
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=WINDOW,
                vocab_size=50,
                **more,
            )
        )
    # Weights at their start make every next token alike; larger ones make contexts matter.
    for weights in model.parameters():
        weights.data *= 4
    return ll.LM(kind, model.eval().double(), None)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def lm(request):
    return tiny(request.param)


@st.composite
def rows(draw):
    """Rows that grow from each other: duplicates, prefixes of others, lengths up to the window."""
    words = st.integers(0, 3)
    grown = [()]
    for _ in range(draw(st.integers(1, 12))):
        trunk = draw(st.sampled_from(grown))
        trunk = trunk[: draw(st.integers(0, len(trunk)))]
        grown.append((trunk + tuple(draw(st.lists(words, max_size=10))))[: WINDOW + 1])
    usable = [row for row in grown if len(row) >= 2] or [(1, 2)]
    picked = draw(st.lists(st.sampled_from(usable), min_size=1, max_size=12))
    return [(row, draw(st.integers(1, len(row) - 1))) for row in picked]


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=rows(), pack=st.sampled_from([1, 2, 5, 16, 512]))
def test_equals_one_by_one(lm, rows, pack):
    plain = [prefix_tree.one_by_one(lm, *row) for row in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefix_tree, "_PACK", pack)
        assert prefix_tree.sum_of_logs(lm, rows) == pytest.approx(plain, abs=1e-9)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(rows=rows(), pack=st.sampled_from([1, 5, 16]))
def test_runs_each_prefix_once_in_bounded_memory(rows, pack):
    lm = tiny("llama")
    prefixes = {row[:k] for row, _ in rows for k in range(1, len(row))}
    seen, kept = [], []

    def spy(module, args, kwargs):
        depth = kwargs["position_ids"][0]
        seen.extend(depth.tolist())
        cache = kwargs["past_key_values"]
        kept.append(cache.get_seq_length() + len(depth))

    handle = lm.model.register_forward_pre_hook(spy, with_kwargs=True)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prefix_tree, "_PACK", pack)
            prefix_tree.sum_of_logs(lm, rows)
    finally:
        handle.remove()
    assert sorted(seen) == sorted(len(prefix) - 1 for prefix in prefixes)
    assert max(kept) <= WINDOW + pack


@pytest.mark.parametrize("kind", ["bloom", "mistral"])
def test_models_whose_layers_take_no_mask(kind):
    """ALiBi and sliding windows: the tree's mask would change what they see, so rows run alone."""
    lm = tiny(kind)
    rows = [((1, 2, 3, 4, 5, 6, 7, 8, 9), 2), ((1, 2, 3, 4, 5, 6, 7, 8, 3), 1)]
    alone = [prefix_tree.one_by_one(lm, *row) for row in rows]
    assert not prefix_tree._takes_a_mask(lm.model)
    assert prefix_tree.sum_of_logs(lm, rows) == pytest.approx(alone, abs=1e-9)


def test_one_by_one_is_the_definition():
    lm = tiny("llama")
    with torch.inference_mode():
        logs = lm.model(torch.tensor([[3, 1, 4]])).logits[0].log_softmax(-1)
    expected = logs[0, 1].item() + logs[1, 4].item()
    assert prefix_tree.one_by_one(lm, (3, 1, 4), 2) == pytest.approx(expected)
    assert np.isclose(logs[0].exp().sum(), 1)


def test_tree_of_many_long_rows():
    """One trunk, 80 branches, 4,000 twigs."""
    trunk = tuple(np.random.default_rng(0).integers(0, 50, 1_500))
    rows = [((*trunk, *divmod(i, 50), 1), 1) for i in range(4_000)]
    assert len(prefix_tree.build(rows).tokens) == 1_500 + 80 + 4_000
