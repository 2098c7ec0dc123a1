"""HumanEval: functions to write in Python, each with tests."""

import gzip
import json

import pandas as pd

from ..fetching import read_members
from ._shared import counted


def load_human_eval() -> pd.DataFrame:
    """Return HumanEval, 164 functions to write in Python, each with a solution and tests.

    Columns: ``item_id``, such as "HumanEval/0"; ``name``, that of the function; ``prompt``, its
    head and docstring; ``solution``, a body that is right; ``test``, a program that defines
    ``check(candidate)``, which raises an error for a candidate that is wrong. No problem is known
    to depend on another. A program that a model wrote is run with `run_isolated` only.

    Source: Chen et al. (2021), arXiv:2107.03374, MIT; the text of human-eval 1.0.3.
    """
    (packed,) = read_members("human-eval").values()
    rows = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
    names = {
        "task_id": "item_id",
        "entry_point": "name",
        "prompt": "prompt",
        "canonical_solution": "solution",
        "test": "test",
    }
    table = pd.DataFrame(rows)[list(names)].rename(columns=names)
    return counted(table, 164, "HumanEval problems", ids=(table.item_id.nunique(), 164))
