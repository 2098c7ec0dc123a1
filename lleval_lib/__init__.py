"""The helper library of the book *Evaluating Large Language Models, from theory to practice*.

``import lleval_lib as ll`` gives every public name below. Each module holds one idea:

``catalogue``, ``fetching``, ``data``    what the book downloads, checked, as tidy tables
``models``, ``scoring``, ``tasks``       language models, log-likelihoods, tasks
``records``, ``recorded``                one row per (system, item), live or recorded
``logs``, ``report``                     logs of other tools; comparison of systems in one call
``stats``                                intervals of means and paired comparisons, clustered
``proportions``, ``bootstrap``           intervals for small samples and for any statistic
``pairs``, ``many``                      further tests for two systems; many systems at once
``planning``, ``crossval``, ``online``   how many items; cross-validation; tests on users
``perplexity``                           the likelihood of long texts, bits per byte
``plots``, ``exercises``                 figures, self-checks
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
        "bootstrap": "bootstrap_interval",
        "crossval": "corrected_resampled_t",
        "exercises": "check",
        "fetching": "fetch",
        "logs_inspect": "read_inspect",
        "logs_lm_eval": "read_lm_eval",
        "many": "compare_all friedman_test nemenyi_difference rank_intervals",
        "models": "LM Encoder load_lm load_encoder embed",
        "online": "sample_ratio_test group_difference cuped group_sequential_bounds peeking_error "
        "confidence_sequence",
        "pairs": "mcnemar_test permutation_test wilcoxon_test equivalence_test "
        "noninferiority_test effect_sizes",
        "perplexity": "rolling_loglikelihood bits_per_byte",
        "planning": "power sample_size minimum_detectable_effect design_errors "
        "accuracy_power variance_parts",
        "plots": "use_style forest decision_heatmap BLUE ORANGE GREEN RED PURPLE GREY",
        "proportions": "proportion_interval",
        "recorded": "review_task",
        "records": "load_records read_records write_records validate_records",
        "report": "comparison_report",
        "scoring": "loglikelihood generate",
        "stats": "Interval Comparison Test mean_interval compare macro_interval",
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
