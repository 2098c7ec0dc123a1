"""Read logs as records, whatever tool wrote them.

Nothing is dropped in silence. What cannot be read whole, such as a truncated file, two runs of one
task, or items without a score, is an error that names the file and says what to do. The score that
the tool reported itself is computed anew from the items and must agree.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from . import logs_inspect, logs_lm_eval
from .logs_common import files_in, read_json
from .logs_inspect import read_inspect
from .logs_lm_eval import read_lm_eval
from .records import read_records


def read_systems(paths, *, names=None, cluster=None, **choices) -> list[pd.DataFrame]:
    """Return one table of records a path, whatever tool wrote it, with systems named apart.

    A path is what `read_lm_eval` or `read_inspect` takes, or a Parquet file of records, in which
    `cluster` names a column. `names` are the systems' names, one a path; without them the logs
    name the systems, or, where two logs give the same name, the paths do. `choices` are what the
    readers choose by: `metric` and `filter` in lm-eval, `scorer` in Inspect, each ``None`` if left
    out.
    """
    if names is not None and len(names) != len(paths):
        raise ValueError(f"{len(paths)} paths need {len(paths)} names, not {len(names)}")
    tables = [
        _read(Path(path), choices, system=name, cluster=cluster)
        for path, name in zip(paths, names or [None] * len(paths), strict=True)
    ]
    counts = Counter(name for table in tables for name in table.system.unique())
    shared = [name for name, count in counts.items() if count > 1]
    if not shared:
        return tables
    if names is not None or any(table.system.nunique() > 1 for table in tables):
        raise ValueError(f"the name {shared[0]!r} stands for two systems; give each its own name")
    return [
        table.assign(system=name)
        for table, name in zip(tables, _names_from_paths(paths), strict=True)
    ]


def _read(path: Path, choices: dict, *, system, cluster) -> pd.DataFrame:
    read, known = _READERS[_kind(path)]
    for name, value in choices.items():
        if value is not None and name not in known:
            raise ValueError(f"{str(path)!r} has no {name} to choose: leave out {name} {value!r}")
    own = {name: choices.get(name) for name in known}
    return read(path, **own, system=system, cluster=cluster)


def _read_own(path: Path, *, system, cluster) -> pd.DataFrame:
    records = read_records(path)
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


# What reads each kind of path, and what one may choose there.
_READERS: dict[str, tuple[Callable[..., pd.DataFrame], tuple[str, ...]]] = {
    "lm-eval": (read_lm_eval, ("metric", "filter")),
    "inspect": (read_inspect, ("scorer",)),
    "records": (_read_own, ()),
}


def _kind(path: Path) -> str:
    """Return which tool wrote the file or the folder, a key of `_READERS`."""
    files = files_in(path)
    if path.is_dir():
        tools = {"lm-eval": logs_lm_eval.is_log, "inspect": logs_inspect.is_log}
        kinds = [kind for kind, is_log in tools.items() if any(map(is_log, files))]
        if len(kinds) == 1:
            return kinds[0]
        found = "logs of both tools" if kinds else "neither"
        raise ValueError(
            f"{str(path)!r} must hold samples_*.jsonl of lm-evaluation-harness or logs of Inspect, "
            f"but holds {found}: name a folder of one tool's logs"
        )
    if path.suffix == ".parquet":
        return "records"
    if path.suffix == ".jsonl" or (path.suffix == ".json" and "lm_eval_version" in read_json(path)):
        return "lm-eval"
    if path.suffix in (".eval", ".json"):
        return "inspect"
    raise ValueError(
        f"{str(path)!r} is no log that we know: expected samples_*.jsonl or results_*.json of "
        "lm-evaluation-harness, .eval or .json of Inspect, or .parquet records"
    )


def _names_from_paths(paths) -> list[str]:
    """Return what is different in the paths: "runs/a/x.eval", "runs/b/x.eval" are a/x and b/x."""
    whole = [Path(path).resolve() for path in paths]
    if len(set(whole)) < len(whole):
        raise ValueError("the same path is given twice: a system cannot be compared with itself")
    common = os.path.commonpath([path.parent for path in whole])
    short = [path if path.is_dir() else path.with_suffix("") for path in whole]
    return [path.relative_to(common).as_posix() for path in short]
