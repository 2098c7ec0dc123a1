"""One answer for a benchmark of many tasks: the mean of all items, and the mean of the tasks."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from .intervals import macro_interval, mean_interval, proportion_interval, right_or_wrong
from .many import compare_all
from .pairs import macro_compare
from .report_items import Said, listed
from .results import table as table_of


class Unit(NamedTuple):
    """Scores that get one answer: `scores` of items by systems, a `cluster` and a `task` an item.

    `macro` is whether every task counts the same, else every item does. `about` are the columns
    that its differences have in common.
    """

    scores: pd.DataFrame
    cluster: np.ndarray
    task: np.ndarray
    macro: bool
    about: dict


def single(task: str, table: pd.DataFrame, about: dict) -> Unit:
    """Return one task, of which `table` is the table of scores indexed by cluster."""
    scores = table.reset_index(drop=True)
    return Unit(scores, table.index.to_numpy(), np.full(len(table), task), False, about)


def means(unit: Unit, confidence: float) -> pd.DataFrame:
    """Return one row a system: its mean with its interval, and the range of its scores."""
    found = {}
    shares = all(right_or_wrong(scores.to_numpy()) for _, scores in unit.scores.items())
    for name, scores in unit.scores.items():
        values, cluster = scores.to_numpy(), unit.cluster
        if unit.macro:
            found[name] = macro_interval(values, unit.task, cluster=cluster, confidence=confidence)
        else:
            interval = proportion_interval if shares else mean_interval
            found[name] = interval(values, cluster=cluster, confidence=confidence)
    ends = {"least": unit.scores.min(), "most": unit.scores.max()}
    return table_of(found).assign(**ends).rename_axis("system").reset_index()


def differences(unit: Unit, baseline: str, confidence: float) -> pd.DataFrame:
    """Return one row a system but the baseline, as `compare_all` does, and what `unit` is about."""
    scores, cluster = unit.scores, unit.cluster
    if unit.macro:
        found = _macro_differences(unit, baseline, confidence)
    else:
        found = compare_all(
            scores, correction="none", baseline=baseline, cluster=cluster, confidence=confidence
        )
    different = [int((scores[row.a] != scores[row.b]).sum()) for row in found.itertuples()]
    return found.assign(n_different=different, **unit.about)


def _macro_differences(unit, baseline, confidence) -> pd.DataFrame:
    first, rows = unit.scores[baseline].to_numpy(), []
    for name in unit.scores.columns.drop(baseline):
        other, cluster = unit.scores[name].to_numpy(), unit.cluster
        found = macro_compare(first, other, unit.task, cluster=cluster, confidence=confidence)
        rows.append(replace(found, a=baseline, b=name))
    table = table_of(rows)
    return table.assign(p_adjusted=table.p_value)


def wholes(
    tables: dict[str, pd.DataFrame], about: pd.DataFrame
) -> tuple[dict[str, Unit], set[str], Said]:
    """Return the answers of whole benchmarks by name, the tasks that they hold, and warnings.

    `tables` are the tables of scores of the tasks, `about` has their ``metric``,
    ``higher_is_better`` and ``group``. Tasks of one group, metric and direction are a benchmark;
    so are those without a group, if their metric is known.
    """
    units: dict[str, Unit] = {}
    held: set[str] = set()
    said: Said = []
    about = about.loc[list(tables)]
    known = about[about.group.notna() | about.metric.notna()]
    kinds = known.groupby(["group", "metric", "higher_is_better"], sort=False, dropna=False)
    for (group, metric, _), members in kinds:
        if len(members) < 2:
            continue
        name = _name(group, metric, about)
        kept = {task: tables[task] for task in members.index}
        found, left = _units(name, kept, pd.notna(group), members.iloc[0].drop("group").to_dict())
        units |= found
        held |= set(members.index) if found else set()
        said += [(name, sentence) for sentence in left]
    return units, held, said


def _name(group, metric, about) -> str:
    if pd.isna(group):
        alone = about.group.isna().all() and about.metric.nunique(dropna=False) == 1
        return "all tasks" if alone else str(metric)
    alone = about[about.group == group].metric.nunique(dropna=False) == 1
    return str(group) if alone else f"{group}, {metric}"


def _units(name, tables, pooled: bool, about) -> tuple[dict[str, Unit], list[str]]:
    said = []
    systems = list(dict.fromkeys(system for table in tables.values() for system in table))
    whole = [s for s in systems if all(s in table for table in tables.values())]
    if whole != systems:
        lost = [system for system in systems if system not in whole]
        said.append(f"{listed(lost)} did not answer all {len(tables)} tasks and is left out here.")
    if len(whole) < 2:
        return {}, said
    unit = _stacked({task: table[whole] for task, table in tables.items()}, about)
    if len(set(unit.cluster)) < 2:
        return {}, [*said, "all its items lie in one cluster, so the whole is not compared."]
    units = {f"{name} (all items)": unit} if pooled else {}
    enough = [task for task, table in tables.items() if table.index.nunique() > 1]
    kept = np.isin(unit.task, enough)
    cluster, task = unit.cluster[kept], unit.task[kept]
    if pd.Series(task).groupby(cluster).nunique().max() > 1:
        said.append("clusters lie in several of its tasks, so the mean of its tasks is not shown.")
    elif len(enough) > 1:
        scores = unit.scores[kept].reset_index(drop=True)
        units[f"{name} (mean of {len(enough)} tasks)"] = Unit(scores, cluster, task, True, about)
    return units, said


def _stacked(tables, about) -> Unit:
    """Return the items of all tasks; an item that is its own cluster is so in its task only."""
    clusters = [
        [f"{task}: {label}" for label in table.index]
        if table.index.name == "item_id"
        else table.index
        for task, table in tables.items()
    ]
    scores = pd.concat(tables.values(), ignore_index=True)
    tasks = np.repeat(list(tables), [len(table) for table in tables.values()])
    return Unit(scores, np.concatenate(clusters), tasks, False, about)
