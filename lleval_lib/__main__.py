"""The command line: ``python -m lleval_lib fetch`` and ``python -m lleval_lib records``."""

import argparse
from pathlib import Path


def main(arguments=None) -> None:
    """Run one command of the library; ``--help`` lists them."""
    parser = argparse.ArgumentParser(
        prog="python -m lleval_lib",
        description="Downloads and recorded results of the book on evaluating language models.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "fetch", help="download every model and data set into the user's cache and check it"
    )
    commands.add_parser(
        "records", help="run every recorded system anew and write lleval_lib/records (slow)"
    )
    {"fetch": _fetch, "records": _records}[parser.parse_args(arguments).command]()


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
