"""What a report shows: its sentences, and the same numbers as text, as Markdown and as HTML."""

from functools import cache
from importlib import resources
from textwrap import fill

import jinja2
import numpy as np
from matplotlib.ticker import MaxNLocator

from .plots import BLUE, GREY, ORANGE
from .results import p_text
from .terms import CORRECTIONS, TERMS


def verdicts(report) -> list[str]:
    """Return what each row of the differences says, as a sentence."""
    by_task = report.systems.groupby("task")
    in_points = (by_task.least.min() >= 0) & (by_task.most.max() <= 1)
    return [_verdict(report, row, in_points[row.task]) for row in report.differences.itertuples()]


def _verdict(report, row, in_points: bool) -> str:
    unit, digits, points = (100, ".1f", " points") if in_points else (1, ".3g", "")
    low, high = unit * row.low, unit * row.high
    if _decided(report, row):
        ahead, behind = (row.b, row.a) if row.estimate > 0 else (row.a, row.b)
        gap, least = unit * abs(row.estimate), min(abs(low), abs(high))
        return (
            f"{ahead} is better than {behind} by {gap:{digits}}{points}; a difference below "
            f"{least:{digits}} is excluded"
        )
    if row.p_value <= 1 - report.confidence:
        return (
            f"not decided: by itself the difference {row.b} - {row.a} would be significant, but "
            f"not among {len(report.differences)} comparisons, after "
            f"{CORRECTIONS[report.correction]}"
        )
    return (
        f"not decided: {row.b} - {row.a} may be anything from {low:+{digits}} to "
        f"{high:+{digits}}{points}"
    )


def _decided(report, differences):
    return differences.p_adjusted <= 1 - report.confidence


def _title(report) -> str:
    names = list(dict.fromkeys(report.systems.system))
    return f"Comparison of {' and '.join(names) if len(names) == 2 else f'{len(names)} systems'}"


def _sections(report):
    """Yield for each task: its name, its size in words, its means and its differences."""
    told = report.differences.assign(verdict=report.verdicts(), color=colors(report))
    told["note"] = [_small_print(d) for d in told.itertuples()]
    for task, means in report.systems.groupby("task", sort=False):
        n, groups = means.n.iloc[0], means.n_clusters.iloc[0]
        size = f"{n:,} items" + (f" in {groups:,} clusters" if groups < n else "")
        yield task, size, means.assign(color=BLUE, note=""), told[told.task == task]


def _how_to_read(report) -> dict[str, str]:
    """Return the terms of the report with their meaning."""
    count = len(report.differences)
    comparisons = f"{count} comparison" + "s" * (count > 1)
    here = f"; here after {CORRECTIONS[report.correction]} for {comparisons}"
    return TERMS | {"adjusted": TERMS["adjusted"] + here}


def _interval(report) -> str:
    return f"{100 * report.confidence:g}% interval"


def _cells(report, means, differences) -> tuple[list, list]:
    """Return both tables as rows of text, the first of which is the heading."""
    first = [("system", "mean", _interval(report))]
    first += [
        (m.system, f"{m.estimate:.3f}", f"[{m.low:.3f}, {m.high:.3f}]") for m in means.itertuples()
    ]
    heading = (f"against {differences.a.iloc[0]}", "difference", _interval(report))
    second = [(*heading, "p", "adjusted", "detectable")]
    for d in differences.itertuples():
        ends = f"[{d.low:+.3f}, {d.high:+.3f}]"
        numbers = (_p_cell(d.p_value), _p_cell(d.p_adjusted), _detectable_cell(d))
        second.append((d.b, f"{d.estimate:+.3f}", ends, *numbers))
    return first, second


def _p_cell(p: float) -> str:
    return p_text(p).removeprefix("p ").removeprefix("= ")


def _detectable_cell(difference) -> str:
    return "-" if difference.se == 0 else f"{difference.detectable:.3f}"


def as_text(report) -> str:
    """Return the report for a terminal of 100 columns."""
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


def as_markdown(report, figure: str | None) -> str:
    """Return the report as Markdown, with the picture at the address `figure`."""
    lines = [f"# {_title(report)}", ""]
    for task, size, means, differences in _sections(report):
        lines += [f"## {task}", "", f"{size}", ""]
        for heading, *rows in _cells(report, means, differences):
            rule = ["---"] + ["---:"] * (len(heading) - 1)
            escaped = [[cell.replace("|", "\\|") for cell in row] for row in (heading, rule, *rows)]
            lines += [f"| {' | '.join(row)} |" for row in escaped] + [""]
        lines += [f"- {verdict}" for verdict in differences.verdict] + [""]
    if figure:
        lines += [f"![Differences with their intervals]({figure})", ""]
    if report.warnings:
        lines += ["## Warnings", "", *(f"- {warning}" for warning in report.warnings), ""]
    lines += ["## How to read this", ""]
    lines += [f"- **{term}**: {meaning}" for term, meaning in _how_to_read(report).items()]
    return "\n".join(lines) + "\n"


def colors(report) -> list[str]:
    """Return blue for a difference above 0, orange for one below, grey for one not decided."""
    d = report.differences
    return np.where(_decided(report, d), np.where(d.estimate > 0, BLUE, ORANGE), GREY).tolist()


@cache
def _template() -> jinja2.Template:
    source = resources.files(__package__).joinpath("report.html").read_text("utf-8")
    # Names of tasks and systems come from logs: nothing in them may become markup.
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source)


def as_html(report, whole: bool) -> str:
    """Return the report as a `whole` page, or as the element that a notebook shows."""
    sections = [
        {
            "task": task,
            "size": size,
            "against": differences.a.iloc[0],
            "means": _panel(means.system, means, ".3f"),
            "differences": _panel(differences.b, differences, "+.3f", reference=0),
            "verdicts": differences.verdict,
        }
        for task, size, means, differences in _sections(report)
    ]
    return _template().render(
        whole=whole,
        title=_title(report),
        interval=_interval(report),
        sections=sections,
        warnings=report.warnings,
        terms=_how_to_read(report),
    )


def _small_print(d) -> str:
    p = f"{p_text(d.p_value)}, adjusted {_p_cell(d.p_adjusted)}"
    return f"{p}; detectable {_detectable_cell(d)}"


def _panel(names, table, digits: str, reference: float | None = None) -> dict:
    """Return what a forest plot in HTML shows; `place` gives where, in percent of its width."""
    ends = [*table.low, *table.high, *([] if reference is None else [reference])]
    ticks = MaxNLocator(4).tick_values(min(ends), max(ends))
    numbers = [
        f"{row.estimate:{digits}} [{row.low:{digits}}, {row.high:{digits}}]"
        for row in table.itertuples()
    ]
    return {
        "rows": list(table.assign(name=names, numbers=numbers).itertuples()),
        "ticks": ticks,
        "reference": reference,
        "place": lambda x: f"{100 * (x - ticks[0]) / (ticks[-1] - ticks[0]):.2f}%",
    }
