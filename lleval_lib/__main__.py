"""The command line: ``python -m lleval_lib`` and compare, convert, check-table, grade or fetch."""

import argparse
import platform
import sys
from collections.abc import Callable
from io import TextIOWrapper
from textwrap import fill

from .terms import CORRECTIONS, TERMS

_COMPARE = """\
Compare systems on the same items: is B better than A, and how sure is that?

A, B, … are logs with the score of every item:
  lm-evaluation-harness   the folder of --output_path, or a samples_*.jsonl (--log_samples)
  Inspect                 an .eval or .json log, or a folder of them (needs inspect-ai)
  Every Eval Ever         its .json, with the .jsonl of the items beside it
  this library            a .parquet file of records

Every further system is compared with the first, or with --baseline.
"""
_ADVICE = """\
Items that share a text, a topic or a film are not independent. Name the field that they share with
--cluster, or the intervals are too narrow: it is a field of the document in lm-eval, of the
sample's metadata in Inspect, a column of the records.

examples:
  python -m lleval_lib compare runs/small runs/large --metric acc --cluster film
  python -m lleval_lib compare a.eval b.eval c.eval --cluster film --output report
  python -m lleval_lib compare runs/a runs/b --metric acc --metric gsm8k=exact_match
  python -m lleval_lib compare runs/a runs/b --task "mmlu_*" --missing bounds
"""
_TOOLS_RUN_ON = ("Linux", "x86_64")
_CHOICES = ("metric", "filter", "scorer")
_CHECK_TABLE = """\
Find figures that no n right and wrong answers can give: a mean that is k/n for no whole number k,
or a standard error that does not belong to it (the GRIM and GRIMMER tests).

PATH is
  a .csv file            with the columns score, n and, where known, se, rounded as printed
  results of lm-eval     a results_*.json, or a folder of them: the accuracies in them

The exit status is 1 if there are such figures, else 0. A figure that is named is not for certain
wrong: scores of parts (as in F1, or acc of truthfulqa_mc2), a mean of several samples an item,
and clustered or bootstrapped standard errors need not pass.
"""
_GRADE = """\
Grade notebooks that students handed in: a table of points, and a page of feedback for each.

SUBMISSIONS is a folder or a .zip file, as Moodle, Canvas or Google Classroom give it, or with files
or folders named after the students. Each notebook runs from the top in a sandbox (bubblewrap, on
Linux): no network, none of your files, limits on time, memory and output. Right answers are never
in there. A run that was stopped goes on where it was; a submission that has changed is graded anew.

ROSTER is a .csv file with the columns student (the number that students type into the notebook)
and name; email, moodle_id and canvas_id help to find files, too.
"""


