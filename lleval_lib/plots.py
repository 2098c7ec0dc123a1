"""The book's look for figures, and the plot that it draws most: estimates with intervals."""

import matplotlib.pyplot as plt

# Okabe & Ito's palette (2008, "Color universal design") keeps apart for colour-blind readers.
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#6B7280",
)


def use_style() -> None:
    """Set the book's style for every figure that follows: size, palette, no needless lines."""
    plt.rcParams.update(
        {
            "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE, GREY]),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "figure.figsize": (7, 3.6),
            "font.size": 10.5,
            "legend.frameon": False,
        }
    )


def forest(estimates, ax=None, label="", reference=None, colors=BLUE):
    """Draw one line a row of `estimates`: a point with its interval and the numbers beside it.

    `estimates` is a DataFrame indexed by name with the columns ``estimate``, ``low`` and
    ``high``, drawn from top to bottom; `label` names the axis with its unit; `reference` draws a
    dashed line, such as no difference or chance. `colors` is one colour, or one a row. Returns
    the axes. Chapters 01 and 03 use it.
    """
    ax = ax or plt.subplots(figsize=(7, 0.9 + 0.32 * len(estimates)))[1]
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
