"""The book's look for figures, and the plot that it draws most: estimates with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from .results import table as table_of

# Okabe & Ito's palette (2008, "Color universal design") keeps apart for colour-blind readers.
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#6B7280",
)

WIDTH = 5.4  # inches: 10 points are then 9 pixels on a phone, and a page is wide enough


def use_style() -> None:
    """Set the book's style for every figure that follows: size, palette, no needless lines.

    Figures are 5.4 inches wide, so that their type of 10.5 points can be read on a phone: set
    another height, and stack panels instead of putting them side by side.
    """
    plt.rcParams.update(
        {
            "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE, GREY]),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "figure.constrained_layout.use": True,
            "figure.dpi": 200,
            "figure.figsize": (WIDTH, 3.2),
            "font.size": 10.5,
            "legend.frameon": False,
        }
    )


def forest(
    estimates: pd.DataFrame | Mapping[str, Any],
    ax: Axes | None = None,
    label: str = "",
    reference: float | None = None,
    colors: str | Sequence[str] = BLUE,
) -> Axes:
    """Draw one line a row of `estimates`: a point with its interval.

    `estimates` is a mapping from names to results such as intervals, or a DataFrame indexed by
    name with the columns ``estimate``, ``low`` and ``high``, drawn from top to bottom; `label`
    names the axis with its unit; `reference` draws a dashed line, such as no difference or chance.
    `colors` is one colour, or one a row. Returns the axes.
    """
    estimates = estimates if isinstance(estimates, pd.DataFrame) else table_of(estimates)
    _require_columns(estimates, "estimates", ("estimate", "low", "high"))
    ax = ax or plt.subplots(figsize=(WIDTH, 0.9 + 0.32 * len(estimates)))[1]
    rows = range(len(estimates))[::-1]
    ax.hlines(rows, estimates.low, estimates.high, colors=colors, lw=2.5)
    ax.scatter(estimates.estimate, rows, c=colors, s=38, zorder=3)
    ax.set_yticks(rows, estimates.index)
    ax.set_ylim(-0.7, len(estimates) - 0.3)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(label)
    if reference is not None:
        ax.axvline(reference, color=GREY, ls="--", lw=1, zorder=0)
    return ax


def decision_heatmap(
    table: pd.DataFrame, ax: Axes | None = None, *, confidence: float = 0.95
) -> Axes:
    """Draw the decision on every pair of systems in `table`, the result of `compare_all`.

    Systems stand from the highest mean to the lowest, each pair once: a cell shows by how much the
    mean of its row is higher than that of its column, without the 0 before the point. It is blue
    where the two are told apart, by ``p_adjusted <= 1 - confidence``, and grey where the data do
    not decide; a pair that was not compared stays white. Returns the axes.
    """
    _require_columns(table, "table", ("a", "b", "mean_a", "mean_b", "estimate", "p_adjusted"))
    means = dict(zip(table.a, table.mean_a, strict=True))
    means |= dict(zip(table.b, table.mean_b, strict=True))
    names = sorted(means, key=means.__getitem__, reverse=True)
    ax = ax or plt.subplots(figsize=(max(WIDTH, 0.5 * len(names)), 1.6 + 0.36 * len(names)))[1]
    pale = "#E5E7EB"
    for pair in table.itertuples():
        row, column = sorted((names.index(pair.a), names.index(pair.b)))
        decided = pair.p_adjusted <= 1 - confidence
        box = (column - 0.5, row - 0.5), 1, 1
        ax.add_patch(plt.Rectangle(*box, fc=BLUE if decided else pale, ec="white", lw=1.5))
        gap = f"{abs(pair.estimate):.2f}".removeprefix("0")
        ink = "white" if decided else "black"
        ax.text(column, row, gap, ha="center", va="center", color=ink, size=10)
    ax.set_xlim(0.5, len(names) - 0.5)
    ax.set_ylim(len(names) - 1.5, -0.5)
    ax.set_xticks(range(1, len(names)), names[1:], rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names) - 1), names[:-1])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    key = {"row higher than column": BLUE, "not told apart": pale}
    boxes = [plt.Rectangle((0, 0), 1, 1, fc=color, label=text) for text, color in key.items()]
    ax.legend(handles=boxes, loc="lower left", handlelength=1)
    return ax


def _require_columns(table: Any, argument: str, names: Sequence[str]) -> None:
    missing = [n for n in names if not isinstance(table, pd.DataFrame) or n not in table.columns]
    if missing:
        raise ValueError(f"{argument} must be a table with the columns {', '.join(names)}")
