"""ACLSum: papers in natural language processing, with a human summary of each of three aspects."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ..fetching import read_members
from ._shared import counted


def load_aclsum() -> pd.DataFrame:
    """Return ACLSum, 9,612 sentences of 250 papers in natural language processing.

    One row a sentence. Columns: ``item_id``; ``paper``, the cluster; ``split``, "train" (100
    papers), "validation" (50) or "test" (100); ``title``; ``section``, "abstract", "introduction"
    or "conclusion"; ``text``; and for each aspect ``challenge``, ``approach`` and ``outcome``,
    true where an annotator highlighted the sentence for it, with the paper's human summary of
    that aspect in ``challenge_summary``, ``approach_summary`` and ``outcome_summary``.

    Source: Takeshita et al. (2024), NAACL, arXiv:2403.05303, MIT.
    """
    rows = [
        row
        for path, content in read_members("aclsum").items()
        for line in content.splitlines()
        for row in _rows(Path(path).stem.replace("val", "validation"), json.loads(line))
    ]
    table = pd.DataFrame(rows)
    return counted(table, 9_612, "ACLSum sentences", papers=(table.paper.nunique(), 250))


def _rows(split: str, paper: dict) -> Iterator[dict]:
    summaries = {f"{aspect}_summary": text for aspect, text in paper["summary"].items()}
    for section, sentences in paper["sentences"].items():
        for i, text in enumerate(sentences):
            yield {
                "item_id": f"{paper['id']}-{section}-{i}",
                "paper": paper["id"],
                "split": split,
                "title": paper["title"],
                "section": section,
                "text": text,
                **{a: bool(marks[section][i]) for a, marks in paper["highlights"].items()},
                **summaries,
            }
