"""What a reader of a task's numbers must know: sentences on items, scores and set-ups."""

import pandas as pd

from .intervals import FEW_CLUSTERS
from .report_items import listed
from .report_words import short_names

# What a result's warning means, by how it begins.
_WARNINGS = {
    "few discordant": "the systems differ on few items, and these lie in clusters; the p-value "
    "keeps its promise, the interval covers less than it says.",
    "skewed": "the differences are skewed, so that a few large ones make the mean; intervals and "
    "p-values are not to be trusted.",
}


def limits(part: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """Return sentences on a task: `part` are its records, `found` its differences."""
    return [*_of_items(found), *_of_scores(part, found), *_of_runs(part)]


def _of_items(found):
    n, groups = found.n.iloc[0], found.n_clusters.iloc[0]
    if groups == n:
        yield (
            "nothing is clustered, so every item counts as independent. If items share a text, a "
            "topic or an author, name that field as the cluster, or the intervals are too narrow."
        )
    worth = found.df.min() + 1
    if worth < FEW_CLUSTERS:
        kind = "items" if groups == n else "clusters of one size"
        yield (
            f"this has the worth of only {worth:.2g} {kind}; intervals and p-values rest on the "
            "scores being of a normal shape."
        )
    for start, sentence in _WARNINGS.items():
        if found.warning.str.startswith(start).any():
            yield sentence


def _of_scores(part, found):
    for name, own in part.groupby("system", sort=False):
        if own.score.nunique() == 1:
            yield (
                f"all scores of {name} are {own.score.iloc[0]:g}, which does not mean that all "
                "would be."
            )
    for row in found[found.se == 0].itertuples():
        if row.n_different == 0:
            apart = "have the same score on every item"
        else:
            each = "item" if row.n_clusters == row.n else "cluster"
            apart = f"differ by {row.estimate:+g} on every {each}"
        yield f"{row.b} and {row.a} {apart}; the p-value is that of their signs alone."


def _of_runs(part):
    told = _apart(part, "source")
    if told:
        yield (
            f"the logs were written by different versions ({told}); a prompt or a scorer may have "
            "changed in between."
        )
    told = _apart(part, "metric")
    if told:
        yield f"the scores are of different metrics ({told}); is that the same?"
    for column in [name for name in part if str(name).startswith("setting_")]:
        told = _apart(part, column)
        if told:
            yield (
                f"the systems were not run alike: {column.removeprefix('setting_')} is {told}. The "
                "difference may come from that."
            )


def _apart(part, column: str) -> str:
    """Return which value of a column is of which systems, or nothing unless two differ."""
    if column not in part or part[column].nunique() < 2:
        return ""
    known = part[["system", column]].dropna().drop_duplicates()
    # A value may be a whole chat template.
    of = {str(value): list(rows.system) for value, rows in known.groupby(column, sort=False)}
    short = short_names(of, 60)
    return "; ".join(
        f"{' '.join(short[value].split()) or 'nothing'} for {listed(names)}"
        for value, names in of.items()
    )
