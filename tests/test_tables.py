"""A figure is named if no right and wrong answers can give it, and never else."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lleval_lib as ll
from lleval_lib.__main__ import main
from lleval_lib.tables import read_table

LM_EVAL = Path(__file__).parent / "logs" / "lm_eval"


def reasons(score, n, se=None, **options):
    table = pd.DataFrame({"score": score, "n": n} | ({} if se is None else {"se": se}))
    return ll.check_table(table, **options).reason.to_dict()


# Published figures --------------------------------------------------------------------------------


def test_published_means_that_cannot_be():
    """Scores on 124 questions that came from 125, and one on 374 (microsoft/SkillOpt#158)."""
    scores = ["22.4", "27.2", "52.0", "31.2", "29.6", "41.6"]
    found = reasons(scores, 124, percent=True)
    assert list(found) == [0, 1, 2, 3, 4, 5]
    assert found[1] == (
        "no number of right answers out of 124 gives 27.2: 33 give 26.6, 34 give 27.4"
    )
    assert reasons(scores, 125, percent=True) == {}
    assert reasons(["87.6"], 374, percent=True) == {
        0: "no number of right answers out of 374 gives 87.6: 327 give 87.4, 328 give 87.7"
    }
    # The example of Brown & Heathers's test in the R package scrutiny, 5.27 of 43, less 5.
    assert list(reasons(["0.27", "0.28"], 43)) == [0]


# lm-evaluation-harness#3966: algebra, prealgebra, number theory, counting, geometry, precalculus.
MATH = {
    "score": [0.856678, 0.787565, 0.707792, 0.577236, 0.439394, 0.348148],
    "n": [307, 193, 154, 123, 132, 135],
}
MATH_SE = [0.020031, 0.029519, 0.036767, 0.044725, 0.043363, 0.041153]


def test_published_standard_errors_that_cannot_be():
    found = reasons(**MATH, se=0.0, decimals=6)
    assert list(found) == [0, 1, 2, 3, 4, 5]
    assert found[0] == (
        "307 scores of 0 or 1 with the mean 0.856678 have a standard error of 0.02, not 0.0"
    )
    assert reasons(**MATH, se=MATH_SE, decimals=6) == {}
    # lm-evaluation-harness#2091: leaderboard_gpqa, rounded to four decimals.
    gpqa = {"score": ["0.3333", "0.3168", "0.3438"], "n": [198, 546, 448]}
    assert reasons(**gpqa, se=["0.0336", "0.0199", "0.0225"]) == {}
    assert list(reasons(**gpqa, se=["0.0336", "0.0198", "0.0225"])) == [1]


# Every table there is -----------------------------------------------------------------------------


@pytest.mark.parametrize("decimals", [1, 2, 3, 4, 12])
@pytest.mark.parametrize("percent", [False, True])
def test_what_can_be_is_never_named(decimals, percent):
    unit = 100 if percent else 1
    for n, ddof in itertools.product([1, 2, 3, 7, 40, 333], [0, 1]):
        k = np.arange(n + 1)
        se = np.sqrt(k / n * (1 - k / n) / max(n - ddof, 1))
        texts = [[f"{unit * x:.{decimals}f}" for x in column] for column in (k / n, se)]
        assert reasons(texts[0], n, texts[1], percent=percent) == {}


def test_what_cannot_be_is_named_by_trying_all_scores():
    n = 7
    vectors = np.array(list(itertools.product([0, 1], repeat=n)))
    possible = {
        (f"{v.mean():.2f}", f"{v.std(ddof=d) / np.sqrt(n):.3f}") for v in vectors for d in (0, 1)
    }
    means = [f"{k / 100:.2f}" for k in range(101)]
    ses = [f"{k / 1000:.3f}" for k in range(0, 230, 3)]
    pairs = list(itertools.product(means, ses)) + sorted(possible)
    score, se = zip(*pairs, strict=True)
    found = reasons(score, n, se)
    assert {pairs[k] for k in range(len(pairs)) if k not in found} == possible & set(pairs)


def test_digits_are_those_that_were_printed():
    # Of 6 answers 3 give 0.500. "0.50" is that too, 0.55 is not, and 0.6 may be 0.55 or 0.64.
    assert reasons(["0.5", "0.50", "0.500"], 6) == {}
    assert list(reasons(["0.7", "0.70", "0.700"], 3)) == [1, 2]
    assert list(reasons([0.7, 0.7], 3)) == []
    assert list(reasons([0.7, 0.7], 3, decimals=2)) == [0, 1]
    assert list(reasons(["5.0e-1", "1e-2"], 6)) == [1]
    assert reasons(["0.500"], 6, ["0.2"]) == {}
    assert list(reasons(["0.500"], 6, ["0.20"])) == []
    assert list(reasons(["0.500"], 6, ["0.19"])) == [0]


def test_a_missing_standard_error_is_not_checked():
    assert reasons(["0.500"] * 5, 6, [None, np.nan, "", "N/A", "0.9"]).keys() == {4}


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ({"score": [1]}, {}, "the table lacks the column 'n'; there are: score"),
        ({}, {}, "the table lacks the column 'score'; there are: none"),
        ({"score": [], "n": []}, {}, "the table has no rows"),
        ({"score": ["85%"], "n": [9]}, {}, "the score of row 0 is '85%', not one number without a"),
        ({"score": [None], "n": [9]}, {}, "the score of row 0 is 'None', not one number"),
        ({"score": ["nan"], "n": [9]}, {"decimals": 2}, "the score of row 0 is 'nan', not one"),
        ({"score": ["1"], "n": [9], "se": ["x"]}, {}, "the se of row 0 is 'x', not one number"),
        ({"score": ["1"], "n": [0]}, {}, "the n of row 0 is 0, not a whole number above 0"),
        ({"score": ["1"], "n": ["many"]}, {}, "the n of row 0 is 'many', not a whole number"),
        ({"score": ["1"], "n": [2.5]}, {}, "the n of row 0 is 2.5, not a whole number"),
        ({"score": ["1"], "n": [np.inf]}, {}, "the n of row 0 is inf, not a whole number"),
    ],
)
def test_what_is_no_table(table, options, message):
    with pytest.raises(ValueError, match=message):
        ll.check_table(pd.DataFrame(table), **options)