def main(arguments: list[str] | None = None) -> None:
    """Run one command of the library; ``--help`` lists them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that has no Chinese shows question marks, not a traceback.
            stream.reconfigure(errors="replace")
    parser = argparse.ArgumentParser(
        prog="python -m lleval_lib",
        description="The tools of the book on evaluating language models.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_compare(commands)
    _add_convert(commands)
    _add_check_table(commands)
    _add_grade(commands)
    commands.add_parser(
        "fetch", help="download every model and data set into the user's cache and check it"
    )
    options = vars(parser.parse_args(arguments))
    run: dict[str, Callable[..., None]] = {
        "compare": _compare,
        "convert": _convert,
        "check-table": _check_table,
        "grade": _grade,
        "fetch": _fetch,
    }
    run[options.pop("command")](**options)


def _add_compare(commands) -> None:
    parser = commands.add_parser(
        "compare",
        help="compare systems by their logs, with intervals, paired tests and a picture",
        description=_COMPARE,
        epilog=f"what the numbers mean:\n{_terms()}\n\n{_ADVICE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="the logs, two systems or more")
    add("--cluster", metavar="FIELD", help="what dependent items have in common")
    _add_reading(add)
    _add_counting(add)
    add("--names", nargs="+", metavar="NAME", help="the systems' names, one a path")
    add("--baseline", metavar="NAME", help="compare with this system")
    add(
        "--correction",
        default="holm",
        choices=tuple(CORRECTIONS),
        help="for the number of comparisons (default: holm)",
    )
    add("--confidence", type=float, default=0.95, metavar="C", help="of intervals (default: 0.95)")
    add("--output", metavar="DIR", help="write the report with its picture there")
    add("--format", choices=("html", "markdown"), default="html", help="of it (default: html)")


def _add_reading(add: Callable) -> None:
    """Add the options that say what is read."""
    add("--task", nargs="+", metavar="TASK", help='only these tasks; patterns such as "mmlu_*" too')
    for option, what in (
        ("metric", "lm-eval, Every Eval Ever: the score, such as acc"),
        ("filter", "lm-eval: the filter, such as strict-match"),
        ("scorer", "Inspect: the scorer, such as match"),
    ):
        add(
            f"--{option}",
            action="append",
            metavar="[TASK=]NAME",
            help=f"{what}; once for all tasks, or once a task",
        )


def _add_counting(add: Callable) -> None:
    """Add the options that say what a score counts."""
    add(
        "--missing",
        default="refuse",
        choices=("refuse", "drop", "wrong", "bounds"),
        help="what an item without a score counts: drop it for all systems, take it for wrong, or "
        "show both extremes (default: refuse)",
    )
    for way in ("higher", "lower"):
        add(
            f"--{way}-is-better",
            nargs="*",
            metavar="TASK",
            help="where the logs do not say it: on these tasks, or on all others",
        )


def _add_convert(commands) -> None:
    parser = commands.add_parser(
        "convert",
        help="write the scores of the items of any log in the format of Every Eval Ever",
        description="Write logs in the format of Every Eval Ever 0.3, which other tools read.",
    )
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="logs as for compare")
    add("--output", required=True, metavar="DIR", help="the folder to write")
    add("--cluster", metavar="FIELD", help="what dependent items have in common")
    add("--names", nargs="+", metavar="NAME", help="the systems' names, one a path")
    _add_reading(add)


def _add_check_table(commands) -> None:
    parser = commands.add_parser(
        "check-table",
        help="find scores and standard errors that no right and wrong answers can give",
        description=_CHECK_TABLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH", help="a .csv, or results of lm-eval")
    parser.add_argument("--percent", action="store_true", help="scores are percentages")


def _add_grade(commands) -> None:
    parser = commands.add_parser(
        "grade",
        help="grade a folder of notebooks that students handed in, safely",
        description=_GRADE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("source", metavar="SUBMISSIONS", help="a folder or a .zip file of notebooks")
    what = "the teacher's notebook, with solutions; of a folder, the one that was handed in"
    add("--assignment", required=True, metavar="NOTEBOOK", help=what)
    add("--roster", required=True, metavar="CSV", help="the students")
    add("--output", required=True, metavar="DIR", help="the folder to write")
    add("--course", default="", metavar="NAME", help="as when the student version was made")
    add("--seconds", type=float, default=300, metavar="S", help="for each notebook (default: 300)")
    add("--workers", type=int, default=2, metavar="N", help="notebooks at a time (default: 2)")


def _terms() -> str:
    return "\n".join(
        fill(meaning, 99, initial_indent=f"  {term:13}", subsequent_indent=15 * " ")
        for term, meaning in TERMS.items()
    )


def _compare(paths, *, names, task, cluster, missing, output, format, **options) -> None:
    from .logs import read_systems
    from .report import comparison_report

    try:
        choices = {name: _choice(name, options.pop(name)) for name in _CHOICES}
        keep = "refuse" if missing == "refuse" else "keep"
        records = read_systems(
            paths, names=names, task=task, **choices, missing=keep, cluster=cluster
        )
        better = _directions(options.pop("higher_is_better"), options.pop("lower_is_better"))
        report = comparison_report(records, missing=missing, higher_is_better=better, **options)
        print(report)
        if output is not None:
            print(f"\nThe report is at {report.save(output, format)}")
    except (ValueError, LookupError, OSError, ImportError) as error:
        # What the user gave is at fault, and the sentence says what to do: no traceback.
        print(f"python -m lleval_lib compare: error: {error}", file=sys.stderr)
        sys.exit(2)


def _convert(paths, *, output, **options) -> None:
    from .logs import read_systems
    from .logs_every_eval_ever import write_every_eval_ever

    try:
        options |= {name: _choice(name, options[name]) for name in _CHOICES}
        for records in read_systems(paths, **options, missing="keep"):
            write_every_eval_ever(records, output)
            for (system, task), items in records.groupby(["system", "task"], sort=False):
                print(f"{system}, {task}: {len(items):,} items")
    except (ValueError, LookupError, OSError, ImportError) as error:
        print(f"python -m lleval_lib convert: error: {error}", file=sys.stderr)
        sys.exit(2)


def _check_table(path, *, percent) -> None:
    from .tables import check_table, read_table

    try:
        table, left = read_table(path)
        bad = check_table(table, percent=percent)
    except (ValueError, LookupError, OSError) as error:
        print(f"python -m lleval_lib check-table: error: {error}", file=sys.stderr)
        sys.exit(2)
    for where, reason in bad.reason.items():
        print(f"{where}: {reason}")
    print(f"{len(bad):,} of {len(table):,} figures cannot be means of right and wrong answers")
    if left:
        print(
            f"not checked, since their scores need not be 0 or 1, or n is not known: {len(left):,}"
        )
        print(*(f"  {name}" for name in left), sep="\n")
    sys.exit(1 if len(bad) else 0)


def _grade(source, *, assignment, roster, output, **options) -> None:
    from .gradebook import grade_all, summary

    try:
        rows = grade_all(source, assignment, roster, output, **options)
    except (ValueError, LookupError, OSError, RuntimeError) as error:
        print(f"python -m lleval_lib grade: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; run it again, and it goes on where it was", file=sys.stderr)
        sys.exit(130)
    print(*summary(rows), sep="\n")
    print(f"\nThe points are in {output}/grades.csv, the pages in {output}/feedback")


def _choice(option: str, given: list[str] | None) -> str | dict[str, str] | None:
    """Return what was chosen for all tasks, or by task with the key "" for all others."""
    if given is None:
        return None
    found: dict[str, str] = {}
    for text in given:
        task, _, name = text.rpartition("=")
        if found.setdefault(task, name) != name:
            raise ValueError(f"--{option} is given twice for {_tasks(task)}")
    return found[""] if list(found) == [""] else found


def _directions(higher: list[str] | None, lower: list[str] | None) -> dict[str, bool] | None:
    """Return whether higher is better by task, with the key "" for all others."""
    found: dict[str, bool] = {}
    for tasks, value in ((higher, True), (lower, False)):
        # An option without tasks is about all others.
        for task in [] if tasks is None else tasks or [""]:
            if found.setdefault(task, value) != value:
                raise ValueError(f"--higher-is-better and --lower-is-better name {_tasks(task)}")
    return found or None


def _tasks(name: str) -> str:
    return f"task {name!r}" if name else "all tasks"


def _fetch() -> None:
    from .catalogue import catalogue
    from .fetching import fetch
    from .models import load_encoder, load_lm

    for entry in catalogue().values():
        if entry.kind != "tool" or (platform.system(), platform.machine()) == _TOOLS_RUN_ON:
            print(f"{entry.name}: {fetch(entry.name).name}")
    print(load_lm(), load_encoder(), sep="\n")


if __name__ == "__main__":
    main()
