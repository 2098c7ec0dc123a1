"""Compare systems in one call: a table, a picture and a plain sentence for every difference.

The statistics are those of `mean_interval`, `compare_all` and `minimum_detectable_effect`; here
they are only put together, and `report_views` writes them down as text, Markdown or HTML.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from . import report_views
from .intervals import mean_interval
from .many import adjust_p_values, compare_all
from .planning import minimum_detectable_effect
from .plots import forest, use_style
from .records import validate_records
from .results import table as table_of

_FEW = 30


@dataclass(frozen=True, repr=False, eq=False)
class Report:
    """A comparison of systems, which prints as a table and shows itself in a notebook.

    `systems` has one row a task and system: ``task``, ``system``, the fields of `mean_interval` and
    the ``least`` and the ``most`` that an item scored. `differences` has one row a comparison:
    ``task``, the columns of `compare_all` and ``detectable``. `warnings` are sentences about what
    limits the comparison. So ``forest(report.differences.set_index("b"))`` draws the differences.
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
        return report_views.verdicts(self)

    def to_html(self) -> str:
        """Return a page that needs no other file: light and dark, on a screen or a phone."""
        return report_views.as_html(self, whole=True)

    def to_markdown(self, figure: str | None = None) -> str:
        """Return the report as Markdown; `figure` is the address of a picture of it, if any."""
        return report_views.as_markdown(self, figure)

    def plot(self) -> Axes:
        """Draw the differences with their intervals, and return the axes."""
        d, colors = self.differences, report_views.colors(self)
        names = d.b if d.task.nunique() == 1 else d.task + ": " + d.b
        label = f"difference from {d.a.iloc[0]}"
        return forest(d.set_index(names), label=label, reference=0, colors=colors)

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
            with plt.rc_context():
                use_style()
                self.plot()
                plt.savefig(folder / "forest.png", dpi=150)
                plt.close()
        path.write_text(text, "utf-8")
        return path


def comparison_report(
    records: pd.DataFrame | Iterable[pd.DataFrame],
    *,
    baseline: str | None = None,
    correction: str = "holm",
    confidence: float = 0.95,
) -> Report:
    """Compare every system in `records` with `baseline`, item by item, on each task.

    `records` is a table of two or more systems, or a list of tables, such as `read_lm_eval` and
    `read_inspect` return; `baseline` is a system's name, by default the first. Systems are
    compared on the items that all systems of the task have, with the clusters of the records, and
    the report warns of what was left out. `correction` is that of `compare_all`, here over all
    comparisons of the report, tasks included; `confidence` that of the intervals, which are not
    corrected.

    The detectable difference answers "were these items enough?": it is the true difference that
    the test would find with 80% probability, given the standard error found. The power at the
    difference that was *observed* would say nothing new, since it is a function of p (Hoenig &
    Heisey 2001, American Statistician 55).

    >>> from lleval_lib import load_records
    >>> records = load_records("reviews")
    >>> two = records[records.system.isin(["tf-idf", "minilm probe"])]
    >>> print(*comparison_report(two).verdicts())
    not decided: minilm probe - tf-idf may be anything from -3.6 to +1.1 points

    Raises ``ValueError`` for fewer than two systems, a system in two tables, no common item and
    items whose target or cluster differs; ``LookupError`` for an unknown baseline.
    """
    records = _one_table(records)
    names = records.system.unique()
    baseline = names[0] if baseline is None else baseline
    if baseline not in names:
        raise LookupError(f"no system is called {baseline!r}; there are: {', '.join(names)}")
    means: dict[str, pd.DataFrame] = {}
    pairs: dict[str, pd.DataFrame] = {}
    warnings: dict[str, list[str]] = {}
    for task, table in records.groupby("task", sort=False):
        table, said = _common_items(table, baseline)
        if table is not None:
            # Not corrected here, but below, all tasks together.
            found = compare_all(table, correction="none", baseline=baseline, confidence=confidence)
            pairs[task], means[task] = found, _means(table, confidence)
            said += _limits(table, found)
        for sentence in said:
            warnings.setdefault(sentence, []).append(task)
    if not pairs:
        raise ValueError(
            "no task has records of two systems: give at least two systems on the same task"
        )
    differences = _by_task(pairs)
    differences["p_adjusted"] = adjust_p_values(differences.p_value, correction)
    differences["detectable"] = _detectable(differences, confidence)
    return Report(
        _by_task(means),
        differences,
        tuple(f"{_listed(tasks)}: {sentence}" for sentence, tasks in warnings.items()),
        confidence,
        correction,
    )


