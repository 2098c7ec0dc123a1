"""Log-likelihoods equal the harness's; no result depends on how requests are batched."""

import logging

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import lleval_lib as ll

pytestmark = pytest.mark.slow

CHAT = "<|im_start|>user\nIs it good?<|im_end|>\n<|im_start|>assistant\n"
SHOTS = "Review: A joy from start to end.\nSentiment: positive\n\n" * 3

REQUESTS = {
    "one token": [("The capital of France is", " Paris"), ("The capital of France is", " Rome")],
    "many tokens": [("Once upon a time", " there was a small model that could count to ten.")],
    "empty context": [("", "Hello world"), ("", " Hello"), ("", "<|im_start|>user")],
    "space at the end of the context": [("The answer is ", "yes"), ("The answer is  ", "no")],
    "merges across the boundary": [("un", "believable"), ("1 + 1 = 2", "2"), ("Is it", "s name")],
    "mixed lengths": [("word " * n, " end") for n in (1, 7, 60, 300)],
    "other scripts": [("日本", "語です。"), ("Ça va très", " bien, merci 🙂")],
    "chat": [(CHAT, "yes"), (CHAT, "No, it is not.")],
    "shared prefix": [
        (f"{SHOTS}Review: {t}\nSentiment:", c)
        for t in ("Dull.", "Fine work, this.")
        for c in (" positive", " negative", " not very good")
    ],
}
EVERYTHING = [request for requests in REQUESTS.values() for request in requests]


@pytest.fixture(scope="module")
def lm():
    return ll.load_lm()


@pytest.fixture(scope="module")
def encoder():
    return ll.load_encoder()


@pytest.fixture(scope="module")
def lm64():
    """The model in 64-bit arithmetic, in which rounding cannot hide a difference of rules."""
    lm = ll.load_lm()
    lm.model.double()
    return lm


def harness(lm, requests):
    """Score requests with lm-evaluation-harness."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    hflm = HFLM(pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=1)
    asked = [Instance("loglikelihood", {}, r, i) for i, r in enumerate(requests)]
    return np.array([value for value, _ in hflm.loglikelihood(asked, disable_tqdm=True)])


@pytest.fixture(scope="module")
def exact(lm64):
    """What the harness gives for `EVERYTHING` in 64-bit arithmetic: scored once for all tests."""
    return harness(lm64, EVERYTHING)


@pytest.mark.parametrize("kind", REQUESTS)
def test_equals_the_harness(lm64, exact, kind):
    expected = exact[[EVERYTHING.index(request) for request in REQUESTS[kind]]]
    assert ll.loglikelihood(lm64, REQUESTS[kind]) == pytest.approx(expected, abs=1e-6)


def test_together_equals_the_harness(lm64, exact):
    """All kinds in one call, in another order."""
    order = np.random.default_rng(0).permutation(len(EVERYTHING))
    shuffled = ll.loglikelihood(lm64, [EVERYTHING[i] for i in order])
    assert shuffled == pytest.approx(exact[order], abs=1e-6)


def test_equals_the_harness_in_32_bits(lm, exact):
    """Rounding moves the harness itself by as much when only its batch size changes."""
    ours, theirs = ll.loglikelihood(lm, EVERYTHING), harness(lm, EVERYTHING)
    assert ours == pytest.approx(theirs, abs=5e-4)
    assert abs(ours - exact).max() < 2 * abs(theirs - exact).max() + 1e-4


def test_duplicates_and_nothing(lm):
    once = ll.loglikelihood(lm, [("One, two,", " three")])
    assert ll.loglikelihood(lm, [("One, two,", " three")] * 3) == pytest.approx([once[0]] * 3)
    assert ll.loglikelihood(lm, []).shape == (0,)


def test_chain_rule(lm):
    """The definition: the whole's logarithm is the sum of its parts'."""
    whole = ll.loglikelihood(lm, [("The cat", " sat on the mat")])[0]
    parts = [
        ("The cat", " sat"),
        ("The cat sat", " on"),
        ("The cat sat on", " the"),
        ("The cat sat on the", " mat"),
    ]
    assert whole == pytest.approx(ll.loglikelihood(lm, parts).sum(), abs=1e-4)


def test_probabilities_sum_to_one(lm):
    """Over the whole vocabulary the next token's probabilities sum to one."""
    words = lm.tokenizer.convert_ids_to_tokens(range(len(lm.tokenizer)))
    plain = [w.replace("Ġ", " ") for w in words if w.isascii() or w.startswith("Ġ")]
    single = [w for w in plain if len(lm.tokenizer.encode(" is" + w)) == 2 and w.startswith(" ")]
    total = np.exp(ll.loglikelihood(lm, [("The capital of France is", w) for w in single])).sum()
    assert 0.9 < total <= 1.0 + 1e-6


