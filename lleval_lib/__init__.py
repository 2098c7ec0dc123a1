"""The helper library of the book *Evaluating Large Language Models, from theory to practice*.

``import lleval_lib as ll`` gives every public name below. Each module holds one idea:

``catalogue``, ``fetching``, ``data``    what the book downloads, checked, as tidy tables
``models``, ``scoring``, ``tasks``       language models, log-likelihoods, tasks
``records``, ``recorded``                one row per (system, item), live or recorded
``stats``, ``plots``, ``exercises``      intervals and comparisons, figures, self-checks
"""

import warnings
from importlib import import_module

# transformers asks tqdm for a widget; where there is none, a plain bar does, and needs no warning.
warnings.filterwarnings("ignore", message="IProgress not found")

_MODULE_OF = {
    name: module
    for module, names in {
        "data": "load_reviews load_easy_vqa load_mmlu_dev load_aclsum load_alpaca_eval "
        "load_alpaca_judges",
        "exercises": "check",
        "fetching": "fetch",
        "models": "LM Encoder load_lm load_encoder embed",
        "plots": "use_style forest BLUE ORANGE GREEN RED PURPLE GREY",
        "recorded": "review_task",
        "records": "load_records read_records write_records validate_records",
        "scoring": "loglikelihood generate",
        "stats": "Interval Comparison mean_interval compare",
        "tasks": "Task evaluate with_shots",
    }.items()
    for name in names.split()
}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    # Modules load at first use, so that a chapter without a model does not wait for PyTorch.
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__():
    return __all__