def _one_table(records) -> pd.DataFrame:
    if isinstance(records, pd.DataFrame):
        return validate_records(records)
    tables = [validate_records(table) for table in records]
    seen: dict[str, int] = {}
    for place, table in enumerate(tables, start=1):
        for name in table.system.unique():
            if name in seen:
                raise ValueError(
                    f"system {name!r} stands in table {seen[name]} and in table {place}: name "
                    "them apart, such as with system= where the logs are read"
                )
            seen[name] = place
    if not tables:
        raise ValueError("there are no records: give a table of them, or a list of tables")
    return pd.concat(tables, ignore_index=True)


def _by_system(table):
    return table.groupby("system", sort=False)


def _common_items(table, baseline) -> tuple[pd.DataFrame | None, list[str]]:
    """Return the rows whose item every system has, and warnings of what is left out."""
    items = {name: set(part.item_id) for name, part in _by_system(table)}
    if len(items) < 2 or baseline not in items:
        return None, [f"nothing is compared, because only {_listed(list(items))} answered it."]
    common = set.intersection(*items.values())
    if not common:
        raise ValueError(
            f"the systems have no item of the task {table.task.iloc[0]!r} in common: were they run "
            "on the same data, and with the same tool?"
        )
    left = {name: len(have) - len(common) for name, have in items.items() if have != common}
    if not left:
        return table, []
    told = ", ".join(f"{count:,} of {name}" for name, count in left.items())
    said = f"the item sets differ; {len(common):,} common items are compared, left out are {told}."
    return table[table.item_id.isin(common)], [said]


def _listed(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _means(table, confidence) -> pd.DataFrame:
    """Return one row a system: its mean with its interval, and the range of its scores."""
    systems = _by_system(table)
    means = {name: mean_interval(part, confidence=confidence) for name, part in systems}
    scores = {"least": systems.score.min(), "most": systems.score.max()}
    return table_of(means).assign(**scores).rename_axis("system").reset_index()


def _by_task(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the tables below each other, with their task in the first column."""
    return pd.concat(tables, names=["task"]).reset_index("task").reset_index(drop=True)


def _detectable(differences, confidence) -> pd.Series:
    """Return the detectable difference of each, missing where the items show no spread."""
    d = differences[differences.se > 0]
    found = minimum_detectable_effect(d.se, df=d.df, confidence=confidence)
    return pd.Series(found, d.index).reindex(differences.index)


def _limits(table, found) -> list[str]:
    """Return what a reader of a task's numbers must know."""
    n, groups = found.n[0], found.n_clusters[0]
    said = []
    if groups == n:
        said.append(
            "nothing is clustered, so every item counts as independent. If items share a text, a "
            "topic or an author, name that field as the cluster, or the intervals are too narrow."
        )
    if groups < _FEW:
        kind = "items" if groups == n else "clusters"
        said.append(
            f"there are only {groups} {kind}; with fewer than {_FEW}, intervals tend to be too "
            "narrow and p-values too small."
        )
    for name, part in _by_system(table):
        if part.score.nunique() == 1:
            said.append(
                f"all scores of {name} are {part.score.iloc[0]:g}; an interval without width does "
                "not mean certainty."
            )
    for row in found[found.se == 0].itertuples():
        said.append(
            f"{row.b} and {row.a} differ by {row.estimate:+g} on every item; the test does not "
            "apply."
        )
    if "source" in table and table.source.nunique() > 1:
        told = "; ".join(f"{name} by {part.source.iloc[0]}" for name, part in _by_system(table))
        said.append(
            f"the logs were written by different versions ({told}); a prompt or a scorer may have "
            "changed in between."
        )
    return said
