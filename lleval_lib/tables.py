"""Find figures in a published table that no right and wrong answers can give.

The mean of n scores of 0 or 1 is k/n for a whole number k, and its standard error follows from k
and n. A printed mean that rounds from no k/n is the GRIM test's inconsistency (Brown & Heathers
2017, Social Psychological and Personality Science 8); a standard error that fits no such k is
GRIMMER's (Anaya 2016, PeerJ Preprints 4:e2400v1; solved in closed form by Allard 2018).
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from .logs_common import decoded, files_in, read_json
from .logs_lm_eval_lines import is_number
from .logs_lm_eval_results import is_results

# Metrics of lm-eval whose scores are 0 or 1 in most tasks.
_RIGHT_OR_WRONG = ("acc", "acc_norm", "acc_bytes", "exact_match", "prompt_level_strict_acc")
_NOISE = 1e-9  # of sums in floating point, where figures are given to the last digit


class _Printed(NamedTuple):
    """A printed figure: as a reason shows it, its value, and half a unit of its last digit."""

    text: str
    value: float
    half: float
    digits: int  # behind the point, as far as a reason shows them


def check_table(
    table: pd.DataFrame, *, decimals: int | None = None, percent: bool = False
) -> pd.DataFrame:
    """Return the rows of `table` that no n scores of 0 or 1 can give, each with the ``reason``.

    `table` has the columns ``score``, the mean of ``n`` scores, and where known ``se``, its
    standard error, s/√n with the divisor n - 1 or n in s; a row may lack it (missing or empty).
    Further columns are kept. How far a figure is rounded is read from its digits, which only texts
    keep: for numbers give the `decimals` that were printed, or what ended in 0 is taken for less
    exact than it is. `percent` says that scores and standard errors are percentages.

    A row that passes need not be right. One that fails is not 0 and 1 as described: there may be a
    misprint, another n, scores of parts, a mean of several samples an item, a figure that was cut
    and not rounded, or a standard error that is clustered or bootstrapped. A mean can only fail
    where it has digits enough to tell k/n from (k+1)/n.

    >>> table = pd.DataFrame({"score": ["27.2", "27.4"], "n": [124, 124]})
    >>> print(*check_table(table, percent=True).reason)
    no number of right answers out of 124 gives 27.2: 33 give 26.6, 34 give 27.4

    Raises ``ValueError`` for a missing column, an empty table, and a figure that is no number or an
    n that is no whole number above 0, naming its row.
    """
    for column in ("score", "n"):
        if column not in table.columns:
            there_are = ", ".join(map(str, table.columns)) or "none"
            raise ValueError(f"the table lacks the column {column!r}; there are: {there_are}")
    if table.empty:
        raise ValueError("the table has no rows: there is nothing to check")
    unit = 100 if percent else 1
    ses = table["se"] if "se" in table.columns else [None] * len(table)
    reasons = []
    for label, score, n, se in zip(table.index, table["score"], table["n"], ses, strict=True):
        what = f"row {label}"
        mean = _printed(score, f"score of {what}", decimals, unit)
        missing = se is None or se != se or str(se).strip() in ("", "N/A", "-")
        error = None if missing else _printed(se, f"se of {what}", decimals, unit)
        reasons.append(_reason(mean, error, _count(n, what), unit))
    found = table.assign(reason=reasons)
    return found[found.reason.notna()]


def _printed(figure, what: str, decimals: int | None, unit: int) -> _Printed:
    text = str(figure).strip()
    try:
        number = Decimal(text)
        if not number.is_finite():
            raise ValueError
        digits = -int(number.as_tuple().exponent) if decimals is None else decimals
    except (InvalidOperation, ValueError, TypeError) as error:
        raise ValueError(f"the {what} is {text!r}, not one number without a sign of %") from error
    text = text if digits <= 6 else f"{float(number):.6g}"
    return _Printed(text, float(number) / unit, 0.5 * 10.0**-digits / unit, min(digits, 6))


def _count(n, what: str) -> int:
    try:
        number = float(str(n).replace(",", ""))
    except ValueError:
        number = np.nan
    if number < 1 or not number.is_integer():
        raise ValueError(f"the n of {what} is {n!r}, not a whole number above 0")
    return int(number)


def _reason(mean: _Printed, se: _Printed | None, n: int, unit: int) -> str | None:
    """Return why no n scores of 0 or 1 have this mean and standard error, or nothing."""
    if not -mean.half <= mean.value <= 1 + mean.half:
        hint = "; is it in percent?" if unit == 1 and 1 < mean.value <= 100 else ""
        return f"{mean.text} is no mean of scores of 0 and 1{hint}"
    first = max(int(np.ceil((mean.value - mean.half) * n - _NOISE * n)), 0)
    last = min(int(np.floor((mean.value + mean.half) * n + _NOISE * n)), n)
    if first > last:
        near = [k for k in (last, first) if 0 <= k <= n]
        given = ", ".join(f"{k:,} give {unit * k / n:.{mean.digits}f}" for k in near)
        return f"no number of right answers out of {n:,} gives {mean.text}: {given}"
    if se is None:
        return None
    p = np.arange(first, last + 1) / n
    spread = np.sqrt(p * (1 - p))
    possible = np.concatenate([spread / np.sqrt(n), spread / np.sqrt(max(n - 1, 1))])
    if (np.abs(possible - se.value) <= se.half + _NOISE).any():
        return None
    ends = sorted({f"{unit * end:.3g}" for end in (possible.min(), possible.max())}, key=float)
    return (
        f"{n:,} scores of 0 or 1 with the mean {mean.text} have a standard error of "
        f"{' to '.join(ends)}, not {se.text}"
    )


def read_table(path: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Return a table for `check_table`, its rows named by where they stand, and what it leaves out.

    `path` is a CSV file, or results of lm-eval (``results_*.json``) or a folder that holds some at
    any depth. Of these, metrics whose scores need not be 0 or 1 and figures without n, such as
    those of groups, are left out. Raises ``ValueError`` naming the file.
    """
    path = Path(path)
    if path.suffix.lower() == ".csv":
        return _read_csv(path), []
    rows, left = {}, {}
    for file in [file for file in files_in(path) if file.suffix == ".json"]:
        results = read_json(file)
        if is_results(results):
            where = file.relative_to(path).as_posix() if path.is_dir() else file.name
            for name, metric, row in _figures(results):
                kept = metric in _RIGHT_OR_WRONG and row["n"] is not None
                (rows if kept else left)[f"{where}: {name}"] = row
    if not rows:
        raise ValueError(
            f"{str(path)!r} holds no figures to check: expected a .csv with the columns score, n "
            "and se, or results_*.json of lm-eval with accuracies"
        )
    return pd.DataFrame.from_dict(rows, orient="index"), list(left)


def _read_csv(path: Path) -> pd.DataFrame:
    text = decoded(path.read_bytes(), repr(str(path)))
    try:
        # As text, since only texts keep their zeros.
        table = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False, index_col=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{str(path)!r} is no CSV table: {error}") from error
    names = [c for c in table if c not in ("score", "se", "n")]
    labels = [", ".join([f"row {k + 1}", *row]) for k, row in enumerate(table[names].to_numpy())]
    return table.set_axis(labels)


def _figures(results: dict) -> Iterator[tuple[str, str, dict]]:
    """Yield the name, the metric and the row of each figure in results of lm-eval."""
    sizes = results.get("n-samples", {})
    for task, values in results["results"].items():
        for key, value in values.items():
            metric, _, filter_name = key.partition(",")
            if metric.endswith("_stderr") or not filter_name or not is_number(value):
                continue
            se = values.get(f"{metric}_stderr,{filter_name}")
            n = values.get("sample_len", sizes.get(task, {}).get("effective"))
            # The file has every digit, of which a number shows no zeros at the end.
            figures = {"score": f"{value:.15f}", "se": f"{se:.15f}" if is_number(se) else None}
            yield f"{task}, {key}", metric, {**figures, "n": n}
