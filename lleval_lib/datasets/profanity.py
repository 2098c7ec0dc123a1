"""profanity-check: a small classifier of offensive sentences that is in public use."""

import io
import warnings
from collections.abc import Callable

import numpy as np

from ..fetching import read_members


def load_profanity_check() -> Callable[[list[str]], np.ndarray]:
    """Return a function that gives each text of a list its probability of being offensive.

    It is a linear model of the single words of a text, without common English words such as "the",
    whose scores were turned into probabilities: the order of words does not matter.

    >>> load_profanity_check()(["I am a teacher."]).round(2)
    array([0.05])

    Source: Zhou (2019), profanity-check, as it lies in alt-profanity-check 1.6.1 (Mistriotis,
    Kotoglou et al.), MIT. That package asks for one version of scikit-learn, so its model is read
    without it.
    """
    import joblib
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings():
        # Made by scikit-learn 1.6.1, and checked to give the same probabilities under 1.9.1.
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        model, vectorizer = (
            joblib.load(io.BytesIO(packed)) for packed in read_members("profanity-check").values()
        )

    def probability(texts: list[str]) -> np.ndarray:
        if isinstance(texts, str):
            raise TypeError("give a list of texts, not one text")
        return model.predict_proba(vectorizer.transform(texts))[:, 1]

    return probability