def test_window(lm):
    """A context longer than the window loses its beginning, as in the harness."""
    small = GPT2LMHeadModel(
        GPT2Config(n_positions=16, n_embd=32, n_layer=2, n_head=2, vocab_size=len(lm.tokenizer))
    ).eval()
    tiny = ll.LM("tiny", small, lm.tokenizer)
    # " sat" is one token: the window of 16 holds 15 words of context and not the one before them.
    long = ll.loglikelihood(tiny, [("zebra" + " cat" * 40, " sat"), ("lion" + " cat" * 40, " sat")])
    assert long[0] == long[1]
    with pytest.raises(ValueError, match=r"request 0: the continuation has \d+ tokens, the window"):
        ll.loglikelihood(tiny, [("A", " cat" * 40)])


@pytest.mark.parametrize(
    ("request_", "message"),
    [(("A", ""), "request 1: the continuation is empty"), (("the", "m"), "melts into")],
)
def test_unusable_requests(lm, request_, message):
    with pytest.raises(ValueError, match=message):
        ll.loglikelihood(lm, [("A", " b"), request_])


def test_generate(lm):
    prompts = ["The capital of France is", "One, two, three, four,", CHAT]
    together = ll.generate(lm, prompts, max_new_tokens=6)
    assert together == [ll.generate(lm, [p], max_new_tokens=6)[0] for p in prompts]
    assert "Paris" in together[0]
    assert together[1].startswith(" five")
    assert ll.generate(lm, []) == []
    with pytest.raises(ValueError, match="prompt 1 is empty"):
        ll.generate(lm, ["Hello", ""])


def test_generated_token_is_the_most_likely(lm):
    """Greedy generation and likelihood are two views of one model."""
    prompt = "The capital of France is"
    written = ll.generate(lm, [prompt], max_new_tokens=1)[0]
    others = [" a", " the", " London", " Rome", " not"]
    scores = ll.loglikelihood(lm, [(prompt, word) for word in [written, *others]])
    assert scores.argmax() == 0


TEXTS = [
    "A masterpiece: the best film of the year.",
    "This movie is wonderful, one of the year's finest.",
    "The central bank raised interest rates by a quarter of a point.",
    "Dull.",
    "word " * 400,
    "",
]


def test_embed(encoder):
    vectors = ll.embed(encoder, TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)
    praise, more_praise, bank = vectors[:3]
    assert praise @ more_praise > 0.5 > 0.2 > praise @ bank


def test_embed_does_not_depend_on_the_batch(encoder):
    vectors = ll.embed(encoder, TEXTS)
    alone = np.concatenate([ll.embed(encoder, [text]) for text in TEXTS])
    assert vectors == pytest.approx(alone, abs=1e-5)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = ll.embed(encoder, [TEXTS[i] for i in order], batch_size=2)
    assert shuffled == pytest.approx(vectors[order], abs=1e-5)
    assert ll.embed(encoder, []).shape == (0, 384)


def test_embed_is_the_mean_of_the_last_layer(encoder):
    """The definition, on one text: no padding, all tokens count."""
    inputs = encoder.processor(TEXTS[0], return_tensors="pt").to(encoder.model.device)
    with torch.inference_mode():
        mean = encoder.model(**inputs).last_hidden_state[0].mean(0)
    assert ll.embed(encoder, TEXTS[:1])[0] == pytest.approx(
        (mean / mean.norm()).cpu().numpy(), abs=1e-6
    )
    # Past 256 tokens a text is cut.
    long, longer = ll.embed(encoder, ["word " * 400, "word " * 400 + "other words"])
    assert long == pytest.approx(longer, abs=1e-6)