def test_a_mean_outside_0_and_1():
    assert reasons(["85.7", "-0.2"], 7) == {
        0: "85.7 is no mean of scores of 0 and 1; is it in percent?",
        1: "-0.2 is no mean of scores of 0 and 1",
    }
    assert reasons(["101.0"], 7, percent=True) == {0: "101.0 is no mean of scores of 0 and 1"}


# Files --------------------------------------------------------------------------------------------


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["check-table", *map(str, arguments)])
    return stopped.value.code, *capsys.readouterr()


def test_a_csv_of_printed_figures(tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_text("\ufeffsystem,score,se,n\n模型,27.2,4.00,124\nb,27.4,4.01,124\n", "utf-8")
    code, said, _ = run(capsys, path, "--percent")
    assert code == 1
    assert said.splitlines() == [
        *[
            "row 1, 模型: no number of right answers out of 124 gives 27.2: 33 give 26.6, 34 "
            "give 27.4"
        ],
        *["1 of 2 figures cannot be means of right and wrong answers"],
    ]
    path.write_text("score,n\n0.500,6\n", "utf-8")
    assert run(capsys, path)[:2] == (
        0,
        "0 of 1 figures cannot be means of right and wrong answers\n",
    )
    for text, reason in {"": "is no CSV table", "a,b\n1,2\n": "lacks the column 'score'"}.items():
        path.write_text(text, "utf-8")
        code, _, error = run(capsys, path)
        assert code == 2
        assert error.startswith("python -m lleval_lib check-table: error: ")
        assert reason in error


def test_results_of_lm_eval(tmp_path, capsys):
    """What the harness wrote can be; another standard error, or no k/n, cannot."""
    code, said, _ = run(capsys, LM_EVAL)
    assert (code, said) == (0, "0 of 6 figures cannot be means of right and wrong answers\n")
    shutil.copytree(LM_EVAL / "critic", tmp_path / "critic")
    (file,) = tmp_path.rglob("results_*.json")
    results = json.loads(file.read_text("utf-8"))
    results["results"]["reviews"]["acc_stderr,none"] = 0.07  # and not 0.0706
    results["results"]["reviews"]["acc_norm,none"] += 0.001
    file.write_text(json.dumps(results), "utf-8")
    code, said, _ = run(capsys, tmp_path)
    lines = said.splitlines()
    assert code == 1
    where = file.relative_to(tmp_path).as_posix()
    assert lines[0].startswith(
        f"{where}: reviews, acc,none: 48 scores of 0 or 1 with the mean 0.62"
    )
    assert "have a standard error of 0.0699 to 0.0706, not 0.07" in lines[0]
    assert "reviews, acc_norm,none: no number of right answers out of 48 gives" in lines[1]
    assert lines[2] == "2 of 2 figures cannot be means of right and wrong answers"
    code, _, error = run(capsys, LM_EVAL.parent / "inspect")
    assert code == 2
    assert "holds no figures to check" in error


def test_the_n_that_lm_eval_reports_wrongly(capsys):
    """With --samples, lm-eval 0.4.9.2 reports all documents as n, whatever it took (#4089)."""
    folder = LM_EVAL.parent / "lm_eval_kinds" / "some-0.4.9.2"
    code, said, _ = run(capsys, folder)
    assert code == 1
    assert (
        "sums_large, acc,none: no number of right answers out of 9 gives 0.5: 4 give 0.444444,"
        in said
    )
    assert (
        "sums_small, acc,none: 6 scores of 0 or 1 with the mean 0.5 have a standard error of 0."
        in said
    )
    table, _ = read_table(folder)
    n = []
    for name in table.index:
        task = name.split(": ")[1].split(",")[0]
        (samples,) = folder.rglob(f"samples_{task}_*")
        n.append(len(samples.read_text("utf-8").splitlines()))
    assert len(set(n)) > 1
    assert ll.check_table(table.assign(n=n)).empty


def test_what_is_not_checked_is_named(capsys):
    folder = LM_EVAL.parent / "lm_eval_kinds" / "exact-0.4.13"
    checked, left = read_table(folder)
    assert [name.split(": ")[1] for name in checked.index if "sums_written" in name] == [
        *["sums_written, exact_match,strict-match", "sums_written, exact_match,flexible-extract"]
    ]
    assert any(name.endswith("sums_scored, mae,none") for name in left)
    _, said, _ = run(capsys, folder)
    assert all(f"  {name}" in said for name in left)
