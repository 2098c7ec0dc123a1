"""What the readers of logs share: which files there are, what is chosen in them, one run a task."""

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

# What dependent items have in common: a field of the documents, or a function of a document.
Cluster = str | Callable[[dict], object] | None


def files_in(path: Path) -> list[Path]:
    """Return the file `path`, or all files of the folder `path` at any depth."""
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r}")
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def read_json(path: Path) -> dict:
    """Return the object in a JSON file; ``ValueError`` naming the file if it is not whole."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{str(path)!r} is not whole JSON ({error}): the file is empty, truncated or of "
            "another kind; copy or write it anew"
        ) from error
    return found if isinstance(found, dict) else {}


def one_table(files: Iterable[Path], read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """Return the records that `read` finds in `files`: one run a task, all of one version.

    Raises ``ValueError`` naming two files that hold the same system on the same task, or that were
    written by two versions (column ``source``) of the tool.
    """
    tables: list[pd.DataFrame] = []
    runs: dict[tuple[str, str], Path] = {}
    versions: dict[str, Path] = {}
    for file in files:
        table = read(file)
        system, task, source = table.loc[0, ["system", "task", "source"]]
        if (system, task) in runs:
            raise ValueError(
                f"{str(runs[system, task])!r} and {str(file)!r} are two runs of task {task!r} by "
                f"{system!r}; say which one counts by giving that file, not the folder"
            )
        runs[system, task] = file
        versions.setdefault(source, file)
        tables.append(table)
    if len(versions) > 1:
        (one, file), (two, other) = list(versions.items())[:2]
        raise ValueError(
            f"{str(file)!r} was written by {one} and {str(other)!r} by {two}; a task may have "
            "changed in between, so run both with one version, or read each file alone"
        )
    return pd.concat(tables, ignore_index=True)


def cluster_labels(cluster: Cluster, documents: list[dict], items: list[str], what: str):
    """Return one label an item; `documents` hold the field, or are given to the function."""
    if cluster is None:
        return items
    labels = [_label(cluster, document) for document in documents]
    missing = [item for item, label in zip(items, labels, strict=True) if label is None]
    if missing:
        raise LookupError(
            f"{what}: {len(missing):,} of {len(items):,} items have no {cluster!r} to cluster by, "
            f"such as {missing[0]!r}; there are: {', '.join(documents[0]) or 'no fields'}"
        )
    return [str(label) for label in labels]


def _label(cluster, document):
    if callable(cluster):
        return cluster(document)
    for part in cluster.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def pick(name: str | None, there_are: list[str], what: str, option: str) -> str:
    """Return `name`, or the only one there is if it is ``None``."""
    if name is None and len(there_are) == 1:
        return there_are[0]
    if name in there_are:
        return name
    asked = f"has no {option} {name!r}" if name is not None else f"has no single {option}: name one"
    raise LookupError(f"{what} {asked}; there are: {', '.join(there_are) or 'none'}")


def check_mean(scores, reported: float, what: str, advice: str) -> None:
    """Raise ``ValueError`` unless the mean of the items' scores is the one that the log reports."""
    ours = math.fsum(scores) / len(scores)
    if not math.isclose(ours, reported, rel_tol=1e-6, abs_tol=1e-9):
        raise ValueError(
            f"{what}: the mean of the items is {ours:.6g}, but the log reports {reported:.6g}; "
            f"{advice}"
        )
