"""What the results_*.json of lm-evaluation-harness say of a run, and whether its items agree."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from .logs_common import agrees, check_mean, read_json
from .logs_lm_eval_lines import Line, is_number


def results_beside(folder: Path, date: str) -> dict:
    """Return the results of the run of that date, or nothing if their file is not there."""
    files = sorted(folder.glob(f"*_{date}.json"))
    for file in files:
        results = read_json(file)
        if is_results(results):
            return results
    if files:
        raise ValueError(
            f"{str(files[0])!r} stands where lm_eval writes its results, but holds none ('results' "
            "with 'n-samples' or 'n-shot'): copy it anew, or move it away"
        )
    return {}


def is_results(found: dict) -> bool:
    """Return whether the object in a JSON file is what lm_eval writes into its results."""
    return isinstance(found.get("results"), dict) and bool(found.keys() & {"n-samples", "n-shot"})


def _in(found, *keys: str):
    """Return what stands under `keys`, or ``None`` where nothing does."""
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _number(found) -> float:
    """Return a number as it is, and nan for all else, such as "N/A"."""
    return float(found) if is_number(found) else math.nan


def described(results: dict, task: str, metric: str, n: int) -> dict[str, object]:
    """Return the columns that the results give to the n records of a task."""
    direction = _in(results, "higher_is_better", task, metric)
    return {
        "higher_is_better": _objects(direction if isinstance(direction, bool) else None, n),
        "group": _objects(_group(results, task), n),
        **_settings(results, task),
        "source": f"lm-eval {results.get('lm_eval_version') or ''}".strip(),
    }


def _objects(value, n: int) -> pd.Series:
    return pd.Series([value] * n, dtype=object)


def _group(results: dict, task: str) -> str | None:
    """Return the topmost group that holds the task."""
    groups = _in(results, "group_subtasks")
    parents = {
        child: group
        for group, children in (groups.items() if isinstance(groups, dict) else ())
        for child in (children if isinstance(children, list) else ())
        if isinstance(child, str)
    }
    found = None
    while task in parents:
        found = task = parents.pop(task)  # popped, so that a circle ends
    return found


def _settings(results: dict, task: str) -> dict[str, str]:
    """Return how the run was set up, as far as the results say so."""
    has_template = results.get("chat_template") is not None
    found = {
        "shots": ("n-shot", _in(results, "n-shot", task)),
        "version": ("versions", _in(results, "versions", task)),
        "chat_template": ("chat_template", "applied" if has_template else None),
        "multiturn": (
            "fewshot_as_multiturn",
            "yes" if results.get("fewshot_as_multiturn") else None,
        ),
        "system_instruction": ("system_instruction", results.get("system_instruction") or None),
        "gen_kwargs": ("config", _in(results, "config", "gen_kwargs") or None),
    }
    return {
        f"setting_{name}": "none" if value is None else str(value)
        for name, (key, value) in found.items()
        if key in results
    }


def system_in(results: dict, what: str) -> str:
    """Return the model's name in the results, with its revision if that is not the main one."""
    name = results.get("model_name")
    if not isinstance(name, str) or not name.strip():
        said = "names no model" if results else "is not beside it"
        raise ValueError(
            f"{what} does not say what was evaluated and its results_*.json {said}: put it there, "
            "or give system= (--names)"
        )
    arguments = _in(results, "config", "model_args")
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    revision = _in(results, "config", "model_revision") or _in(arguments, "revision")
    return name if revision in (None, "", "main") else f"{name}@{revision}"


def scores_of(lines: list[Line], metric: str, results: dict, task: str, what: str) -> np.ndarray:
    """Return each line's score, nan where it has none, if mean and count are as in the results."""
    scores = np.array([_score(line, metric, what) for line in lines], float)
    name = f"{metric},{lines[0].filter}"
    mean = _number(_in(results, "results", task, name))
    scores[_left_out(scores, mean, metric, what)] = math.nan
    there = scores[~np.isnan(scores)]
    n = _number(_in(results, "n-samples", task, "effective"))
    error = _number(_in(results, "results", task, f"{metric}_stderr,{lines[0].filter}"))
    all_there = math.isnan(n) or n == len(lines)
    # Later versions write "sample_len", and count what --samples chose.
    may_be_fewer = n > len(lines) and _in(results, "results", task, "sample_len") is None
    if not all_there and not (may_be_fewer and _were_chosen(lines, there, mean, error)):
        raise ValueError(
            f"{what} holds {len(lines):,} items, but the results beside it say {n:,.0f}: the file "
            "is truncated or of another run"
        )
    if not math.isnan(mean):
        advice = (
            "the files are of different runs, or the harness does not average this metric, such as "
            "a perplexity; then choose another one with --metric or metric="
        )
        check_mean(there, mean, what, advice)
    return scores


def _score(line: Line, metric: str, what: str) -> float:
    value = line.scores.get(metric)
    if value is None or isinstance(value, int | float):
        return _number(value)
    raise ValueError(
        f"{what}, line {line.number}: {metric!r} is {shown(value)}, not one number an item; choose "
        f"another metric of {', '.join(line.scores)} (--metric or metric=), or write the log anew"
    )


def shown(value) -> str:
    """Return a value of a log as it stands there, shortened."""
    text = repr(value)
    return text if len(text) < 60 else f"{text[:50]} …"


def _left_out(scores: np.ndarray, mean: float, metric: str, what: str) -> np.ndarray:
    """Return which scores of -1 the harness left out of its mean: all or none.

    RULER's tasks give a -1 for "not of this length" (lm_eval/tasks/ruler/common_utils.py).
    """
    ones, there = scores == -1, scores[~np.isnan(scores)]
    others = there[there != -1]
    if ones.any() and math.isnan(mean) and len(others) and 0 <= others.min() <= others.max() <= 1:
        raise ValueError(
            f"{what}: {int(ones.sum()):,} of {len(scores):,} items have {metric!r} -1, which is a "
            "score, or means that the item does not count; the mean in results_*.json tells: put "
            "that file beside this one"
        )
    fits = not agrees(there, mean) and agrees(others, mean)
    return ones if fits else np.zeros(len(scores), bool)


def _were_chosen(lines: list[Line], scores: np.ndarray, mean: float, error: float) -> bool:
    """Return whether ``--samples`` chose these items, and the file is whole.

    lm-eval 0.4.9 to 0.4.11 then count all items in their results. Standard error and mean tell
    how many there were, unless all scores are equal; but a truncated file begins with the first.
    """
    if math.isnan(mean) or not agrees(scores, mean):
        return False
    if error > 0:
        ours = scores.std(ddof=1) / math.sqrt(len(scores)) if len(scores) > 1 else math.nan
        return math.isclose(ours, error, rel_tol=1e-6)
    return [line.doc_id for line in lines] != list(range(len(lines)))
