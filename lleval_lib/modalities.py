"""What an answer takes from each modality: permuted inputs, and the additive part of a model."""

import numpy as np
from numpy.typing import ArrayLike

from .inputs import Rng, as_floats, cluster_numbers, generator


def permute_within(labels: ArrayLike, *, rng: Rng = None) -> np.ndarray:
    """Return an order of the items in which each place keeps its label, its group.

    Ablation by permutation: ``rows[permute_within(question)]`` gives each question the image of
    another item with the same question, so that every input is a real one and only the pairing is
    lost (Breiman 2001, "Random Forests", section 10, within groups). All orders within the groups
    are equally likely, so an item may keep its own; a group of one always does.

    >>> permute_within(["a", "b", "a", "a", "b"], rng=1).tolist()
    [2, 4, 0, 3, 1]

    Raises ``ValueError`` for missing labels.
    """
    labels = np.asarray(labels)
    numbers = cluster_numbers(labels, len(labels))
    # Sorted by group, at random within it: the items, and the places where they go.
    shuffled = np.lexsort((generator(rng).random(len(numbers)), numbers))
    order = np.empty(len(numbers), dtype=int)
    order[np.argsort(numbers, kind="stable")] = shuffled
    return order


def emap(
    logits: ArrayLike, text_counts: ArrayLike | None = None, image_counts: ArrayLike | None = None
) -> np.ndarray:
    """Return the additive part of a model: what it can say without combining the two inputs.

    `logits` has shape (texts, images) or (texts, images, outputs): the model's answer to *every*
    text about every image. The result, of the same shape, is the sum f(t) + g(v) that is nearest to
    it in mean square: row mean + column mean - mean. Texts and images that occur several times in
    the data are counted by `text_counts` and `image_counts`. What accuracy it loses against the
    model says how this model computes, on this scale; what combining is worth on the task is the
    gain over a model *trained* to be additive, which may be far less.

    (Hessel & Lee 2020, "Does my multimodal model learn cross-modal interactions? It's harder to
    tell than you might think!", the empirical multimodally-additive projection; chapter 05.)

    >>> emap([[0.0, 1.0], [2.0, 3.0]]).tolist(), emap([[0.0, 1.0], [1.0, 0.0]]).tolist()
    ([[0.0, 1.0], [2.0, 3.0]], [[0.5, 0.5], [0.5, 0.5]])

    Raises ``ValueError`` for another shape, and for counts of another number or below 0.
    """
    table = as_floats(logits, "logits")
    if table.ndim not in (2, 3) or 0 in table.shape:
        raise ValueError(
            f"logits: expected a value for every text and image, shape (texts, images) or (texts, "
            f"images, outputs), found {table.shape}"
        )
    if not np.isfinite(table).all():
        raise ValueError("logits: some are missing or infinite; ask the model about every pair")
    rows = np.average(table, 0, _counts(text_counts, table.shape[0], "text_counts"))
    columns = np.average(table, 1, _counts(image_counts, table.shape[1], "image_counts"))
    mean = np.average(rows, 0, _counts(image_counts, table.shape[1], "image_counts"))
    return rows[None] + columns[:, None] - mean


def _counts(counts, n, argument):
    if counts is None:
        return None
    counts = as_floats(counts, argument)
    if counts.shape != (n,) or not (counts >= 0).all() or not 0 < counts.sum() < np.inf:
        raise ValueError(
            f"{argument}: expected {n} numbers, one for each row or column of logits, not negative "
            f"and not all 0, found {counts.tolist()[:5]} with shape {counts.shape}"
        )
    return counts
