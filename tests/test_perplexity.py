"""Sliding windows score each token once, as the harness does; bits per byte is a code length."""

import math

import numpy as np
import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

import lleval_lib as ll
from lleval_lib.prefix_tree import one_by_one

TEXTS = [
    "The film begins well, loses its way in the second half, and ends before anyone minds. "
    "Its two actors are better than what they are given to say.",
    "影片开头很好后半段迷失了方向。",
    "Yes.",
]


@pytest.fixture(scope="module")
def lm():
    return ll.load_lm()


@pytest.mark.slow
@pytest.mark.parametrize("window", [8, 16])
def test_equals_the_harness(lm, window):
    """HFLM takes steps of a whole window; its sums are rounded to 32 bits."""
    model = HFLM(pretrained=lm.model, tokenizer=lm.tokenizer, max_length=window, batch_size=4)
    instances = [Instance("loglikelihood_rolling", {}, (t,), i) for i, t in enumerate(TEXTS)]
    theirs = model.loglikelihood_rolling(instances, disable_tqdm=True)
    ours = ll.rolling_loglikelihood(lm, TEXTS, window=window, stride=window)
    assert ours == pytest.approx(theirs, abs=1e-3)


@pytest.mark.slow
def test_one_window_is_the_loglikelihood(lm):
    plain = ll.loglikelihood(lm, [("", text) for text in TEXTS])
    assert ll.rolling_loglikelihood(lm, TEXTS) == pytest.approx(plain, abs=1e-3)


@pytest.mark.slow
def test_stride_by_hand(lm):
    """Window 8, stride 3: 8 tokens at once, then 3 at a time, each given what fits before."""
    text = TEXTS[0]
    tokens = (lm.tokenizer.bos_token_id, *lm.tokenizer.encode(text, add_special_tokens=False))
    total, stop = one_by_one(lm, tokens[:9], 8), 9
    while stop < len(tokens):
        new = min(3, len(tokens) - stop)
        stop += new
        total += one_by_one(lm, tokens[stop - 9 : stop], new)
    ours = ll.rolling_loglikelihood(lm, [text], window=8, stride=3)
    assert ours == pytest.approx([total], abs=1e-3)


@pytest.mark.slow
def test_more_context_makes_text_more_likely(lm):
    narrow, wide, whole = (
        ll.rolling_loglikelihood(lm, TEXTS[:1], window=w, stride=s)[0]
        for w, s in ((8, 8), (8, 1), (2_048, 1_024))
    )
    assert narrow < wide < whole


@pytest.mark.slow
def test_unusable(lm):
    with pytest.raises(ValueError, match="text 1 has no tokens"):
        ll.rolling_loglikelihood(lm, ["a", ""])
    with pytest.raises(ValueError, match="window= must lie between 1 and"):
        ll.rolling_loglikelihood(lm, ["a"], window=10_000_000)
    with pytest.raises(ValueError, match="stride= must lie between 1 and the window, 8, not 9"):
        ll.rolling_loglikelihood(lm, ["a"], window=8, stride=9)
    assert ll.rolling_loglikelihood(lm, []).shape == (0,)


def test_bits_per_byte():
    """A uniform model over bytes needs 8 bits for each, in any script."""
    texts = ["plain", "电影", "é"]
    uniform = [-len(t.encode()) * math.log(256) for t in texts]
    assert ll.bits_per_byte(uniform, texts) == pytest.approx([8, 8, 8])
    with pytest.raises(ValueError, match="text 1 is empty"):
        ll.bits_per_byte([-1, -1], ["a", ""])
    with pytest.raises(ValueError, match=r"logliks has shape \(1,\), but there are 2 texts"):
        ll.bits_per_byte([-1], ["a", "b"])


@pytest.mark.slow
def test_bits_per_byte_is_kraft_consistent(lm):
    """Over all next tokens the code lengths satisfy Kraft's inequality: sum of 2^-bits <= 1."""
    words = [" a", " the", " one", " his", " in", " not", " good", " bad"]
    logs = ll.loglikelihood(lm, [("It was", w) for w in words])
    bits = ll.bits_per_byte(logs, words) * [len(w) for w in words]
    assert 0 < np.sum(2.0**-bits) <= 1


@pytest.mark.parametrize(
    ("logliks", "texts", "message"),
    [
        ([np.nan], ["a"], "logliks: 1 of 1 values are missing"),
        ([-1.0, 2.0], ["a", "b"], "logliks: 2 at place 1 is above 0, .* give ln P"),
        ([-1.0, -2.0], "ab", "texts must be a list of texts, not one"),
        ([-1.0], [None], "texts must be texts, but one is None"),
    ],
)
def test_what_has_no_bits_per_byte(logliks, texts, message):
    with pytest.raises(ValueError, match=message):
        ll.bits_per_byte(logliks, texts)
