"""What a report shows: the same numbers as text, as Markdown and as HTML."""

from functools import cache
from importlib import resources
from textwrap import fill

import jinja2
import numpy as np
from matplotlib.ticker import MaxNLocator

from .plots import BLUE, GREY, ORANGE
from .report_words import (
    ahead,
    decided,
    family_note,
    legend,
    measure,
    outcomes,
    short_names,
    table_digits,
    verdicts,
)
from .results import p_text
from .terms import TERMS

# From so many tasks on each has a line, not a section.
_MANY = 6


def _title(report) -> str:
    names = list(dict.fromkeys(report.systems.system))
    return f"Comparison of {' and '.join(names) if len(names) == 2 else f'{len(names)} systems'}"


def _told(report):
    """Return the differences with what is said of each: a verdict, a word, a colour, its p."""
    table = report.differences
    told = table.assign(
        verdict=verdicts(report), outcome=outcomes(report, table), color=colors(report)
    )
    return told.assign(note=[_small_print(row) for row in told.itertuples()])


def _sections(report):
    """Yield for each task with a section its name, its size, its means and its differences."""
    told, in_lines = _told(report), _in_lines(report)
    for task, means in report.systems.groupby("task", sort=False):
        if task not in in_lines:
            gaps = told[told.task == task]
            yield task, _size(gaps.iloc[0]), means, gaps


def _in_lines(report) -> set[str]:
    """Return the tasks that have a line each: all but benchmarks if they are many."""
    d = report.differences
    tasks = set(d.task[d.kind != "benchmark"])
    return tasks if len(tasks) >= _MANY else set()


def _lines(report):
    """Yield, for each system, a heading, its differences on the tasks in lines, and a sentence."""
    told = _told(report)
    told = told[told.task.isin(_in_lines(report))]
    for name, rows in told.groupby("b", sort=False):
        counts = rows.outcome[rows.outcome != "-"].value_counts()
        found = ", ".join(f"{word} on {count}" for word, count in counts.items()) or "no better"
        open_ = int((rows.outcome == "-").sum())
        sentence = f"of {len(rows)} tasks {name} is {found}; {open_} are not decided"
        if not len(counts):
            sentence = f"none of {len(rows)} tasks decides between {name} and {rows.a.iloc[0]}"
        yield f"{name} against {rows.a.iloc[0]}", rows, sentence


def _family(report) -> list[str]:
    """Return a sentence on the families of comparisons, if there is more than one."""
    if not (report.differences.kind == "part").any():
        return []
    return [f"p is adjusted by {family_note(report)}."]


def _size(row) -> str:
    clusters = f" in {row.n_clusters:,} clusters" if row.n_clusters < row.n else ""
    return f"{row.n:,} items{clusters}{measure(row)}"


def _how_to_read(report) -> dict[str, str]:
    """Return the terms of the report with their meaning."""
    adjusted = f"{TERMS['adjusted']}; here after {family_note(report)}"
    return TERMS | {"adjusted": adjusted}


def _interval(report) -> str:
    return f"{100 * report.confidence:g}% interval"


def _cells(report, means, differences) -> tuple[list, list]:
    """Return both tables as rows of text, the first of which is the heading."""
    first = [("system", "mean", _interval(report))]
    first += [(name, *cells) for name, cells in zip(means.system, _mean_cells(means), strict=True)]
    d = table_digits(differences)
    heading = (f"against {differences.a.iloc[0]}", "difference", _interval(report))
    second = [(*heading, "p", "adjusted", "detectable")]
    for row in differences.itertuples():
        numbers = (_p_cell(row.p_value), _p_cell(row.p_adjusted), _detectable_cell(row, d))
        second.append((row.b, *_difference_cells(row, d), *numbers))
    return first, second


def _ends(row, digits: str) -> str:
    return "-" if np.isnan(row.low) else f"[{row.low:{digits}}, {row.high:{digits}}]"


def _mean_cells(means) -> list[tuple[str, str]]:
    d = table_digits(means)
    return [(f"{row.estimate:.{d}f}", _ends(row, f".{d}f")) for row in means.itertuples()]


def _line_cells(report, rows) -> list:
    """Return the table of one line a task as rows of text."""
    d = table_digits(rows)
    heading = ("task", "items", "baseline", "mean", "difference", _interval(report), "adjusted", "")
    cells = [heading]
    for row in rows.itertuples():
        means = (f"{row.mean_a:.3f}", f"{row.mean_b:.3f}", *_difference_cells(row, d))
        cells.append((row.task, f"{row.n:,}", *means, _p_cell(row.p_adjusted), row.outcome))
    return cells


def _difference_cells(row, d: int) -> tuple[str, str]:
    # Without spread there is no interval; one without width would look like certainty.
    ends = _ends(row, f"+.{d}f")
    return f"{row.estimate:+.{d}f}", ends


def _p_cell(p: float) -> str:
    return p_text(p).removeprefix("p ").removeprefix("= ")


def _detectable_cell(row, d: int = 3) -> str:
    return "-" if row.se == 0 else f"{row.detectable:.{d}f}"


