"""Read logs as records, whatever tool wrote them.

Nothing is dropped in silence. What cannot be read whole, such as a truncated file, two runs of one
task, or items without a score, is an error that names the file and says what to do. The score that
the tool reported itself is computed anew from the items and must agree.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from . import logs_every_eval_ever, logs_inspect, logs_lm_eval
from .logs_common import Choice, Cluster, Tasks, files_in, read_json, wanted
from .logs_every_eval_ever import CONVERTERS, read_every_eval_ever
from .logs_inspect import read_inspect
from .logs_lm_eval import read_lm_eval
from .logs_lm_eval_results import is_results
from .records import read_records


def read_systems(
    paths,
    *,
    names=None,
    task: Tasks = None,
    metric: Choice = None,
    filter: Choice = None,
    scorer: Choice = None,
    missing: str = "refuse",
    cluster: Cluster = None,
) -> list[pd.DataFrame]:
    """Return the records of all paths, whatever tools wrote them, with systems named apart.

    A path is what `read_lm_eval`, `read_inspect` or `read_every_eval_ever` takes, or a Parquet file
    of records, in which `cluster` names a column. `names` are the systems' names, one a path;
    without them the logs name the systems, or, where two logs give the same name to the same task,
    the paths do. Paths with one name and different tasks are one system. `task`, `metric`,
    `filter`, `scorer` and `missing` are those of the readers, each for the tools that know it:
    lm-eval can so be compared with Inspect. The column ``prompt``, most of what a long log holds,
    is left out.

    Raises ``ValueError`` for an option that no path knows, ``LookupError`` for a task that it names
    and none has, and what the readers raise.
    """
    if names is not None and len(names) != len(paths):
        raise ValueError(f"{len(paths)} paths need {len(paths)} names, not {len(names)}")
    kinds = [_kind(Path(path)) for path in paths]
    choices = {"metric": metric, "filter": filter, "scorer": scorer}
    _check_known(choices, kinds, paths)
    tables = []
    for path, kind, name in zip(paths, kinds, names or [None] * len(paths), strict=True):
        read, known = _READERS[kind]
        own = {option: choices[option] for option in known}
        found = read(Path(path), **own, task=task, system=name, missing=missing, cluster=cluster)
        tables.append(found.drop(columns="prompt", errors="ignore"))
    _check_tasks(choices, tables)
    return _named_apart(tables, paths, names)


def _check_known(choices: dict, kinds: list[str], paths) -> None:
    for option, value in choices.items():
        if value is not None and not any(option in _READERS[kind][1] for kind in kinds):
            raise ValueError(
                f"{str(paths[0])!r} has no {option} to choose: leave out --{option} ({option}=)"
            )


def _check_tasks(choices: dict, tables: list[pd.DataFrame]) -> None:
    tasks = {task for table in tables for task in table.task.unique()}
    for option, value in choices.items():
        unknown = set(value) - tasks - {""} if isinstance(value, Mapping) else ()
        for task in sorted(unknown):
            raise LookupError(
                f"--{option} or {option}= names the task {task!r}, which no log holds; there are: "
                f"{', '.join(sorted(tasks))}"
            )


def _named_apart(tables: list[pd.DataFrame], paths, names) -> list[pd.DataFrame]:
    """Return the tables with one name a system; those that share a system as one table."""
    if not _shared(tables):
        systems = [name for table in tables for name in table.system.unique()]
        whole = len(set(systems)) == len(systems)
        return tables if whole else [pd.concat(tables, ignore_index=True)]
    several = next((table for table in tables if table.system.nunique() > 1), None)
    if names is not None or several is not None:
        raise ValueError(
            f"the name {_shared(tables)!r} stands for two systems; give each its own name with "
            "--names or names="
        )
    # The files of one folder are one system, unless they hold a task twice.
    folders = [path if path.is_dir() else path.parent for path in map(Path, paths)]
    for places in (folders, paths):
        short = _names_from_paths(places)
        renamed = [t.assign(system=name) for t, name in zip(tables, short, strict=True)]
        if not _shared(renamed):
            return _named_apart(renamed, paths, names)
    raise ValueError("the same path is given twice: a system cannot be compared with itself")


def _shared(tables: list[pd.DataFrame]) -> str | None:
    """Return the name of a system of which two tables hold the same task, if there is one."""
    seen: set[tuple[str, str]] = set()
    for table in tables:
        here = list(table.groupby(["system", "task"], sort=False).groups)
        for pair in here:
            if pair in seen:
                return pair[0]
        seen.update(here)
    return None


def _read_own(path: Path, *, task, system, missing, cluster) -> pd.DataFrame:
    records = read_records(path, missing=missing)
    kept = wanted(records.task.unique(), task, repr(str(path)))
    records = records[records.task.isin(kept)].reset_index(drop=True)
    if system is not None:
        if records.system.nunique() > 1:
            raise ValueError(f"{str(path)!r} names its {records.system.nunique()} systems itself")
        records = records.assign(system=system)
    if cluster is not None:
        if cluster not in records.columns:
            raise LookupError(
                f"{str(path)!r} has no column {cluster!r}; there are: {', '.join(records.columns)}"
            )
        records = records.assign(cluster=records[cluster].astype(str))
    return records


def _read_lm_eval(path: Path, **options) -> pd.DataFrame:
    return read_lm_eval(path, prompts=False, **options)


# What reads each kind of path, and what one may choose there.
_READERS: dict[str, tuple[Callable[..., pd.DataFrame], tuple[str, ...]]] = {
    "lm-eval": (_read_lm_eval, ("metric", "filter")),
    "Inspect": (read_inspect, ("scorer",)),
    "Every Eval Ever": (read_every_eval_ever, ("metric",)),
    "records": (_read_own, ()),
}
_IS_LOG = {
    "Every Eval Ever": logs_every_eval_ever.is_log,
    "lm-eval": logs_lm_eval.is_log,
    "Inspect": logs_inspect.is_log,
}
_KNOWN = (
    "samples_*.jsonl or results_*.json of lm-evaluation-harness, .eval or .json of Inspect, "
    "<uuid>.json with its samples of Every Eval Ever"
)
# The names of files of other tools, and what to do with them.
_FOREIGN = {
    "per_instance_stats*.json": f"HELM: {CONVERTERS['helm']}",
    "scenario_state*.json": f"HELM: {CONVERTERS['helm']}",
    "details_*.parquet": f"lighteval: {CONVERTERS['lighteval']}",
    "*_samples_*.jsonl": "lmms-eval, whose logs are not read here",
}


def _kind(path: Path) -> str:
    """Return which tool wrote the file or the folder, a key of `_READERS`."""
    files = files_in(path)
    kinds = [kind for kind, is_log in _IS_LOG.items() if any(map(is_log, files))]
    if len(kinds) == 1:
        return kinds[0]
    advice = next((said for file in files if (said := _foreign(file))), "")
    if path.is_dir():
        found = f"logs of {' and of '.join(kinds)}" if kinds else "none"
        raise ValueError(
            f"{str(path)!r} must be a folder of one tool's logs ({_KNOWN}), but holds {found}"
            f"{advice}"
        )
    by_suffix = {".parquet": "records", ".jsonl": "lm-eval", ".json": "Inspect"}
    if advice or path.suffix not in by_suffix:
        raise ValueError(
            f"{str(path)!r} is no log that we know: expected {_KNOWN}, or .parquet records{advice}"
        )
    if path.suffix == ".json" and is_results(read_json(path)):
        return "lm-eval"
    return by_suffix[path.suffix]


def _foreign(file: Path) -> str:
    """Return what to do with a file of another tool, or nothing if it is of none we know."""
    found = (tool for pattern, tool in _FOREIGN.items() if file.match(pattern))
    return "".join(f"; {file.name} looks like a file of {tool}" for tool in found)


def _names_from_paths(paths) -> list[str]:
    """Return what is different in the paths: "runs/a/x.eval", "runs/b/x.eval" are a/x and b/x."""
    whole = [Path(path).resolve() for path in paths]
    common = os.path.commonpath([path.parent for path in whole])
    short = [path if path.is_dir() else path.with_suffix("") for path in whole]
    return [path.relative_to(common).as_posix() for path in short]
