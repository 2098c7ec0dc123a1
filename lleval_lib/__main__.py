"""The command line: ``python -m lleval_lib compare A B``, ``… fetch`` and ``… records``."""

import argparse
import sys
from pathlib import Path

_COMPARE = """\
Compare systems on the same items: is B better than A, and how sure is that?

A, B, … are logs with the score of every item:
  lm-evaluation-harness   the folder of --output_path, or a samples_*.jsonl (--log_samples)
  Inspect                 an .eval or .json log, or a folder of them (needs inspect-ai)
  this library            a .parquet file of records

Every further system is compared with the first, or with --baseline.
"""
_NUMBERS = """\
what the numbers mean:
  mean         the mean score of the items that all systems have answered
  interval     made so that 95 of 100 such intervals hold the true value
  difference   the mean of the differences item by item. Both systems answer the same items, so
               their difficulty drops out, and the interval is narrower than the means suggest
  p            how often so large a difference would turn up if there were none
  adjusted     p corrected for the number of comparisons: among many, some p is small by chance
  detectable   the true difference that these items would find with 80% probability. If you care
               about smaller ones, you need more items

Items that share a text, a topic or a film are not independent. Name the field that they share with
--cluster, or the intervals are too narrow: it is a field of the document in lm-eval, of the
sample's metadata in Inspect, a column of the records.

examples:
  python -m lleval_lib compare runs/small runs/large --metric acc --cluster film
  python -m lleval_lib compare a.eval b.eval c.eval --cluster film --output report
"""


def main(arguments=None) -> None:
    """Run one command of the library; ``--help`` lists them."""
    parser = argparse.ArgumentParser(
        prog="python -m lleval_lib",
        description="The tools of the book on evaluating language models.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_compare(commands)
    commands.add_parser(
        "fetch", help="download every model and data set into the user's cache and check it"
    )
    commands.add_parser(
        "records", help="run every recorded system anew and write lleval_lib/records (slow)"
    )
    options = vars(parser.parse_args(arguments))
    {"compare": _compare, "fetch": _fetch, "records": _records}[options.pop("command")](**options)


def _add_compare(commands) -> None:
    parser = commands.add_parser(
        "compare",
        help="compare systems by their logs, with intervals, paired tests and a picture",
        description=_COMPARE,
        epilog=_NUMBERS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="the logs, two systems or more")
    parser.add_argument("--cluster", metavar="FIELD", help="what dependent items have in common")
    parser.add_argument("--metric", metavar="M", help="lm-eval: the score, such as acc")
    parser.add_argument("--filter", metavar="F", help="lm-eval: the filter, such as strict-match")
    parser.add_argument("--scorer", metavar="S", help="Inspect: the scorer, such as match")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="the systems' names, one a path")
    parser.add_argument("--baseline", metavar="NAME", help="compare with this system")
    parser.add_argument(
        "--correction",
        default="holm",
        choices=("holm", "bonferroni", "fdr_bh", "none"),
        help="for the number of comparisons (default: holm)",
    )
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="C", help="of intervals (default: 0.95)"
    )
    parser.add_argument("--output", metavar="DIR", help="write the report with its picture there")
    parser.add_argument(
        "--format", choices=("html", "markdown"), default="html", help="of it (default: html)"
    )


def _compare(
    paths, cluster, metric, filter, scorer, names, baseline, correction, confidence, output, format
) -> None:
    from .logs import read_systems
    from .report import comparison_report

    try:
        tables = read_systems(paths, names, metric, filter, scorer, cluster)
        report = comparison_report(tables, baseline, correction, confidence)
        print(report)
        if output is not None:
            print(f"\nThe report is at {report.save(output, format)}")
    except (ValueError, LookupError, OSError, ImportError) as error:
        # What the user gave is at fault, and the sentence says what to do: no traceback.
        print(f"python -m lleval_lib compare: error: {error}", file=sys.stderr)
        sys.exit(2)


def _fetch() -> None:
    from .catalogue import catalogue
    from .fetching import fetch
    from .models import load_encoder, load_lm

    for entry in catalogue().values():
        print(f"{entry.name}: {fetch(entry.name).name}")
    print(load_lm(), load_encoder(), sep="\n")


def _records() -> None:
    from .recorded import record_reviews

    record_reviews(Path(__file__).parent / "records")


if __name__ == "__main__":
    main()
