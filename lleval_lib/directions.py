"""What is measured on a task and which way is better: as the records say it, or the caller."""

from collections.abc import Mapping

import pandas as pd

_UNKNOWN = (
    "the records do not say which way is better, so the report tells which system is higher. Say "
    "it with higher_is_better=True or False, on the command line with --higher-is-better or "
    "--lower-is-better."
)


def about_tasks(
    records: pd.DataFrame, told: bool | Mapping[str, bool] | None
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Return a table of the tasks, and sentences on what is not sure, each with its task.

    The table has the columns ``metric`` (its name, or the names that the systems give it),
    ``higher_is_better`` and ``group``, each None where it is not known. `told` is the direction by
    the caller, of all tasks or by task ("" for all others), which counts more than the records.

    Raises ``ValueError`` for records of one task that contradict each other and for `told` that is
    no direction, ``LookupError`` for a task in `told` that the records lack.
    """
    parts = dict(list(records.groupby("task", sort=False)))
    told = _checked(told, list(parts))
    rows, said = {}, []
    for task, part in parts.items():
        says = _says(task, part, told)
        better = told.get(task, next(iter(says), None))
        if better is None:
            said.append((task, _UNKNOWN))
        elif says and says != {better}:
            said.append((task, _contradicted(better)))
        metric = ", ".join(dict.fromkeys(map(str, _known(part, "metric")))) or None
        group = next(iter(_known(part, "group")), None)
        rows[task] = {"metric": metric, "higher_is_better": better, "group": group}
    return pd.DataFrame.from_dict(rows, orient="index", dtype=object), said


def _known(part, column) -> list:
    """Return the different values of a column, without the missing."""
    return list(part[column].dropna().unique()) if column in part else []


def _says(task, part, told) -> set[bool]:
    """Return the directions that the records of a task give."""
    known = _known(part, "higher_is_better")
    strange = [value for value in known if value not in (True, False)]
    if strange:
        raise ValueError(
            f"column 'higher_is_better' of task {task!r} must hold True, False or None, not "
            f"{strange[0]!r}"
        )
    if len(known) > 1 and task not in told:
        raise ValueError(
            f"the records of task {task!r} say of some systems that higher is better and of others "
            f"that lower is: have they the same metric? If so, give higher_is_better={{{task!r}: "
            "True}, or False (--higher-is-better, --lower-is-better)"
        )
    return {bool(value) for value in known}


def _contradicted(better: bool) -> str:
    ours, theirs = ("higher", "lower") if better else ("lower", "higher")
    return f"you say that {ours} is better, the records that {theirs} is; the report follows you."


def _checked(told, tasks) -> Mapping[str, bool]:
    named = told if isinstance(told, Mapping) else {} if told is None else {"": told}
    for task, value in named.items():
        if not isinstance(value, bool):
            raise ValueError(f"higher_is_better must be True, False or None, not {value!r}")
        if task not in ("", *tasks):
            raise LookupError(
                f"higher_is_better names the task {task!r}; there are: {', '.join(tasks)}"
            )
    others = dict.fromkeys(tasks, named[""]) if "" in named else {}
    return others | {task: value for task, value in named.items() if task}
