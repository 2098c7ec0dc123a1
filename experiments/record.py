"""Record an experiment: run its systems and write what they answered into lleval_lib/results.

    .venv/bin/python experiments/record.py [NAME]

Without NAME, lists the experiments. Each finished system is kept in the user's cache, so that a
run that is interrupted goes on where it stopped. An experiment is a file of this folder that has
`SYSTEMS`, a sequence of names, and `build`, which returns the records of one of them.
"""

import argparse
import ast
import datetime
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pandas as pd

import lleval_lib
from lleval_lib.fetching import cache_dir
from lleval_lib.records import packed, read_records, write_records

HERE = Path(__file__).resolve().parent
RESULTS = Path(lleval_lib.__file__).parent / "results"
VERSIONS = ("numpy", "pandas", "scikit-learn", "tokenizers", "torch", "transformers")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", choices=experiments(), help="which; lists them if none")
    name = parser.parse_args(arguments).name
    if name is None:
        print(*(f"{name}: {what}" for name, what in experiments().items()), sep="\n")
    else:
        record(name, RESULTS)


def experiments() -> dict[str, str]:
    """Return what each experiment is, by name: the first line of its docstring."""
    trees = {path.stem: ast.parse(path.read_text("utf-8")) for path in sorted(HERE.glob("*.py"))}
    return {
        name: (ast.get_docstring(tree) or "").splitlines()[0]
        for name, tree in trees.items()
        if any(isinstance(node, ast.FunctionDef) and node.name == "build" for node in tree.body)
    }


def record(name: str, results: Path) -> None:
    """Run the systems of experiment `name`; write its records, and how they came about."""
    experiment = import_module(name)
    done = cache_dir() / "recording" / f"{name}-{builder(name)[:8]}"
    done.mkdir(parents=True, exist_ok=True)
    tables = []
    for i, system in enumerate(experiment.SYSTEMS):
        path = done / f"{i}.parquet"
        if not path.exists():
            start = time.monotonic()
            built = experiment.build(system)
            write_records(built.assign(seconds=time.monotonic() - start), path)
        tables.append(read_records(path))
        print(f"{system}: {len(tables[-1]):,} items, {tables[-1].seconds[0]:.0f} s", flush=True)
    minutes = sum(table.seconds[0] for table in tables) / 60
    records = pd.concat(tables, ignore_index=True).drop(columns="seconds")
    write(records, results / f"{name}.parquet")
    how = provenance(name, records, f"{minutes:.0f} minutes")
    (results / f"{name}.toml").write_text(how, "utf-8")
    shutil.rmtree(done)


def write(records: pd.DataFrame, path: Path) -> None:
    """Write `records` packed; the bytes of log-likelihoods compress better side by side."""
    logliks = [name for name in records.columns if name.startswith("loglik_")]
    packed(records).to_parquet(
        path,
        index=False,
        compression="zstd",
        use_dictionary=[name for name in records.columns if name not in logliks],
        use_byte_stream_split=logliks,
    )


def builder(name: str) -> str:
    """Return the sha256 of the file that builds experiment `name`."""
    return hashlib.sha256((HERE / f"{name}.py").read_bytes()).hexdigest()


def provenance(name: str, records: pd.DataFrame, cost: str) -> str:
    """Return as TOML how `records` came about, and a sha256 of each system's prompts."""
    lines = [
        f"date = {datetime.date.today()}",
        f'command = "make records NAME={name}"',
        f'machine = "{os.cpu_count()} cores, {platform.machine()}"',
        f'cost = "{cost}"',
        f'builder = "{builder(name)}"',
        "\n[versions]",
        f'python = "{platform.python_version()}"',
        *(f'{package} = "{version(package)}"' for package in VERSIONS),
    ]
    if "prompt" in records:
        lines.append("\n[prompts]")
        lines += [f'"{s}" = "{sha256(rows.prompt)}"' for s, rows in records.groupby("system")]
    return "\n".join(lines) + "\n"


def sha256(texts: Iterable[str]) -> str:
    """Return the sha256 of a sequence of texts."""
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()


if __name__ == "__main__":
    main()
