"""CIDEr-D, against its authors' code and by what it must do."""

import numpy as np
import pytest

import lleval_lib as ll

SAID = [
    "a red circle",
    "a red square",
    "green triangle on a plain background",
    "a red circle a red circle",
]
KNOWN = [
    ["a red circle", "one red circle", "there is a red circle"],
    ["a blue square", "the blue square", "a square that is blue"],
    ["a green triangle", "there is a green triangle", "green triangle"],
    ["a red circle", "the picture shows a red circle", "red"],
]


def test_the_value_of_the_authors_code():
    """CiderScorer(n=4, sigma=6.0) of pycocoevalcap 1.2, each word split by a space."""
    expected = [4.74980707, 1.42813577, 2.13599603, 1.46140604]
    assert ll.cider_d(SAID, KNOWN) == pytest.approx(expected, abs=1e-8)


def test_a_reference_itself_has_ten():
    texts = ["one two three four five", "six seven eight nine ten"]
    assert ll.cider_d(texts, [[text] for text in texts]) == pytest.approx(10)


def test_order_of_references_case_and_punctuation_do_not_count():
    other = [[text.upper() + "." for text in reversed(texts)] for texts in KNOWN]
    assert np.allclose(ll.cider_d(SAID, KNOWN), ll.cider_d(SAID, other))


def test_longer_captions_pay():
    longer = [text + " in this picture as one can see here" for text in SAID]
    assert (ll.cider_d(longer, KNOWN) < ll.cider_d(SAID, KNOWN)).all()


def test_one_item_has_no_rare_words():
    assert ll.cider_d(["a red circle"], [["a red circle"]]).tolist() == [0]
    assert ll.cider_d([""], [["a red circle"]]).tolist() == [0]
    assert ll.cider_d([], []).tolist() == []


def test_chinese_needs_its_words_apart():
    apart = [["一个 红色 的 圆"], ["蓝色 方块"]]
    joined = [[text.replace(" ", "") for text in texts] for texts in apart]
    assert ll.cider_d(["红色 的 圆", "蓝色 圆"], apart).min() > 0
    assert ll.cider_d(["红色的圆", "蓝色圆"], joined).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((["a"], [["a"], ["b"]]), "references: expected a list of captions for each of 1"),
        (("ab", [["a"], ["b"]]), "references: expected a list of captions"),
        ((["a"], ["a"]), "references: item 0 needs a list"),
        ((["a"], [[]]), "references: item 0 needs a list"),
        (([None], [["a"]]), "candidate 0: expected text, found None"),
        ((["a"], [[3]]), "a reference of item 0: expected text, found 3"),
    ],
)
def test_bad_input(arguments, said):
    with pytest.raises(ValueError, match=said):
        ll.cider_d(*arguments)


@pytest.mark.parametrize("more", [{"max_order": 0}, {"sigma": 0}])
def test_bad_settings(more):
    with pytest.raises(ValueError, match=next(iter(more))):
        ll.cider_d(SAID, KNOWN, **more)
