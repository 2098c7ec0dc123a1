"""What the readers of logs share: which files there are, what is chosen in them, one run a task."""

import json
import math
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

# What dependent items have in common: a field of the documents, or a function of a document.
Cluster = str | Callable[[dict], object] | None
# A name for all tasks, or a name by task, "" standing for every other task.
Choice = str | Mapping[str, str] | None
# The tasks to keep: names or patterns such as "mmlu_*".
Tasks = str | Iterable[str] | None


def files_in(path: Path) -> list[Path]:
    """Return the file `path`, or all files of the folder `path` at any depth."""
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r}")
    if not path.is_dir():
        return [path]
    # macOS puts a "._name" beside each file that it copies to a disk of another kind.
    return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("._"))


def decoded(content: bytes, what: str) -> str:
    """Return UTF-8 as text, without a mark of byte order; ``ValueError`` naming `what`."""
    try:
        return content.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{what} is not UTF-8 text ({error.reason} at byte {error.start}): the file was saved "
            "in another encoding or is damaged; save it as UTF-8, or copy it anew"
        ) from error


def whole(text: str) -> str:
    """Return a text with "?" for half of a surrogate pair, which no table can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def read_json(path: Path) -> dict:
    """Return the object in a JSON file; ``ValueError`` naming the file if it is not whole."""
    text = decoded(path.read_bytes(), repr(str(path)))
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is not whole JSON ({error}): the file is empty, truncated or of "
            "another kind; copy or write it anew"
        ) from error
    return found if isinstance(found, dict) else {}


def one_table(files: Iterable[Path], read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """Return the records that `read` finds in `files`: one run a task, all of one version.

    Raises ``ValueError`` naming two files that hold the same system on the same task, or that were
    written by two versions (column ``source``) of the tool; or one file, whatever went wrong in it.
    """
    tables: list[pd.DataFrame] = []
    runs: dict[tuple[str, str], Path] = {}
    versions: dict[str, Path] = {}
    for file in files:
        table = _named(read, file)
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


def _named(read: Callable[[Path], pd.DataFrame], file: Path) -> pd.DataFrame:
    """Return what is read; any error but a sentence of ours becomes one, which names the file."""
    try:
        return read(file)
    except (OSError, ImportError):
        raise
    except Exception as error:
        if type(error) in (ValueError, LookupError):
            raise
        raise ValueError(
            f"{str(file)!r}: {type(error).__name__}: {error}; the log is damaged, or of a kind "
            "that this reader does not know"
        ) from error


def choice_for(choice: Choice, task: str) -> str | None:
    """Return what is chosen for a task: `choice`, or its entry for the task or else for ""."""
    return choice.get(task, choice.get("")) if isinstance(choice, Mapping) else choice


def wanted(names: Iterable[str], task: Tasks, what: str) -> list[str]:
    """Return those of `names` that `task` asks for, by name or shell-style pattern; all if none.

    Raises ``LookupError`` that lists `names` for one that fits none of them.
    """
    names = list(dict.fromkeys(names))
    if task is None:
        return names
    patterns = [task] if isinstance(task, str) else list(task)
    for pattern in patterns:
        if not any(_fits(name, pattern) for name in names):
            raise LookupError(
                f"{what} has no task {pattern!r} (--task or task=); there are: {', '.join(names)}"
            )
    return [name for name in names if any(_fits(name, pattern) for pattern in patterns)]


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


def cluster_labels(cluster: Cluster, documents: list[dict], items: list[str], what: str):
    """Return one label an item; `documents` hold the field, or are given to the function."""
    if cluster is None:
        return items
    labels = [cluster_label(cluster, document, what) for document in documents]
    return checked_labels(cluster, labels, items, documents[0], what)


def checked_labels(cluster: Cluster, labels: list, items: list[str], document, what: str):
    """Return `labels` as texts; ``LookupError`` listing the fields of `document` if one lacks."""
    missing = [item for item, label in zip(items, labels, strict=True) if label is None]
    if missing:
        fields = ", ".join(document) if isinstance(document, dict) else ""
        raise LookupError(
            f"{what}: {len(missing):,} of {len(items):,} items have no {cluster!r} to cluster by, "
            f"such as {missing[0]!r}; there are: {fields or 'no fields'} (--cluster or cluster=)"
        )
    return [whole(str(label)) for label in labels]


def cluster_label(cluster: Cluster, document, what: str):
    """Return the label of a document's cluster, or ``None`` where it has no such field."""
    if callable(cluster):
        try:
            return cluster(document)
        except Exception as error:
            raise ValueError(
                f"{what}: the function given as cluster= ended in {type(error).__name__}: {error}"
            ) from error
    for part in (cluster or "").split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def pick(name: str | None, there_are: list[str], what: str, option: str) -> str:
    """Return `name`, or the only one there is if it is ``None``."""
    if name is None and len(there_are) == 1:
        return there_are[0]
    if name in there_are:
        return name
    asked = f"has no {option} {name!r}" if name is not None else f"has no single {option}: name one"
    raise LookupError(
        f"{what} {asked}; there are: {', '.join(there_are) or 'none'} "
        f"(choose with --{option} or {option}=)"
    )


def agrees(scores, reported: float) -> bool:
    """Return whether `reported` is the mean of `scores`, but for rounding."""
    ours = math.fsum(scores) / max(1, len(scores))
    return math.isclose(ours, reported, rel_tol=1e-6, abs_tol=1e-9)


def check_mean(scores, reported: float, what: str, advice: str) -> None:
    """Raise ``ValueError`` unless the mean of the items' scores is the one that the log reports."""
    if not agrees(scores, reported):
        raise ValueError(
            f"{what}: the mean of the items is {math.fsum(scores) / max(1, len(scores)):.6g}, but "
            f"the log reports {reported:.6g}; {advice}"
        )
