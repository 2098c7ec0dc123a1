"""What a report compares: items without a score settled, and the items that all systems have."""

from collections.abc import Iterable, Mapping

import pandas as pd

from .inputs import paired_systems
from .records import validate_records

# Sentences with the task that each is about.
Said = list[tuple[str, str]]
MISSING = ("refuse", "drop", "wrong", "bounds")


def one_table(records: pd.DataFrame | Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return one validated table of records; items may lack a score.

    Raises ``ValueError`` for what is no table of records or list of them, for a system in two
    tables and for one without a name.
    """
    tables = [records] if isinstance(records, pd.DataFrame) else _list_of(records)
    seen: dict[str, int] = {}
    for place, table in enumerate(tables, start=1):
        for name in validate_records(table, missing="keep").system.unique():
            if not name.strip():
                raise ValueError(
                    "a system in the records has an empty name: name it, such as with system= "
                    "where the logs are read, or --names on the command line"
                )
            if name in seen:
                raise ValueError(
                    f"system {name!r} stands in table {seen[name]} and in table {place}: name "
                    "them apart, such as with system= where the logs are read"
                )
            seen[name] = place
    return pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]


def _list_of(records) -> list[pd.DataFrame]:
    advice = "give a table of records or a list of them, such as read_lm_eval and load_records make"
    if isinstance(records, Mapping | str) or not isinstance(records, Iterable):
        raise ValueError(f"records are a {type(records).__name__}: {advice}")
    tables = list(records)
    if not tables:
        raise ValueError(f"there are no records: {advice}")
    strange = [table for table in tables if not isinstance(table, pd.DataFrame)]
    if strange:
        raise ValueError(f"records hold a {type(strange[0]).__name__}: {advice}")
    return tables


def settled(
    records: pd.DataFrame, missing: str, baseline: str, better: Mapping[str, bool | None]
) -> tuple[list[pd.DataFrame], Said]:
    """Return the records with a score for every item, and what was done about those without.

    For `missing` "bounds" there are two tables: in the first the items without a score are right
    for the `baseline` and wrong for all others, in the second the reverse. `better` says of each
    task whether higher is better. Raises ``ValueError`` for "refuse" if there is such an item, and
    where the worst value of a task is not known.
    """
    if missing not in MISSING:
        raise ValueError(f"missing must be one of {', '.join(MISSING)}, not {missing!r}")
    gaps = records.score.isna()
    if not gaps.any():
        return [records], []
    counts = records.system[gaps].value_counts(sort=False)
    told = ", ".join(f"{count:,} of {name}" for name, count in counts.items())
    told = told.replace(" of ", " items of " if counts.iloc[0] > 1 else " item of ", 1)
    told += " has no score" if gaps.sum() == 1 else " have no score"
    tasks = list(records.task[gaps].unique())
    if missing == "refuse":
        raise ValueError(
            f"{listed(tasks)}: {told}. Say what such an item counts: missing='drop' leaves it out "
            "for all systems, 'wrong' takes it for wrong, 'bounds' shows both extremes (on the "
            "command line --missing)"
        )
    if missing == "drop":
        return _dropped(records, gaps, told)
    for task in tasks:
        _require_shares(task, records.score[records.task == task], missing, better[task])
    said = [(task, f"{told}: {_DONE[missing]}") for task in tasks]
    if missing == "wrong":
        return [records.assign(score=records.score.fillna(0.0))], said
    of_baseline = (records.system == baseline).astype(float)
    fills = of_baseline, 1 - of_baseline
    return [records.assign(score=records.score.fillna(fill)) for fill in fills], said


_DONE = {
    "drop": "these items are left out for all systems, which is fair only if they lack their score "
    "by chance.",
    "wrong": "these items count as wrong.",
    "bounds": "differences and intervals reach from one extreme, where these items are right for "
    "the one system and wrong for the other, to the reverse.",
}


def _dropped(records, gaps, told) -> tuple[list[pd.DataFrame], Said]:
    key = pd.MultiIndex.from_frame(records[["task", "item_id"]])
    kept = records[~key.isin(key[gaps])]
    said = [(task, f"{told}: {_DONE['drop']}") for task in records.task[gaps].unique()]
    gone = [task for task in records.task.unique() if task not in set(kept.task)]
    said += [(task, "nothing is compared, because no item has all its scores.") for task in gone]
    return [kept], said


def _require_shares(task, scores, missing, higher_is_better) -> None:
    """Raise ``ValueError`` unless the worst value of a task's scores is known to be 0."""
    least, most = scores.min(), scores.max()
    why = None
    if pd.isna(least):
        why = "none of its items has a score"
    elif least < 0 or most > 1:
        why = f"its scores go from {least:g} to {most:g}, not from 0 to 1"
    elif missing == "wrong" and higher_is_better is None:
        why = "nobody says which way is better: give higher_is_better= (--higher-is-better)"
    elif missing == "wrong" and not higher_is_better:
        why = "lower is better, and nothing says how high a score may be"
    if why:
        raise ValueError(
            f"missing={missing!r}: the worst score of task {task!r} is not known, because {why}; "
            "missing='drop' leaves out the items without a score"
        )


def common_items(table: pd.DataFrame, baseline: str) -> tuple[pd.DataFrame | None, list[str]]:
    """Return the rows of a task whose item every system has, and sentences on what is left out.

    There are no rows where nothing can be compared.
    """
    items = {name: set(part.item_id) for name, part in table.groupby("system", sort=False)}
    if len(items) < 2 or baseline not in items:
        return None, [f"nothing is compared, because only {listed(list(items))} answered it."]
    common = set.intersection(*items.values())
    hint = _shuffled(table)
    if not common:
        hint = hint or " Were they run on the same data, and with the same tool?"
        return None, [f"nothing is compared, because the systems have no item in common.{hint}"]
    left = {name: len(have) - len(common) for name, have in items.items() if have != common}
    if not left:
        return table, []
    told = ", ".join(f"{count:,} of {name}" for name, count in left.items())
    said = f"the item sets differ; {len(common):,} common items are compared, left out are {told}."
    return table[table.item_id.isin(common)], [said + hint]


def _shuffled(table) -> str:
    """Return a word on samples that have one id in all logs, but not one content."""
    if "sample_id" not in table or table.sample_id.isna().any():
        return ""
    apart = int((table.groupby("sample_id").item_id.nunique() > 1).sum())
    if not apart:
        return ""
    what = "samples have one id" if apart > 1 else "sample has one id"
    return (
        f" {apart:,} {what} in these logs but not one content: the samples were shuffled, or the "
        "tasks differ."
    )


def score_table(task: str, part: pd.DataFrame) -> pd.DataFrame:
    """Return one row an item, whose index is its cluster, and one column of scores a system.

    The index is named "item_id" where every item is its own cluster, else "cluster". Raises
    ``ValueError`` naming the task for an item whose target or cluster differs.
    """
    first, *others = (part[part.system == name] for name in part.system.unique())
    columns = {}
    for other in others:
        try:
            (a, b), x, y, _ = paired_systems(first, other)
        except ValueError as error:
            raise ValueError(f"task {task!r}: {error}") from error
        columns |= {a: x, b: y}
    own = (first.cluster == first.item_id).all()
    return pd.DataFrame(columns, pd.Index(first.cluster, name="item_id" if own else "cluster"))


def listed(names: list[str], most: int = 3) -> str:
    """Return the first names in words, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
