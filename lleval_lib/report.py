"""Compare systems in one call: a table, a picture and a plain sentence for every difference.

The statistics are those of `mean_interval`, `compare_all` and `minimum_detectable_effect`; here
they are only put together and written down, as text, Markdown or HTML (chapters 13 and 25).
"""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator
from statsmodels.stats.multitest import multipletests

from .many import compare_all
from .planning import minimum_detectable_effect
from .plots import BLUE, GREY, ORANGE, forest, use_style
from .records import validate_records
from .stats import mean_interval, p_text

_FEW = 30
_CORRECTED = {
    "holm": "Holm's correction",
    "bonferroni": "Bonferroni's correction",
    "fdr_bh": "Benjamini and Hochberg's correction",
}
_HOW_TO_READ = (
    ("mean", "the mean score over the items that all systems of the task have answered"),
    ("interval", "made so that {confidence:g} of 100 such intervals hold the true value"),
    ("clusters", "groups of items that may depend on each other, such as questions on one text"),
    ("difference", "the mean of the differences item by item; its interval is a paired one"),
    ("p", "how often so large a difference would turn up if there were none"),
    ("adjusted", "p after {correction} for {comparisons}"),
    ("detectable", "the true difference that these items would find with 80% probability"),
    ("points", "hundredths of a score from 0 to 1"),
)


@dataclass(frozen=True, repr=False)
class Report:
    """A comparison of systems, which prints as a table and shows itself in a notebook.

    `systems` has one row a task and system: ``task, system, n, n_clusters, mean, low, high``.
    `differences` has one row a comparison: ``task, a, b, estimate, se, low, high, n, n_clusters,
    p_value, p_adjusted, detectable, verdict``; `estimate` is the mean of b - a. `warnings` are
    sentences about what limits the comparison.
    """

    systems: pd.DataFrame
    differences: pd.DataFrame
    warnings: tuple[str, ...]
    confidence: float
    correction: str

    def __repr__(self):
        return _text(self)

    def _repr_html_(self):
        return _fragment(self)

    def to_html(self) -> str:
        """Return a page that needs no other file: light and dark, on a screen or a phone."""
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            f"<title>{escape(_title(self))}</title><style>{_PAGE_STYLE}</style></head>\n"
            f"<body><h1>{escape(_title(self))}</h1>\n{_fragment(self)}\n</body></html>\n"
        )

    def to_markdown(self, figure: str | None = None) -> str:
        """Return the report as Markdown; `figure` is the address of the forest plot, if any."""
        return _markdown(self, figure)

    def plot(self):
        """Draw the means and the differences with their intervals, and return the figure."""
        return _figure(self)

    def save(self, folder, format: str = "html") -> Path:
        """Write ``report.html``, or ``report.md`` with ``forest.png``, and return its path."""
        if format not in ("html", "markdown"):
            raise ValueError(f"format must be 'html' or 'markdown', not {format!r}")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / ("report.html" if format == "html" else "report.md")
        if format == "html":
            path.write_text(self.to_html(), "utf-8")
        else:
            figure = self.plot()
            figure.savefig(folder / "forest.png", dpi=150)
            plt.close(figure)
            path.write_text(self.to_markdown("forest.png"), "utf-8")
        return path


