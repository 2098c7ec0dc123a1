"""Compare systems in one call: a table, a picture and a plain sentence for every difference.

The statistics are those of `mean_interval`, `compare_all` and `minimum_detectable_effect`; here
they are only put together, and `report_views` writes them down as text, Markdown or HTML.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from . import report_views
from .directions import about_tasks
from .inputs import require_share
from .many import adjust_p_values
from .planning import minimum_detectable_effect
from .plots import forest, use_style
from .report_items import Said, common_items, listed, one_table, score_table, settled
from .report_limits import limits
from .report_wholes import Unit, differences, means, single, wholes
from .report_words import verdicts


@dataclass(frozen=True, repr=False, eq=False)
class Report:
    """A comparison of systems, which prints as a table and shows itself in a notebook.

    `systems` has one row a task and system: ``task``, ``system``, the fields of `mean_interval` and
    the ``least`` and the ``most`` that an item scored. `differences` has one row a comparison:
    ``task``, the columns of `compare_all`, ``detectable``, ``n_different`` (items that the two
    systems score differently), ``metric`` and ``higher_is_better`` (None where not known) and
    ``kind``: a "benchmark" of several tasks, a "part" of one, or a "task" alone. `warnings` are
    sentences about what limits the comparison. So ``forest(report.differences.set_index("b"))``
    draws the differences.
    """

    systems: pd.DataFrame
    differences: pd.DataFrame
    warnings: tuple[str, ...]
    confidence: float
    correction: str

    def __repr__(self) -> str:
        return report_views.as_text(self)

    def _repr_html_(self) -> str:
        return report_views.as_html(self, whole=False)

    def verdicts(self) -> list[str]:
        """Return what each row of `differences` says, as a sentence."""
        return verdicts(self)

    def to_html(self) -> str:
        """Return a page that needs no other file: light and dark, on a screen or a phone."""
        return report_views.as_html(self, whole=True)

    def to_markdown(self, figure: str | None = None) -> str:
        """Return the report as Markdown; `figure` is the address of a picture of it, if any."""
        return report_views.as_markdown(self, figure)

    def plot(self) -> Axes:
        """Draw the differences with their intervals, and return the axes."""
        d, names = self.differences, report_views.row_names(self)
        label = report_views.axis_label(self)
        colors = report_views.colors(self)
        return forest(d.set_index(pd.Index(names)), label=label, reference=0, colors=colors)

    def save(self, folder: str | Path, format: str = "html") -> Path:
        """Write ``report.html``, or ``report.md`` with ``forest.png``, and return its path."""
        if format not in ("html", "markdown"):
            raise ValueError(f"format must be 'html' or 'markdown', not {format!r}")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if format == "html":
            path, text = folder / "report.html", self.to_html()
        else:
            path, text = folder / "report.md", self.to_markdown("forest.png")
            with plt.rc_context(), warnings.catch_warnings():
                use_style()
                self.plot()
                # matplotlib's own font has no Chinese; the tables have the names.
                warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
                plt.savefig(folder / "forest.png", dpi=150)
                plt.close()
        # A log may hold half an emoji, which is no text that can be written.
        path.write_bytes(text.encode("utf-8", "replace"))
        return path


def comparison_report(
    records: pd.DataFrame | Iterable[pd.DataFrame],
    *,
    baseline: str | None = None,
    correction: str = "holm",
    missing: str = "refuse",
    higher_is_better: bool | Mapping[str, bool] | None = None,
    confidence: float = 0.95,
) -> Report:
    """Compare every system in `records` with `baseline`, item by item, on each task.

    `records` is a table of two or more systems, or a list of tables, such as `read_lm_eval` and
    `read_inspect` return; `baseline` is a system's name, by default the first. Systems are
    compared on the items that all systems of the task have, with the clusters of the records, and
    the report warns of what was left out. `confidence` is that of the intervals, which are not
    corrected.

    The tasks of a ``group`` in the records, and tasks without a group that have one ``metric``, are
    a benchmark, whose answer comes first: the mean of all items, as leaderboards give it, and the
    mean of the tasks' means (`macro_interval`). `correction` is that of `compare_all`, over all
    benchmarks and tasks that stand alone; the tasks of benchmarks are corrected apart.

    `missing` says what an item without a score counts: it is refused; "drop" leaves it out for all
    systems; "wrong" scores it 0; "bounds" gives for every difference the middle of two extremes,
    in which such items are right for the one system and wrong for the other (columns ``lowest`` and
    ``highest``), an interval that reaches over both, and the larger p-value (1 if their signs
    differ). "wrong" and "bounds" need scores from 0 to 1.

    `higher_is_better` says which way is better, of every task or of those in a mapping, whose key
    "" stands for all others; else the records' column of that name does. Where neither says it, the
    report tells only which system is higher.

    The detectable difference answers "were these items enough?": it is the true difference that
    the test would find with 80% probability, given the standard error found. The power at the
    difference that was *observed* would say nothing new, since it is a function of p (Hoenig &
    Heisey 2001, American Statistician 55).

    >>> from lleval_lib import load_records
    >>> records = load_records("reviews")
    >>> two = records[records.system.isin(["tf-idf", "minilm probe"])]
    >>> print(*comparison_report(two).verdicts())
    not decided: minilm probe - tf-idf may be anything from -3.6 to +1.1 points

    Raises ``ValueError`` where no task can be compared, saying why, for a system in two tables or
    without a name, items without a score, items whose target or cluster differs, and records that
    contradict each other on which way is better; ``LookupError`` for an unknown baseline or task.
    """
    require_share(confidence)
    records = one_table(records)
    names = list(records.system.unique())
    baseline = names[0] if baseline is None else baseline
    if baseline not in names:
        raise LookupError(f"no system is called {baseline!r}; there are: {', '.join(names)}")
    about, unsure = about_tasks(records, higher_is_better)
    cases, lacking = settled(records, missing, baseline, about.higher_is_better)
    found = [_case(case, baseline, about, confidence, lacking) for case in cases]
    systems, gaps, said = found[0] if len(found) == 1 else _united(*found)
    # The tasks of benchmarks are a family of their own.
    gaps["p_adjusted"] = gaps.groupby(gaps.kind == "part").p_value.transform(
        adjust_p_values, correction
    )
    gaps["detectable"] = _detectable(gaps, confidence)
    compared = set(gaps.task)
    about_what: dict[str, list[str]] = {}
    for task, sentence in [*said, *(note for note in unsure if note[0] in compared)]:
        about_what.setdefault(sentence, []).append(task)
    told = (f"{listed(tasks)}: {sentence}" for sentence, tasks in about_what.items())
    return Report(systems, gaps, tuple(told), confidence, correction)


def _case(
    records: pd.DataFrame, baseline: str, about: pd.DataFrame, confidence: float, lacking: Said
) -> tuple[pd.DataFrame, pd.DataFrame, Said]:
    """Return the means, the differences and the warnings of records that have all scores.

    `lacking` was said of those that had none.
    """
    tables: dict[str, pd.DataFrame] = {}
    units: dict[str, Unit] = {}
    gaps: dict[str, pd.DataFrame] = {}
    said = list(lacking)
    for task, rows in records.groupby("task", sort=False):
        part, left_out = common_items(rows, baseline)
        said += [(task, sentence) for sentence in left_out]
        if part is None:
            continue
        table = tables[task] = score_table(task, part)
        if table.index.nunique() < 2:
            said.append((task, _one_cluster(table)))
            continue
        units[task] = single(task, table, about.loc[task, ["metric", "higher_is_better"]].to_dict())
        gaps[task] = differences(units[task], baseline, confidence)
        said += [(task, sentence) for sentence in limits(part, gaps[task])]
    whole, held, notes = wholes(tables, about)
    if not units and not whole:
        reasons = " ".join(f"{task}: {sentence}" for task, sentence in said + notes)
        raise ValueError(
            f"nothing can be compared: give two systems or more on the same items. {reasons}"
        )
    gaps = {task: gap.assign(kind="part" if task in held else "task") for task, gap in gaps.items()}
    for name, unit in whole.items():
        gaps[name] = differences(unit, baseline, confidence).assign(kind="benchmark")
    # The answers of whole benchmarks stand first.
    units = whole | units
    systems = {name: means(unit, confidence) for name, unit in units.items()}
    return _by_task(systems), _by_task({name: gaps[name] for name in units}), said + notes


def _united(one, other) -> tuple[pd.DataFrame, pd.DataFrame, Said]:
    """Return what holds between two extremes: `one` and `other` are as `_case` returns them."""
    (means_of_one, gaps_of_one, said), (means_of_other, gaps_of_other, also) = one, other
    gaps = _between(gaps_of_one, gaps_of_other)
    ends = pd.concat([gaps_of_one.estimate, gaps_of_other.estimate], axis=1)
    p_values = pd.concat([gaps_of_one.p_value, gaps_of_other.p_value], axis=1).max(axis=1)
    alike = np.sign(ends).nunique(axis=1) == 1
    gaps = gaps.assign(p_value=p_values.where(alike, 1.0))
    gaps = gaps.assign(lowest=ends.min(axis=1), highest=ends.max(axis=1))
    return _between(means_of_one, means_of_other), gaps, [s for s in said if s in also]


def _between(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return the middle of two estimates, from the lower end to the higher, the larger error."""
    middle = [name for name in ("estimate", "mean_a", "mean_b") if name in one]
    found = one.assign(**{name: (one[name] + other[name]) / 2 for name in middle})
    for name in ("low", "least"):
        if name in one:
            found[name] = np.minimum(one[name], other[name])
    for name in ("high", "most", "n_different"):
        if name in one:
            found[name] = np.maximum(one[name], other[name])
    wider = one.se >= other.se
    return found.assign(**{name: one[name].where(wider, other[name]) for name in ("se", "df")})


def _one_cluster(table) -> str:
    what = "item" if len(table) == 1 else "cluster"
    held = "" if len(table) == 1 else f", {table.index[0]!r}"
    return (
        f"nothing is compared, because all it has is one {what}{held}, which does not show how "
        f"{what}s vary: give more items or a finer cluster."
    )


def _by_task(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the tables below each other, with their task in the first column."""
    return pd.concat(tables, names=["task"]).reset_index("task").reset_index(drop=True)


def _detectable(differences, confidence) -> pd.Series:
    """Return the detectable difference of each, missing where the items show no spread."""
    d = differences[differences.se > 0]
    found = minimum_detectable_effect(d.se, df=d.df, confidence=confidence)
    return pd.Series(found, d.index).reindex(differences.index)
