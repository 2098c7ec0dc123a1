"""MMLU: multiple-choice questions of 57 subjects, with worked answers."""

import json
import re

import pandas as pd

from ..fetching import read_members
from ._shared import counted


def load_mmlu_dev() -> pd.DataFrame:
    """Return the 282 worked development questions of MMLU's 57 subjects.

    Columns: ``item_id``; ``subject``, the cluster; ``question``; ``choices``, a tuple of answer
    texts (four, in one question of college_chemistry five); ``answer``, the letter of the right
    one; ``rationale``, the worked reasoning that leads to it.

    MMLU has five such questions a subject; the file lacks one each of formal_logic,
    college_chemistry and human_aging. It is damaged in places: in five questions some ``\\frac``,
    ``\\factorial`` or ``\\right`` begins with a control character in place of its backslash and
    first letter, and two choices of high_school_biology-0 are the same.

    Source: Hendrycks et al. (2021), arXiv:2009.03300, MIT, with the chain-of-thought answers of
    Chung et al. (2022), arXiv:2210.11416, as lm-evaluation-harness 0.4.13 ships them.
    """
    (packed,) = read_members("mmlu-dev").values()
    rows = [
        _row(subject, i, question)
        for subject, text in json.loads(packed).items()
        for i, question in enumerate(re.split(r"(?:^|\n\n)Q: ", text)[1:])
    ]
    table = pd.DataFrame(rows)
    return counted(table, 282, "MMLU questions", subjects=(table.subject.nunique(), 57))


def _row(subject: str, number: int, text: str) -> dict:
    asked, _, answered = text.rpartition("\nA: Let's think step by step.")
    question, *lettered = re.split(r"\s\(([A-E])\)\s", asked)
    letters, choices = lettered[::2], lettered[1::2]
    answer = re.search(r"The answer is \(([A-E])\)\.\s*$", answered)
    if "".join(letters) not in ("ABCD", "ABCDE") or answer is None:
        raise ValueError(f"MMLU dev: question {number} of {subject} cannot be read: {text!r}")
    return {
        "item_id": f"{subject}-{number}",
        "subject": subject,
        "question": question.strip(),
        "choices": tuple(choice.strip() for choice in choices),
        "answer": answer[1],
        "rationale": answered[: answer.start()].strip(),
    }