def comparison_report(
    records, baseline: str | None = None, correction: str = "holm", confidence: float = 0.95
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
    >>> print(comparison_report(two).differences.verdict[0])
    not decided: minilm probe - tf-idf may be anything from -3.6 to +1.1 points

    Raises ``ValueError`` for fewer than two systems, a system in two tables, no common item and
    items whose target or cluster differs; ``LookupError`` for an unknown baseline.
    """
    records = _one_table(records)
    names = records.system.unique()
    baseline = names[0] if baseline is None else baseline
    if baseline not in names:
        raise LookupError(f"no system is called {baseline!r}; there are: {', '.join(names)}")
    means, pairs, warnings = [], [], {}
    for task, table in records.groupby("task", sort=False):
        table, said = _common_items(table, baseline)
        if table is not None:
            found = compare_all(table, None, correction, confidence, baseline)
            pairs.append(found.assign(task=task))
            means += [_mean(task, name, part, confidence) for name, part in _by_system(table)]
            said += _limits(table, found)
        for sentence in said:
            warnings.setdefault(sentence, []).append(task)
    if not pairs:
        raise ValueError(
            "no task has records of two systems: give at least two systems on the same task"
        )
    differences = pd.concat(pairs, ignore_index=True)
    if correction != "none":
        differences["p_adjusted"] = multipletests(differences.p_value, method=correction)[1]
    alpha = 1 - confidence
    differences["detectable"] = [
        np.nan if _constant(d) else minimum_detectable_effect(d.se, alpha, df=d.n_clusters - 1)
        for d in differences.itertuples()
    ]
    in_points = bool(records.score.between(0, 1).all())
    differences["verdict"] = [
        _verdict(row, alpha, in_points, correction, len(differences))
        for row in differences.itertuples()
    ]
    columns = "task a b estimate se low high n n_clusters p_value p_adjusted detectable verdict"
    return Report(
        pd.DataFrame(means),
        differences[columns.split()],
        tuple(f"{_listed(tasks)}: {sentence}" for sentence, tasks in warnings.items()),
        confidence,
        correction,
    )


def _one_table(records) -> pd.DataFrame:
    if isinstance(records, pd.DataFrame):
        return validate_records(records)
    tables = [validate_records(table) for table in records]
    seen = {}
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


def _mean(task, name, part, confidence) -> dict:
    found = mean_interval(part, confidence=confidence)
    return {
        "task": task,
        "system": name,
        "n": found.n,
        "n_clusters": found.n_clusters,
        "mean": found.estimate,
        "low": found.low,
        "high": found.high,
    }


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
    for row in found.itertuples():
        if _constant(row):
            said.append(
                f"{row.b} and {row.a} differ by {row.estimate:+g} on every item; the test does "
                "not apply."
            )
    if "source" in table and table.source.nunique() > 1:
        told = "; ".join(f"{name} by {part.source.iloc[0]}" for name, part in _by_system(table))
        said.append(
            f"the logs were written by different versions ({told}); a prompt or a scorer may have "
            "changed in between."
        )
    return said


def _constant(difference) -> bool:
    """Return whether it is the same on every item, but for rounding."""
    return difference.se <= 1e-12 * abs(difference.estimate)


def _verdict(row, alpha, in_points, correction, comparisons) -> str:
    unit, digits, points = (100, ".1f", " points") if in_points else (1, ".3g", "")
    low, high = unit * row.low, unit * row.high
    if row.p_adjusted <= alpha:
        ahead, behind = (row.b, row.a) if row.estimate > 0 else (row.a, row.b)
        gap, least = unit * abs(row.estimate), min(abs(low), abs(high))
        return (
            f"{ahead} is better than {behind} by {gap:{digits}}{points}; a difference below "
            f"{least:{digits}} is excluded"
        )
    if row.p_value <= alpha:
        return (
            f"not decided: by itself the difference {row.b} - {row.a} would be significant, but "
            f"not among {comparisons} comparisons, after {_CORRECTED[correction]}"
        )
    return (
        f"not decided: {row.b} - {row.a} may be anything from {low:+{digits}} to "
        f"{high:+{digits}}{points}"
    )


# As text and as Markdown --------------------------------------------------------------------------


def _title(report) -> str:
    names = list(dict.fromkeys(report.systems.system))
    return f"Comparison of {' and '.join(names) if len(names) == 2 else f'{len(names)} systems'}"


def _sections(report):
    """Yield for each task: its name, its size in words, its means and its differences."""
    for task, means in report.systems.groupby("task", sort=False):
        n, groups = means.n.iloc[0], means.n_clusters.iloc[0]
        size = f"{n:,} items" + (f" in {groups:,} clusters" if groups < n else "")
        yield task, size, means, report.differences[report.differences.task == task]


def _cells(report, means, differences) -> tuple[list, list]:
    """Return both tables as rows of text, the first of which is the heading."""
    interval = f"{100 * report.confidence:g}% interval"
    first = [("system", "mean", interval)]
    first += [(m.system, f"{m.mean:.3f}", f"[{m.low:.3f}, {m.high:.3f}]") for m in _rows(means)]
    heading = (f"against {differences.a.iloc[0]}", "difference", interval)
    second = [(*heading, "p", "adjusted", "detectable")]
    for d in _rows(differences):
        ends = f"[{d.low:+.3f}, {d.high:+.3f}]"
        numbers = (_p_cell(d.p_value), _p_cell(d.p_adjusted), _detectable_cell(d))
        second.append((d.b, f"{d.estimate:+.3f}", ends, *numbers))
    return first, second


def _rows(table):
    return table.itertuples(index=False)


def _p_cell(p: float) -> str:
    return p_text(p).removeprefix("p ").removeprefix("= ")


def _detectable_cell(difference) -> str:
    return "-" if _constant(difference) else f"{difference.detectable:.3f}"


def _how_to_read(report):
    """Yield the terms of the report with their meaning."""
    count = len(report.differences)
    values = {
        "confidence": 100 * report.confidence,
        "correction": _CORRECTED.get(report.correction, "no correction"),
        "comparisons": f"{count} comparison" + "s" * (count > 1),
    }
    for term, meaning in _HOW_TO_READ:
        yield term, meaning.format(**values)


def _text(report) -> str:
    lines = []
    for task, size, means, differences in _sections(report):
        lines += [f"{task}: {size}", ""]
        for table in _cells(report, means, differences):
            lines += [*_aligned(table), ""]
        lines += [_filled("", verdict) for verdict in differences.verdict] + [""]
    lines += [_filled("! ", warning) for warning in report.warnings]
    return "\n".join(lines).rstrip()


def _aligned(table) -> list[str]:
    table = [(_short(name), *cells) for name, *cells in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table
    ]


def _short(name: str, most: int = 34) -> str:
    # Names of systems differ at their ends more often than in the middle.
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"


def _filled(mark: str, sentence: str) -> str:
    return fill(sentence, 100, initial_indent=mark, subsequent_indent="  ")


def _markdown(report, figure) -> str:
    lines = [f"# {_title(report)}", ""]
    for task, size, means, differences in _sections(report):
        lines += [f"## {task}", "", f"{size}", ""]
        for heading, *rows in _cells(report, means, differences):
            rule = ["---"] + ["---:"] * (len(heading) - 1)
            escaped = [[cell.replace("|", "\\|") for cell in row] for row in (heading, rule, *rows)]
            lines += [f"| {' | '.join(row)} |" for row in escaped] + [""]
        lines += [f"- {verdict}" for verdict in differences.verdict] + [""]
    if figure:
        lines += [f"![Means and differences with their intervals]({figure})", ""]
    if report.warnings:
        lines += ["## Warnings", "", *(f"- {warning}" for warning in report.warnings), ""]
    lines += ["## How to read this", ""]
    lines += [f"- **{term}**: {meaning}" for term, meaning in _how_to_read(report)]
    return "\n".join(lines) + "\n"


# As pictures --------------------------------------------------------------------------------------


def _figure(report):
    several = report.systems.task.nunique() > 1
    means = report.systems.rename(columns={"system": "name", "mean": "estimate"})
    differences = report.differences.rename(columns={"b": "name"})
    label = f"difference from {differences.a.iloc[0]}"
    panels = (
        (means, "mean score", None, BLUE),
        (differences, label, 0, _colors(report, differences)),
    )
    with plt.rc_context():
        use_style()
        figure, axes = plt.subplots(1, 2, figsize=(10, 1.1 + 0.32 * len(means)))
        for ax, (table, label, reference, colors) in zip(axes, panels, strict=True):
            index = table["task"] + ": " + table["name"] if several else table["name"]
            forest(table.set_index(index), ax, label, reference, colors)
    return figure


def _colors(report, differences) -> list[str]:
    """Return blue for a difference above 0, orange for one below, grey for one not decided."""
    decided = differences.p_adjusted <= 1 - report.confidence
    return list(np.where(decided, np.where(differences.estimate > 0, BLUE, ORANGE), GREY))


_STYLE = """
.ll-report {max-width: 62rem; line-height: 1.45}
.ll-report h2 {font-size: 1.25em; margin: 1.2em 0 .1em}
.ll-report h3 {font-size: 1em; margin: 1.2em 0 .3em}
.ll-report small, .ll-report .ll-size {opacity: .8; font-size: .87em}
.ll-row {display: grid; grid-template-columns: 11rem 1fr 21.5rem; gap: 0 1.2rem;
  align-items: center; padding: .35rem 0}
.ll-row + .ll-row:not(.ll-axis) {
  border-top: 1px solid color-mix(in srgb, currentColor 15%, transparent)}
.ll-row .ll-name {font-weight: 600; overflow-wrap: anywhere}
.ll-row .ll-numbers {font-variant-numeric: tabular-nums}
.ll-row .ll-numbers small {display: block}
.ll-row svg {overflow: visible; display: block}
.ll-row svg text {fill: currentColor; font-size: 12px; opacity: .8; text-anchor: middle}
.ll-tick {stroke: currentColor; opacity: .18}
.ll-zero {stroke: currentColor; opacity: .6; stroke-dasharray: 4 3}
.ll-verdicts, .ll-warnings {padding-left: 1.2em; margin: .5em 0}
.ll-verdicts li, .ll-warnings li {margin: .25em 0}
.ll-report dt {font-weight: 600}
.ll-report dd {margin: 0 0 .3em 1.2em}
@media (max-width: 640px) {
  .ll-row {grid-template-columns: 1fr; gap: .15rem; padding: .6rem 4px}
}
"""
_PAGE_STYLE = """
body {background: Canvas; color: CanvasText; font-family: system-ui, sans-serif; margin: 0 auto;
  max-width: 62rem; padding: 1rem 1.2rem 3rem}
h1 {font-size: 1.5rem; overflow-wrap: anywhere}
"""


def _fragment(report) -> str:
    parts = [f'<div class="ll-report"><style>{_STYLE}</style>']
    for task, size, means, differences in _sections(report):
        interval = f"{100 * report.confidence:g}% interval"
        parts.append(f'<h2>{escape(task)}</h2><p class="ll-size">{size}</p>')
        parts.append(f"<h3>Mean score with its {interval}</h3>")
        means = means.rename(columns={"system": "name", "mean": "estimate"})
        parts.append(_forest_rows(means, [BLUE] * len(means), [""] * len(means), ".3f"))
        against = escape(differences.a.iloc[0])
        parts.append(f"<h3>Difference from {against} with its {interval}</h3>")
        small = [_small_print(d) for d in _rows(differences)]
        colors = _colors(report, differences)
        named = differences.rename(columns={"b": "name"})
        parts.append(_forest_rows(named, colors, small, "+.3f", reference=0))
        parts.append(
            f'<p class="ll-size">Blue: better than {against}; orange: worse; grey: not decided.</p>'
        )
        verdicts = "".join(f"<li>{escape(verdict)}</li>" for verdict in differences.verdict)
        parts.append(f'<ul class="ll-verdicts">{verdicts}</ul>')
    if report.warnings:
        warnings = "".join(f"<li>{escape(warning)}</li>" for warning in report.warnings)
        parts.append(f'<h3>Warnings</h3><ul class="ll-warnings">{warnings}</ul>')
    terms = "".join(f"<dt>{t}</dt><dd>{escape(m)}</dd>" for t, m in _how_to_read(report))
    parts.append(f"<details><summary>How to read this</summary><dl>{terms}</dl></details></div>")
    return "\n".join(parts)


def _small_print(d) -> str:
    p = f"{p_text(d.p_value)}, adjusted {_p_cell(d.p_adjusted)}"
    return f"{p}; detectable {_detectable_cell(d)}"


def _forest_rows(table, colors, notes, digits, reference=None) -> str:
    """Return a row of HTML for each row of `table`, whose line is drawn in percent of the width."""
    ends = [*table.low, *table.high, *([] if reference is None else [reference])]
    ticks = MaxNLocator(4).tick_values(min(ends), max(ends))

    def place(value):
        return f"{100 * (value - ticks[0]) / (ticks[-1] - ticks[0]):.2f}%"

    grid = "".join(
        f'<line class="{"ll-zero" if tick == reference else "ll-tick"}" x1="{place(tick)}" '
        f'x2="{place(tick)}" y1="0" y2="24"/>'
        for tick in ticks
    )
    rows = []
    for row, color, note in zip(_rows(table), colors, notes, strict=True):
        numbers = f"{row.estimate:{digits}} [{row.low:{digits}}, {row.high:{digits}}]"
        small = f"<small>{escape(note)}</small>" if note else ""
        rows.append(
            f'<div class="ll-row"><span class="ll-name">{escape(row.name)}</span>'
            f'<svg width="100%" height="24" role="img" aria-label="{numbers}">{grid}'
            f'<line x1="{place(row.low)}" x2="{place(row.high)}" y1="12" y2="12" '
            f'stroke="{color}" stroke-width="3"/>'
            f'<circle cx="{place(row.estimate)}" cy="12" r="5.5" fill="{color}"/></svg>'
            f'<span class="ll-numbers">{numbers}{small}</span></div>'
        )
    labels = "".join(f'<text x="{place(tick)}" y="12">{tick:g}</text>' for tick in ticks)
    axis = f'<svg width="100%" height="16" aria-hidden="true">{labels}</svg>'
    return f'{"".join(rows)}<div class="ll-row ll-axis"><span></span>{axis}<span></span></div>'
