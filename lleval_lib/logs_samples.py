"""Samples as items: what the readers of Inspect and of Every Eval Ever share.

A sample is one answer to an item, and an item has as many as it had epochs. Ids are no identity:
they may follow the position in a shuffled data set. So an item is known by its content.
"""

import hashlib
import json
import math
from collections import Counter

import numpy as np
import pandas as pd


def content_hash(text, choices, targets) -> str:
    """Return 16 hex digits by which items of the same input, choices and targets are the same."""
    content = json.dumps([text, list(choices or []), list(targets)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def items_of(samples: pd.DataFrame, what: str) -> pd.DataFrame:
    """Return one row an item, in the order of the samples.

    `samples` has the columns ``sample_id``, ``content`` (a hash), ``prediction`` and ``value``
    (nan where a sample has no score); further columns are those of an item's first sample. In the
    result ``item_id`` is the content, with the item's own id behind it where several items have
    the same; ``score`` is the mean of the item's values, nan if one is missing; ``scored_mean`` is
    the mean of those there are; ``n_samples`` is their number with the missing ones, and
    ``score_variance`` their variance with the divisor n - 1, nan for one sample.

    Raises ``ValueError`` naming `what` where items have different numbers of samples.
    """
    by_item = samples.groupby(["sample_id", "content"], sort=False)
    counts, values = by_item.size().to_numpy(), by_item.value
    items = samples.drop_duplicates(["sample_id", "content"]).reset_index(drop=True)
    if counts.min() < counts.max():
        few, most = items.sample_id[counts.argmin()], items.sample_id[counts.argmax()]
        raise ValueError(
            f"{what}: item {few!r} has {counts.min()} samples and {most!r} {counts.max()}; run the "
            "missing ones, or take the whole log"
        )
    whole = values.count().to_numpy() == counts
    scored_mean, variance = values.mean().to_numpy(), values.var().to_numpy()
    if counts.max() > 1:
        items["prediction"] = [Counter(said).most_common(1)[0][0] for _, said in by_item.prediction]
    own = items.content + ":" + items.sample_id
    return items.drop(columns="value").assign(
        item_id=items.content.mask(items.content.duplicated(keep=False), own),
        score=np.where(whole, scored_mean, math.nan),
        scored_mean=scored_mean,
        n_samples=counts,
        score_variance=np.where(whole, variance, math.nan),
    )


def require_scores(samples: pd.DataFrame, missing: str, what: str, advice: str) -> None:
    """Raise ``ValueError`` if `missing` is "refuse" and a sample has no value.

    The column ``why`` says why one has none.
    """
    if missing not in ("refuse", "keep"):
        raise ValueError(f"missing must be 'refuse' or 'keep', not {missing!r}")
    lost = samples[samples.value.isna()]
    if len(lost) and (missing == "refuse" or len(lost) == len(samples)):
        reasons = ", ".join(f"{n:,} {why}" for why, n in lost.why.value_counts().items())
        keep = "" if len(lost) == len(samples) else "; or keep them with missing= (--missing)"
        raise ValueError(
            f"{what}: {len(lost):,} of {len(samples):,} samples have no valid score, such as "
            f"{lost.sample_id.iloc[0]!r} ({reasons}); {advice}{keep}"
        )
