"""A bank's customer service: its documents, and what its customers want."""

import gzip
import json
import re

import pandas as pd

from ..fetching import read_members
from ._shared import counted

_QUOTED = re.compile(
    r"(?:opening|start naturally|\*\*start)[^\n]*?[\"“](.{20,}?)[\"”]", re.I | re.S
)
_TOLD = re.compile(r"(?:Start by|You're looking for)[^.]*\.")
_FAMILY_WORDS = 8


def load_banking() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the 698 documents and the 97 tasks of a bank's customer service.

    Documents have ``doc_id``, ``title`` and ``text``. Tasks have ``item_id``; ``family``, the
    cluster: the number of tasks' openings that begin with the same eight words, 71 in all, for many
    tasks are variants of one another; ``opening``, what the customer says first; ``instructions``,
    the whole script of the customer, which the service does not see; ``required``, the list of the
    ``doc_id`` of the documents that the task needs: 1 to 30, 9.8 on average, 215 in all.

    Of 89 tasks the script says the opening in quotation marks; of the others it is the first
    sentence that says what to ask for.

    Source: Shi et al. (2026), arXiv:2603.04370, the banking domain of τ-Knowledge, as it lies in
    inspect-evals 0.26.0, MIT. Bank and customers are invented.
    """
    packed, listed = read_members("banking").values()
    documents = pd.DataFrame(json.loads(gzip.decompress(packed)))
    documents = documents.rename(columns={"id": "doc_id", "content": "text"})
    tasks = pd.DataFrame(
        [
            {
                "item_id": task["id"],
                "opening": _opening(task["user_scenario"]["instructions"]),
                "instructions": task["user_scenario"]["instructions"],
                "required": task["required_documents"],
            }
            for task in json.loads(listed)
        ]
    )
    words = tasks.opening.str.lower().str.findall(r"[a-z']+").str[:_FAMILY_WORDS].str.join(" ")
    tasks.insert(1, "family", [f"family-{k:02d}" for k in pd.factorize(words)[0]])
    required = tasks.required.map(len)
    return (
        counted(documents[["doc_id", "title", "text"]], 698, "banking documents"),
        counted(tasks, 97, "banking tasks", required=(int(required.sum()), 949)),
    )


def _opening(script: str) -> str:
    """Return what the customer says first."""
    found = _QUOTED.search(script)
    words = found[1] if found else _TOLD.findall(script)[0]
    return " ".join(words.split())
