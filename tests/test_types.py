"""An editor and a type checker know the names of ``ll.…`` and what they are."""

import subprocess
import sys
from pathlib import Path

import pytest
import reference
from fingerprint import public_names

ROOT = Path(__file__).resolve().parents[1]

SOURCE = """\
import lleval_lib as ll
reveal_type(ll.compare)
reveal_type(ll.mean_interval([0.0, 1.0]).low)
ll.mean_intervall
"""


def test_chapters_use_no_name_that_is_not_public():
    assert reference.taught_in(ROOT).keys() <= public_names(ROOT / "lleval_lib").keys()


@pytest.mark.slow
def test_a_type_checker_knows_the_library(tmp_path):
    (tmp_path / "user.py").write_text(SOURCE)
    command = [sys.executable, "-m", "mypy", tmp_path / "user.py"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    compare, low, wrong = [line for line in shown.splitlines() if "user.py" in line]
    assert compare.endswith('-> lleval_lib.results.Comparison"')
    assert low.endswith('"float"')
    assert 'has no attribute "mean_intervall"; maybe "mean_interval"' in wrong