def as_text(report) -> str:
    """Return the report for a terminal of 100 columns."""
    lines = []
    names = report.systems.system
    short = short_names(names) | short_names(report.systems.task, 25)
    short |= {f"against {name}": f"against {text}" for name, text in short_names(names, 26).items()}
    for task, size, means, differences in _sections(report):
        lines += [f"{task}: {size}", ""]
        for table in _cells(report, means, differences):
            lines += [*_aligned(table, short), ""]
        lines += [_filled("", verdict) for verdict in differences.verdict] + [""]
    for heading, rows, sentence in _lines(report):
        lines += [heading, "", *_aligned(_line_cells(report, rows), short), ""]
        lines += [_filled("", sentence), ""]
    for note in _family(report):
        lines += [_filled("", note), ""]
    lines += [_filled("! ", warning) for warning in report.warnings]
    return "\n".join(lines).rstrip()


def _aligned(table, short: dict[str, str]) -> list[str]:
    table = [(short.get(name, name), *cells) for name, *cells in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in table
    ]


def _filled(mark: str, sentence: str) -> str:
    # Names and options are copied from here, so that none may be broken at its hyphens.
    return fill(sentence, 100, initial_indent=mark, subsequent_indent="  ", break_on_hyphens=False)


def as_markdown(report, figure: str | None) -> str:
    """Return the report as Markdown, with the picture at the address `figure`."""
    lines = [f"# {_title(report)}", ""]
    for task, size, means, differences in _sections(report):
        lines += [f"## {task}", "", f"{size}", ""]
        for table in _cells(report, means, differences):
            lines += _markdown_table(table)
        lines += [f"- {verdict}" for verdict in differences.verdict] + [""]
    for heading, rows, sentence in _lines(report):
        lines += [f"## {heading}", "", *_markdown_table(_line_cells(report, rows))]
        lines += [f"- {sentence}", ""]
    if figure:
        lines += [f"![Differences with their intervals]({figure})", ""]
        lines += [legend(report.differences), ""]
    if report.warnings:
        lines += ["## Warnings", "", *(f"- {warning}" for warning in report.warnings), ""]
    lines += ["## How to read this", ""]
    lines += [f"- **{term}**: {meaning}" for term, meaning in _how_to_read(report).items()]
    return "\n".join(lines) + "\n"


def _markdown_table(table) -> list[str]:
    heading, *rows = table
    rule = ["---"] + ["---:"] * (len(heading) - 1)
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (heading, rule, *rows)]
    return [f"| {' | '.join(row)} |" for row in escaped] + [""]


def colors(report) -> list[str]:
    """Return blue for a system that is ahead, orange for one behind, grey for not decided."""
    d = report.differences
    return np.where(decided(report, d), np.where(ahead(d), BLUE, ORANGE), GREY).tolist()


def row_names(report) -> list[str]:
    """Return what the figure calls each difference, so that no two are alike."""
    d = report.differences
    many = [d[name].nunique() > 1 for name in ("task", "b")]
    names = d.task + ": " + d.b if all(many) else d.task if many[0] else d.b
    short = short_names(names, 48)
    return [_label(short[name]) for name in names]


def axis_label(report) -> str:
    """Return what the axis of the figure shows."""
    (a,) = report.differences.a.unique()
    return _label(f"difference from {short_names([a], 48)[a]}")


def _label(text: str) -> str:
    return text.replace("$", r"\$")  # which matplotlib reads as a formula


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
    sections = []
    for task, size, means, gaps in _sections(report):
        numbers = [" ".join(cells) for cells in _mean_cells(means)]
        panel = _panel(means.system, means.assign(color=BLUE, note=""), numbers)
        sections.append(_section(report, task, size, panel, gaps.b, gaps, gaps.verdict))
    for heading, rows, sentence in _lines(report):
        rows = rows.assign(note=[_line_note(row) for row in rows.itertuples()])
        sections.append(_section(report, heading, "", None, rows.task, rows, [sentence]))
    return _template().render(
        whole=whole,
        title=_title(report),
        interval=_interval(report),
        sections=sections,
        notes=_family(report),
        warnings=report.warnings,
        terms=_how_to_read(report),
    )


def _section(report, heading, size, means, names, gaps, verdicts) -> dict:
    d = table_digits(gaps)
    numbers = [" ".join(_difference_cells(row, d)).removesuffix(" -") for row in gaps.itertuples()]
    return {
        "heading": heading,
        "size": size,
        "against": gaps.a.iloc[0],
        "means": means,
        "differences": _panel(names, gaps, numbers, reference=0),
        "legend": legend(gaps),
        "verdicts": verdicts,
    }


def _small_print(row) -> str:
    p = f"{p_text(row.p_value)}, adjusted {_p_cell(row.p_adjusted)}"
    return f"{p}; detectable {_detectable_cell(row)}"


def _line_note(row) -> str:
    means = f"{row.mean_a:.3f} → {row.mean_b:.3f}"
    return f"{means}; {row.n:,} items; adjusted p {p_text(row.p_adjusted).removeprefix('p ')}"


def _panel(names, table, numbers, reference: float | None = None) -> dict:
    """Return what a forest plot in HTML shows; `place` gives where, in percent of its width."""
    # What has no interval is a point.
    table = table.assign(
        low=table.low.fillna(table.estimate), high=table.high.fillna(table.estimate)
    )
    ends = [*table.low, *table.high, *([] if reference is None else [reference])]
    ticks = MaxNLocator(4).tick_values(min(ends), max(ends))
    return {
        "rows": list(table.assign(name=names, numbers=numbers).itertuples()),
        "ticks": ticks,
        "reference": reference,
        "place": lambda x: f"{100 * (x - ticks[0]) / (ticks[-1] - ticks[0]):.2f}%",
    }
