"""Orders within groups, and the additive part of a model."""

import numpy as np
import pytest

import lleval_lib as ll


def test_an_order_keeps_the_groups_and_every_item():
    rng = np.random.default_rng(0)
    for _ in range(50):
        groups = rng.integers(0, 5, rng.integers(1, 40))
        order = ll.permute_within(groups, rng=rng)
        assert sorted(order) == list(range(len(groups)))
        assert (groups[order] == groups).all()


def test_all_orders_are_equally_likely():
    rng = np.random.default_rng(1)
    orders = [tuple(ll.permute_within([7, 7, 7, 8], rng=rng)) for _ in range(6_000)]
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert np.abs(counts - 1_000).max() < 4 * np.sqrt(1_000 * 5 / 6)


def test_a_label_that_is_missing_is_refused():
    with pytest.raises(ValueError, match="missing"):
        ll.permute_within(["a", None, "a"])


def test_the_projection_is_the_nearest_sum():
    """Least squares on one column for each text and for each image, with the counts as weights."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        texts, images = rng.integers(2, 6, 2)
        table = rng.normal(size=(texts, images, 3))
        counts = rng.integers(1, 5, texts), rng.integers(1, 5, images)
        design = np.column_stack(
            [np.kron(np.eye(texts), np.ones((images, 1))), np.tile(np.eye(images), (texts, 1))]
        )
        root = np.sqrt(np.outer(*counts).ravel())[:, None]
        solved = np.linalg.lstsq(root * design, root * table.reshape(-1, 3), rcond=None)[0]
        nearest = (design @ solved).reshape(table.shape)
        assert ll.emap(table, *counts) == pytest.approx(nearest)


def test_counts_are_repetitions():
    table = np.random.default_rng(3).normal(size=(3, 2))
    whole = ll.emap(table[[0, 0, 1, 2]][:, [0, 1, 1]])
    assert ll.emap(table, [2, 1, 1], [1, 2]) == pytest.approx(whole[[0, 2, 3]][:, [0, 1]])


def test_a_sum_is_its_own_projection_and_xor_has_none():
    rng = np.random.default_rng(4)
    added = rng.normal(size=(4, 1, 2)) + rng.normal(size=(1, 5, 2))
    assert ll.emap(added) == pytest.approx(added)
    assert ll.emap([[1.0, -1.0], [-1.0, 1.0]]) == pytest.approx(np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([1.0, 2.0],), "logits"),
        ((np.zeros((0, 2)),), "logits"),
        (([[np.nan, 1.0]],), "logits"),
        (([[0.0, 1.0]], [1, 2]), "text_counts"),
        (([[0.0, 1.0]], [1], [-1, 2]), "image_counts"),
        (([[0.0, 1.0]], [0]), "text_counts"),
    ],
)
def test_emap_refuses(arguments, named):
    with pytest.raises(ValueError, match=named):
        ll.emap(*arguments)
