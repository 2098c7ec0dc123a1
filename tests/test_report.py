"""The report says what the statistics say, in words, tables and pictures."""

import itertools
import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

import lleval_lib as ll
from lleval_lib import many
from lleval_lib.records import make_records
from lleval_lib.report_views import colors
from lleval_lib.report_words import short_names
from lleval_lib.terms import CORRECTIONS, TERMS

LM_EVAL = Path(__file__).parent / "logs" / "lm_eval"


def table(system, scores, task="t", clusters=None, first=0, better=True, **more):
    """Return the records of a system on the items numbered from `first`."""
    names = [f"i{first + k}" for k in range(len(scores))]
    items = pd.DataFrame({"item_id": names, "cluster": clusters or names, "target": "yes"})
    more["higher_is_better"] = better
    return make_records(system, task, items, prediction="yes", score=scores, missing="keep", **more)


def draw(rng, n=120, p=0.6):
    return (rng.random(n) < p).astype(float)


@pytest.fixture
def three():
    """Return records of three systems on 120 items in 40 clusters."""
    rng = np.random.default_rng(0)
    films = [f"film {k // 3}" for k in range(120)]
    systems = {"a": 0.5, "b": 0.6, "c": 0.75}
    return pd.concat([table(name, draw(rng, p=p), clusters=films) for name, p in systems.items()])


# What the report holds ----------------------------------------------------------------------------


def test_its_numbers_are_those_of_the_statistics(three):
    report = ll.comparison_report(three, confidence=0.9)
    of = dict(list(three.groupby("system")))
    assert report.systems.system.to_list() == ["a", "b", "c"]
    for row in report.systems.itertuples():
        found = ll.proportion_interval(of[row.system], confidence=0.9)
        expected = (found.estimate, found.low, found.high, found.n, found.n_clusters)
        assert (row.estimate, row.low, row.high, row.n, row.n_clusters) == expected
    differences = report.differences
    assert list(zip(differences.a, differences.b, strict=True)) == [("a", "b"), ("a", "c")]
    for row in differences.itertuples():
        found = ll.compare(of[row.a], of[row.b], confidence=0.9)
        d = found.difference
        assert (row.estimate, row.low, row.high, row.se) == (d.estimate, d.low, d.high, d.se)
        assert row.p_value == found.p_value
        # The smallest difference that Student's t finds with 80% probability, by its definition.
        assert ll.power(row.detectable, row.se, df=39, confidence=0.9) == pytest.approx(
            0.8, abs=0.01
        )
    holm = multipletests(differences.p_value, method="holm")[1]
    assert differences.p_adjusted.to_list() == holm.tolist()
    assert report.warnings == ()
    # Reports hold tables, whose comparison would raise.
    assert report == report
    assert report != ll.comparison_report(three)


def test_baseline_and_correction(three):
    report = ll.comparison_report(three, baseline="c", correction="bonferroni")
    assert report.differences.a.to_list() == ["c", "c"]
    assert report.differences.b.to_list() == ["a", "b"]
    twice = np.minimum(2 * report.differences.p_value, 1)
    assert report.differences.p_adjusted.to_list() == twice.to_list()
    plain = ll.comparison_report(three, correction="none").differences
    assert plain.p_adjusted.to_list() == plain.p_value.to_list()
    assert "after no correction" in ll.comparison_report(three, correction="none").to_markdown()


def test_tasks_are_reported_apart_and_corrected_together():
    rng = np.random.default_rng(1)
    records = [
        pd.concat([table(name, draw(rng), task) for task in ("t1", "t2", "t3")]) for name in "ab"
    ]
    records.append(table("c", draw(rng), "t2"))
    report = ll.comparison_report(records)
    assert report.systems.groupby("task", sort=False).size().to_dict() == {
        "t1": 2,
        "t2": 3,
        "t3": 2,
    }
    assert report.differences.task.to_list() == ["t1", "t2", "t2", "t3"]
    holm = multipletests(report.differences.p_value, method="holm")[1]
    assert report.differences.p_adjusted.to_numpy() == pytest.approx(holm)
    for text in (str(report), report.to_markdown(), report.to_html()):
        assert all(task in text for task in ("t1", "t2", "t3"))
    # What holds for several tasks is said once, and a task without the baseline is left out.
    assert len(report.warnings) == 1
    assert report.warnings[0].startswith("t1, t2, t3: nothing is clustered")
    others = [table(name, draw(rng), "t4") for name in "de"]
    lonely = ll.comparison_report([*records, *others])
    assert "t4: nothing is compared, because only d, e answered it." in lonely.warnings
    assert set(lonely.systems.task) == {"t1", "t2", "t3"}
    assert set(lonely.differences.a) == {"a"}


def test_only_common_items_are_compared_and_what_is_left_out_is_said():
    rng = np.random.default_rng(2)
    a, b = table("a", draw(rng, 120)), table("b", draw(rng, 100), first=40)
    report = ll.comparison_report([a, b])
    assert set(report.systems.n) == {80}
    assert (
        "t: the item sets differ; 80 common items are compared, left out are 40 of a, 20 of b."
        in report.warnings
    )
    common = a[a.item_id.isin(b.item_id)]
    assert report.systems.estimate[0] == common.score.mean()
    means = report.systems.estimate
    assert report.differences.estimate[0] == pytest.approx(means[1] - means[0])


@pytest.mark.parametrize(
    ("a", "b", "warning"),
    [
        ([0, 1] * 20, [1, 1, 0, 1] * 10, "t: nothing is clustered, so every item counts as indep"),
        ([0, 1] * 4, [1, 1, 0, 1] * 2, "t: this has the worth of only 8 items; intervals and p"),
        ([0, 1] * 20, [1] * 40, "t: all scores of b are 1, which does not mean that all would"),
        ([0, 1] * 20, [0, 1] * 20, "t: b and a have the same score on every item; the p-value is"),
        ([0, 1] * 20, [2, 3] * 20, "t: b and a differ by +2 on every item"),
        ([0.1, 0.7] * 20, [0.2, 0.8] * 20, "t: b and a differ by +0.1 on every item"),
    ],
)
def test_warnings(a, b, warning):
    report = ll.comparison_report([table("a", a), table("b", b)])
    assert any(said.startswith(warning) for said in report.warnings), report.warnings
    for text in (str(report), report.to_markdown(), report.to_html()):
        assert warning[:20] in re.sub(r"\s+", " ", text)
        assert "nan" not in text


@pytest.fixture
def logged():
    """Return the records of two real runs of lm-evaluation-harness."""
    return [
        ll.read_lm_eval(LM_EVAL / name, metric="acc", system=name, cluster="film")
        for name in ("sentiment", "critic")
    ]


def better(records):
    """Return records that say that higher is better."""
    return [table.assign(higher_is_better=True) for table in records]


def test_few_clusters(logged):
    few = [part[part.cluster.isin(part.cluster.unique()[:6])] for part in logged]
    worth, discordant = ll.comparison_report(better(few)).warnings
    assert worth.startswith("reviews: this has the worth of only 6 clusters of one size;")
    assert discordant.startswith("reviews: the systems differ on few items, and these lie in")


def test_logs_of_different_versions(logged):
    a, b = logged
    report = ll.comparison_report([a, b.assign(source="lm-eval 0.4.9")])
    said = "different versions (lm-eval 0.4.13 for sentiment; lm-eval 0.4.9 for critic)"
    assert any(said in warning for warning in report.warnings)


def test_verdicts():
    rng = np.random.default_rng(3)
    a = draw(rng, 400, 0.5)
    better = np.maximum(a, draw(rng, 400, 0.3))
    (said,) = ll.comparison_report([table("a", a), table("b", better)]).verdicts()
    d = ll.compare(a, better).difference
    assert said == (
        f"b is better than a by {100 * d.estimate:.1f} points; a difference below "
        f"{100 * d.low:.1f} is excluded"
    )
    (said,) = ll.comparison_report([table("b", better), table("a", a)]).verdicts()
    assert said.startswith("b is better than a by ")
    assert said.endswith(f"a difference below {100 * d.low:.1f} is excluded")
    same = draw(rng, 400, 0.5)
    d = ll.compare(a, same).difference
    (said,) = ll.comparison_report([table("a", a), table("b", same)]).verdicts()
    assert said == (
        f"not decided: b - a may be anything from {100 * d.low:+.1f} to {100 * d.high:+.1f} points"
    )


def test_a_verdict_that_the_correction_takes_back():
    rng = np.random.default_rng(4)
    base = rng.normal(size=100)
    # A difference whose p is about 0.03 alone, beside four systems without any.
    noise = rng.normal(size=100)
    shifted = base + (noise - noise.mean()) / stats.sem(noise) / 10 * 0.1 + 0.022
    others = {f"o{k}": base + 0.1 * rng.normal(size=100) for k in range(4)}
    systems = {"a": base, "b": shifted, **others}
    report = ll.comparison_report([table(name, scores) for name, scores in systems.items()])
    row = report.differences.iloc[0]
    assert row.p_value < 0.05 < row.p_adjusted
    assert report.verdicts()[0] == (
        "not decided: by itself the difference b - a would be significant, but not among 5 "
        "comparisons, after Holm's correction"
    )


def test_only_shares_are_called_points_task_by_task():
    rng = np.random.default_rng(5)
    grades, shares = rng.normal(50, 5, 60), rng.random(60) / 2
    better = grades + rng.normal(3, 1, 60), shares + rng.normal(0.1, 0.01, 60).clip(0)
    records = [
        pd.concat([table("a", grades), table("a", shares, "shares")]),
        pd.concat([table("b", better[0]), table("b", better[1], "shares")]),
    ]
    of_grades, of_shares = ll.comparison_report(records).verdicts()
    d, e = (ll.compare(*both).difference for both in ((grades, better[0]), (shares, better[1])))
    assert of_grades == (
        f"b is better than a by {d.estimate:.3g}; a difference below {d.low:.3g} is excluded"
    )
    assert of_shares == (
        f"b is better than a by {100 * e.estimate:.1f} points; a difference below "
        f"{100 * e.low:.1f} is excluded"
    )


A, B = table("a", [0, 1]), table("b", [0, 1])


@pytest.mark.parametrize(
    ("records", "options", "error", "message"),
    [
        ([], {}, ValueError, "there are no records"),
        ([A], {}, ValueError, "t: nothing is compared, because only a answered it"),
        ([A, B.assign(task="u")], {}, ValueError, "u: nothing is compared, because only b answ"),
        ([A, A], {}, ValueError, "'a' stands in table 1 and in table 2"),
        (
            [A, table("b", [0, 1], first=9)],
            {},
            ValueError,
            "t: nothing is compared, because the systems have no item in common. Were they run",
        ),
        (
            [A, B.assign(target="no")],
            {},
            ValueError,
            "task 't': column 'target': item 'i0' is not the same in a .'yes'. and b",
        ),
        ([A, B], {"baseline": "z"}, LookupError, "no system is called 'z'; there are: a, b"),
        ([A, B], {"correction": "tukey"}, ValueError, "correction must be one of"),
        ([A, B], {"confidence": 95}, ValueError, "confidence must lie between 0 and 1"),
        (pd.DataFrame({"score": [1]}), {}, ValueError, "records lack the column 'system'"),
    ],
)
def test_bad_input(records, options, error, message):
    with pytest.raises(error, match=message):
        ll.comparison_report(records, **options)


# How it is written down ---------------------------------------------------------------------------


def test_text_fits_a_terminal(three):
    long = three.assign(
        system="an organisation/a model with a very long name, variant " + three.system
    )
    for records in (three, long, ll.load_records("reviews")):
        text = str(ll.comparison_report(records))
        assert max(map(len, text.splitlines())) <= 100
    report = ll.comparison_report(three)
    first, second = report.systems.iloc[1], report.differences.iloc[1]
    rows = [line.split() for line in str(report).splitlines()]
    ends = [f"[{first.low:.3f},", f"{first.high:.3f}]"]
    assert ["b", f"{first.estimate:.3f}", *ends] in rows
    ends = [f"[{second.low:+.3f},", f"{second.high:+.3f}]"]
    assert ["c", f"{second.estimate:+.3f}", *ends] in [row[:4] for row in rows]
    assert "t: 120 items in 40 clusters" in str(report)


class Balance(HTMLParser):
    """Checks that every element is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)


def test_page_needs_nothing_else_and_trusts_no_name(three):
    three = three.assign(system="<script>alert(1)</script> & " + three.system, task="a|b <i>")
    page = ll.comparison_report(three).to_html()
    checked = Balance()
    checked.feed(page)
    assert checked.open == []
    assert not checked.seen & {"script", "link", "img", "iframe", "i"}
    assert {"title", "svg", "circle"} <= checked.seen
    assert not re.search(r"https?:|url\(|src=|@import|href=", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; b" in page


def test_the_notebook_shows_the_page_with_lines_where_the_numbers_are(three):
    report = ll.comparison_report(three)
    shown = report._repr_html_()
    assert shown in report.to_html()
    means, gaps = report.systems.estimate, report.differences.estimate
    assert f"{gaps[1]:+.3f}" in shown
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)%"', shown)]
    assert len(places) == 5  # three means and two differences
    for values, drawn in ((means, places[:3]), (gaps, places[3:])):
        assert np.corrcoef(values, drawn)[0, 1] == pytest.approx(1, abs=1e-6)
        assert all(0 < place < 100 for place in drawn)


GLOSSARY = {
    "interval": "Confidence interval",
    "clusters": "Cluster",
    "p": "P-value",
    "detectable": "Detectable difference",
}


def test_terms_are_explained_in_one_wording(three):
    report = ll.comparison_report(three)
    pages = [re.sub(r"\s+", " ", unescape(p)) for p in (report.to_html(), report.to_markdown())]
    for term, meaning in TERMS.items():
        assert f"<dt>{term}</dt><dd>{meaning}" in pages[0]
        assert f"- **{term}**: {meaning}" in pages[1]
    text = (Path(__file__).parents[1] / "book" / "glossary.md").read_text("utf-8")
    for term, entry in GLOSSARY.items():
        (said,) = re.findall(rf"^{entry} \(.+\)\n    (.+)", text, re.M)
        assert TERMS[term] in said[0].lower() + said[1:]
    assert set(CORRECTIONS) == set(many.CORRECTIONS)


def test_markdown_tables(three):
    three = three.assign(system=three.system + "|x")
    text = ll.comparison_report(three).to_markdown()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == (2 + 3) + (2 + 2)
    cells = [len(re.split(r"(?<!\\)\|", row)) for row in rows]
    assert cells == [5] * 5 + [8] * 4
    assert "forest.png" not in text


def test_saved_files(three, tmp_path):
    report = ll.comparison_report(three)
    path = report.save(tmp_path / "new" / "folder")
    assert path.read_text("utf-8") == report.to_html()
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    path = report.save(tmp_path / "md", "markdown")
    assert "![Differences with their intervals](forest.png)" in path.read_text("utf-8")
    assert (tmp_path / "md" / "forest.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="format must be 'html' or 'markdown', not 'pdf'"):
        report.save(tmp_path, "pdf")


def test_figure_has_every_difference(three):
    axes = ll.comparison_report(three).plot()
    assert [t.get_text() for t in axes.get_yticklabels()] == ["b", "c"]
    assert axes.get_xlabel() == "difference from a"


def pages(three):
    """Return reports of every kind that a page shows."""
    rng = np.random.default_rng(20)
    parts = subjects(
        rng, "ab", {"a": 0.2, "b": 0.9}, group="a_benchmark_with_a_long_name", metric="a"
    )
    gaps = pd.concat(parts, ignore_index=True)
    gaps["score"] = gaps.score.where(gaps.index % 9 > 0)
    names = {name: f"a model with a longer name, variant {name}" for name in "abc"}
    long = three.assign(system=three.system.map(names))
    yield ll.comparison_report(long)
    yield ll.comparison_report(long.assign(higher_is_better=False, metric="mae"))
    yield ll.comparison_report(gaps, missing="bounds")


@pytest.mark.slow
def test_pages_in_a_browser(browser, tmp_path, three):
    """On a phone nothing sticks out, and in the dark the paper is dark and the ink is light."""
    page, faults = browser.new_page(), []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    for report in pages(three):
        page.goto(report.save(tmp_path).as_uri())
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 800})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                ink, paper = (
                    page.evaluate(
                        "name => getComputedStyle(document.body)[name].match(/\\d+/g).map(Number)",
                        name,
                    )
                    for name in ("color", "backgroundColor")
                )
                assert (sum(ink[:3]) > 600) == (scheme == "dark") == (sum(paper[:3]) < 150)
                sizes = page.evaluate(
                    "[...document.querySelectorAll('.ll-numbers')].map(e => "
                    "parseFloat(getComputedStyle(e).fontSize))"
                )
                assert min(sizes) >= 12
    assert faults == []


# Which way is better -----------------------------------------------------------------------------


def errors(better, scale=1):
    """Return records of two systems whose score is an error, small for "exact"."""
    rng = np.random.default_rng(6)
    small, large = rng.random(60) * 0.2, rng.random(60) * 0.2 + 0.7
    return [
        table("exact", scale * small, better=better, metric="mae"),
        table("sloppy", scale * large, better=better, metric="mae"),
    ]


@pytest.mark.parametrize("scale", [1, 0.01, 30])
def test_lower_is_better_turns_the_verdict_and_the_colours(scale):
    report = ll.comparison_report(errors(False, scale))
    (d,) = report.differences.itertuples()
    assert d.estimate > 0
    assert report.verdicts() == [
        f"exact is better than sloppy by {d.estimate:.3g} (mae, lower is better); a difference "
        f"below {d.low:.3g} is excluded"
    ]
    assert colors(report) == [ll.ORANGE]
    for text in (report.to_html(), report.to_markdown("f.png")):
        assert "Blue: better than exact; orange: worse; grey: not decided." in text
    turned = ll.comparison_report(errors(False, scale), baseline="sloppy")
    assert colors(turned) == [ll.BLUE]
    assert turned.verdicts()[0].startswith("exact is better than sloppy by")


def test_an_undecided_error_is_measured_as_one():
    rng = np.random.default_rng(7)
    records = [table(name, rng.random(60), better=False) for name in "ab"]
    (d,) = ll.comparison_report(records).differences.itertuples()
    assert ll.comparison_report(records).verdicts() == [
        f"not decided: b - a may be anything from {d.low:+.3g} to {d.high:+.3g} (lower is better)"
    ]


def test_where_nobody_says_which_way_is_better_the_report_says_higher():
    report = ll.comparison_report(errors(None))
    assert report.verdicts()[0].startswith("sloppy is higher than exact by ")
    assert colors(report) == [ll.BLUE]
    assert "Blue: higher than exact; orange: lower; grey: not decided." in report.to_html()
    for text in (str(report), report.to_html(), report.to_markdown()):
        said = re.sub(r"\s+", " ", text)
        assert "better than" not in said
        assert "the records do not say which way is better" in said
        assert "--lower-is-better" in said
    plain = [records.drop(columns="higher_is_better") for records in errors(None)]
    assert str(ll.comparison_report(plain)) == str(report)


def test_the_caller_says_which_way_is_better():
    expected = ll.comparison_report(errors(False))
    for told in (False, {"t": False}):
        found = ll.comparison_report(errors(None), higher_is_better=told)
        assert found.verdicts() == expected.verdicts()
        assert found.warnings == expected.warnings
    against = ll.comparison_report(errors(False), higher_is_better=True)
    assert against.verdicts()[0].startswith("sloppy is better than exact by ")
    said = "t: you say that higher is better, the records that lower is; the report follows you."
    assert said in against.warnings
    two = [pd.concat([part, part.assign(task="u")]) for part in errors(None)]
    words = ll.comparison_report(two, higher_is_better={"u": False})
    assert [said.split(" than")[0] for said in words.verdicts()] == [
        *["sloppy is higher", "exact is better"]
    ]
    assert "or higher where nobody says which way is better" in words.to_markdown("f.png")


@pytest.mark.parametrize(
    ("records", "told", "error", "message"),
    [
        (
            [errors(True)[0], errors(False)[1]],
            None,
            ValueError,
            "the records of task 't' say of some systems that higher is better and of others that",
        ),
        (errors("no"), None, ValueError, "column 'higher_is_better' of task 't' must hold True, F"),
        (errors(None), "up", ValueError, "higher_is_better must be True, False or None, not 'up'"),
        (errors(None), {"u": True}, LookupError, "names the task 'u'; there are: t"),
    ],
)
def test_no_clear_direction(records, told, error, message):
    with pytest.raises(error, match=message):
        ll.comparison_report(records, higher_is_better=told)


def test_directions_that_differ_are_mended_by_the_caller():
    report = ll.comparison_report([errors(True)[0], errors(False)[1]], higher_is_better=False)
    assert report.verdicts()[0].startswith("exact is better than sloppy")


def test_recorded_results_say_that_accuracy_is_better():
    records = ll.load_records("reviews")
    two = records[records.system.isin(["majority", "tf-idf"])]
    assert "is better than" in ll.comparison_report(two).verdicts()[0]


# Benchmarks of several tasks ----------------------------------------------------------------------


def subjects(rng, names, p, k=7, **more):
    """Return records of systems on k subjects of 6, 8, 10, … questions each."""
    return [
        table(
            name, draw(rng, 6 + 2 * place, p[name]), f"subject {place}", first=100 * place, **more
        )
        for name in names
        for place in range(k)
    ]


@pytest.fixture
def benchmark():
    rng = np.random.default_rng(8)
    parts = subjects(rng, "ab", {"a": 0.2, "b": 0.97}, group="mmlu", metric="acc")
    return pd.concat(parts, ignore_index=True)


def wide(records):
    """Return the scores of two systems by task and item."""
    return records.pivot(index=["task", "item_id"], columns="system", values="score")


def test_a_benchmark_gets_its_one_answer_first(benchmark):
    report = ll.comparison_report(benchmark)
    assert list(report.differences.task[:2]) == ["mmlu (all items)", "mmlu (mean of 7 tasks)"]
    assert list(report.differences.kind) == ["benchmark"] * 2 + ["part"] * 7
    pooled, macro = list(report.differences.itertuples())[:2]
    scores = wide(benchmark)
    by_hand = stats.ttest_1samp(scores.b - scores.a, 0)
    assert pooled.estimate == pytest.approx((scores.b - scores.a).mean())
    assert pooled.p_value == pytest.approx(by_hand.pvalue)
    assert (pooled.low, pooled.high) == pytest.approx(tuple(by_hand.confidence_interval(0.95)))
    gaps = (scores.b - scores.a).groupby("task", sort=False)
    k = len(gaps)
    assert macro.estimate == pytest.approx(gaps.mean().mean())
    assert macro.se == pytest.approx(np.sqrt((gaps.sem() ** 2).sum()) / k)
    assert (pooled.mean_a, pooled.mean_b) == pytest.approx((scores.a.mean(), scores.b.mean()))
    assert (macro.mean_a, macro.mean_b) == pytest.approx(
        tuple(scores.groupby("task").mean().mean())
    )
    means = report.systems.set_index(["task", "system"]).estimate
    assert means["mmlu (mean of 7 tasks)", "b"] == pytest.approx(macro.mean_b)
    assert means["mmlu (all items)", "b"] == pytest.approx(pooled.mean_b)
    # The answers are a family of their own, and so are the subjects.
    p, adjusted = report.differences.p_value, report.differences.p_adjusted
    for family in (slice(0, 2), slice(2, None)):
        holm = multipletests(p[family], method="holm")[1]
        assert adjusted[family].to_numpy() == pytest.approx(holm)
    assert report.verdicts()[0].startswith("b is better than a by ")


def test_many_tasks_have_one_line_each(benchmark):
    report = ll.comparison_report(benchmark)
    note = "Holm's correction for 2 comparisons of whole benchmarks and, apart from these, for 7 of"
    for text in (str(report), report.to_markdown(), unescape(report.to_html())):
        assert text.index("mmlu (all items)") < text.index("b against a")
        assert note in re.sub(r"\s+", " ", text)
    rows = [line for line in str(report).splitlines() if line.startswith("subject 3 ")]
    d = report.differences.set_index("task").loc["subject 3"]
    (row,) = rows
    assert row.split()[2:6] == [*["12", f"{d.mean_a:.3f}", f"{d.mean_b:.3f}", f"{d.estimate:+.3f}"]]
    assert max(map(len, str(report).splitlines())) <= 100
    words = report.differences.query("kind == 'part'")
    better = int((words.p_adjusted <= 0.05).sum())
    assert better > 0
    assert f"of 7 tasks b is better on {better}; {7 - better} are not decided" in str(report)
    page = report._repr_html_()
    assert page.count("<h2>") == 3
    assert page.count("<circle") == 2 * 3 + 7
    assert len(report.plot().get_yticklabels()) == 9
    none = ll.comparison_report(benchmark.assign(score=draw(np.random.default_rng(0), 168)))
    assert "none of 7 tasks decides between b and a" in str(none)


def test_tasks_of_one_metric_have_a_mean_and_other_tasks_stand_alone():
    rng = np.random.default_rng(9)
    p = {"a": 0.5, "b": 0.6, "c": 0.7}
    parts = subjects(rng, "ab", p, 3, metric="acc")
    report = ll.comparison_report(_two(parts))
    assert report.differences.task[0] == "all tasks (mean of 3 tasks)"
    assert list(report.differences.kind) == ["benchmark"] + ["part"] * 3
    other = [table(name, draw(rng), "essay", metric="f1") for name in "ab"]
    report = ll.comparison_report(_two([*parts, *other]))
    assert report.differences.task[0] == "acc (mean of 3 tasks)"
    assert list(report.differences.kind) == ["benchmark"] + ["part"] * 3 + ["task"]
    one_family = report.differences.query("kind != 'part'")
    holm = multipletests(one_family.p_value, method="holm")[1]
    assert one_family.p_adjusted.to_numpy() == pytest.approx(holm)
    # An error and an accuracy have no mean; of nothing known, nothing is put together.
    turned = [part.assign(higher_is_better=k % 3 > 0) for k, part in enumerate(parts)]
    assert ll.comparison_report(_two(turned)).differences.task[0] == "all tasks (mean of 2 tasks)"
    plain = [part.drop(columns="metric") for part in parts]
    assert set(ll.comparison_report(_two(plain)).differences.kind) == {"task"}


def _two(parts):
    return pd.concat(parts, ignore_index=True)


def test_a_system_that_lacks_a_task_is_left_out_of_the_mean():
    rng = np.random.default_rng(10)
    p = {"a": 0.5, "b": 0.6, "c": 0.7}
    parts = subjects(rng, "abc", p, 3, group="mmlu", metric="acc")
    report = ll.comparison_report(_two(parts[:-1]))
    whole = report.differences[report.differences.kind == "benchmark"]
    assert set(whole.b) == {"b"}
    assert set(whole.n) == {6 + 8 + 10}
    assert "mmlu: c did not answer all 3 tasks and is left out here." in report.warnings


def test_clusters_across_tasks():
    """A film in two tasks is one film: the mean of all items knows it, that of tasks cannot."""
    rng = np.random.default_rng(11)
    films = [f"film {k // 3}" for k in range(60)]
    parts = [
        table(name, draw(rng, 60), task, films, group="films", metric="acc")
        for name in "ab"
        for task in ("t1", "t2")
    ]
    records = _two(parts)
    report = ll.comparison_report(records)
    (row,) = report.differences[report.differences.kind == "benchmark"].itertuples()
    assert (row.task, row.n, row.n_clusters) == ("films (all items)", 120, 20)
    a, b = (records[records.system == name] for name in "ab")
    d = ll.compare(a.score.to_numpy(), b.score.to_numpy(), cluster=a.cluster.to_numpy())
    d = d.difference
    assert (row.estimate, row.se) == pytest.approx((d.estimate, d.se))
    assert any("clusters lie in several of its tasks" in said for said in report.warnings)
    # Items that are numbered alike in both tasks are not the same items.
    own = ll.comparison_report(records.assign(cluster=records.item_id)).differences[:2]
    assert own.task.to_list() == ["films (all items)", "films (mean of 2 tasks)"]
    assert own.n_clusters.to_list() == [120, 120]
    one = [part.assign(cluster="en") for part in parts]
    with pytest.raises(ValueError, match="films: all its items lie in one cluster"):
        ll.comparison_report(_two(one))


# One bad task, odd names, odd scores --------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (lambda part: part.head(1), "all it has is one item, which does not show how items vary"),
        (lambda part: part.assign(cluster="en"), "all it has is one cluster, 'en', which does not"),
        (
            lambda part: part.assign(item_id=part.system + part.item_id),
            "the systems have no item in common. Were they run on the same data, and with the same",
        ),
    ],
)
def test_one_bad_task_does_not_cost_the_others(bad, said):
    rng = np.random.default_rng(12)
    good = [table(name, draw(rng)) for name in "ab"]
    one = [bad(table(name, draw(rng), "bad")) for name in "ab"]
    report = ll.comparison_report(_two([*good, *one]))
    assert set(report.differences.task) == {"t"}
    assert any(w.startswith(f"bad: nothing is compared, because {said}") for w in report.warnings)
    with pytest.raises(ValueError, match=f"nothing can be compared: .* bad: nothing .*{said}"):
        ll.comparison_report(_two(one))


def test_a_subject_of_one_item_counts_in_the_mean_of_all_items(benchmark):
    lonely = [table(n, [1.0], "lonely", first=999, group="mmlu", metric="acc") for n in "ab"]
    report = ll.comparison_report([_two([benchmark, *lonely])])
    pooled, macro = list(report.differences.itertuples())[:2]
    assert (pooled.n, macro.n) == (len(wide(benchmark)) + 1, len(wide(benchmark)))
    assert macro.task == "mmlu (mean of 7 tasks)"
    assert any("lonely: nothing is compared" in said for said in report.warnings)


def test_shuffled_samples_are_named():
    rng = np.random.default_rng(13)
    ids = [f"{k}" for k in range(60)]
    a = table("a", draw(rng, 60), sample_id=ids)
    b = table("b", draw(rng, 60), first=40, sample_id=ids)
    said = "60 samples have one id in these logs but not one content: the samples were shuffled, or"
    assert any(said in warning for warning in ll.comparison_report([a, b]).warnings)
    with pytest.raises(
        ValueError, match="60 samples have one id in these logs but not one content"
    ):
        ll.comparison_report([a, table("b", draw(rng, 60), first=99, sample_id=ids)])
    known = ll.comparison_report([a, table("b", draw(rng, 60), sample_id=ids)])
    assert not any("not one content" in warning for warning in known.warnings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"setting_shots": ("0", "5")},
            "t: the systems were not run alike: shots is 0 for a; 5 fo",
        ),
        ({"setting_version": ("1", "2")}, "t: the systems were not run alike: version is 1 for a;"),
        (
            {"metric": ("acc", "match")},
            "t: the scores are of different metrics (acc for a; match f",
        ),
        (
            {"setting_template": ("{{ x }}\n" + 99 * "y" + "1", "{{ x }}\n" + 99 * "y" + "2")},
            "t: the systems were not run alike: template is ",
        ),
    ],
)
def test_runs_that_differ_are_named(settings, said):
    rng = np.random.default_rng(14)
    parts = [
        table(name, draw(rng, 60), **{key: values[k] for key, values in settings.items()})
        for k, name in enumerate("ab")
    ]
    (found,) = [w for w in ll.comparison_report(parts).warnings if w.startswith(said)]
    assert len(found) < 220
    assert "\n" not in found
    alike = [part.assign(**{key: "0" for key in settings}) for part in parts]
    unknown = [parts[0], parts[1].drop(columns=list(settings))]
    for records in (alike, unknown):
        warnings = ll.comparison_report(records).warnings
        assert not any("not run alike" in w or "different metrics" in w for w in warnings)


def test_equal_scores_are_said_to_be_equal():
    scores = draw(np.random.default_rng(15), 40)
    report = ll.comparison_report([table("a", scores), table("b", scores)])
    assert report.verdicts() == ["not decided: all 40 items have the same score in both, b and a"]
    for text in (str(report), report.to_markdown(), report.to_html()):
        assert "[+0.000, +0.000]" not in text
        assert "+0.0 to" not in text
    # Each film has one right answer of either system: no cluster differs, though items do.
    films = [f"film {k // 2}" for k in range(80)]
    records = [table("a", [0, 1] * 40, clusters=films), table("b", [1, 0] * 40, clusters=films)]
    assert ll.comparison_report(records).verdicts() == [
        "not decided: b and a have the same mean in every cluster"
    ]
    shifted = [table("a", [2, 3] * 20), table("b", [4, 5] * 20)]
    assert ll.comparison_report(shifted).verdicts() == [
        "b is better than a by 2 throughout, which has no interval"
    ]


@pytest.mark.parametrize("size", [1e-4, 1e-6])
def test_small_differences_keep_their_digits(size):
    rng = np.random.default_rng(16)
    base = rng.random(80) / 2
    report = ll.comparison_report([table("a", base), table("b", base + size * rng.random(80))])
    (d,) = report.differences.itertuples()
    (row,) = [line.split() for line in str(report).splitlines() if line.startswith("b  ")][1:]
    assert float(row[1]) == pytest.approx(d.estimate, rel=0.15)
    assert float(row[2].strip("[,")) == pytest.approx(d.low, rel=0.15)
    gap, least = re.findall(r"[\d.e-]+(?= points| is)", report.verdicts()[0])
    assert float(gap) == pytest.approx(100 * d.estimate, rel=0.15)
    assert float(least) == pytest.approx(100 * d.low, rel=0.15)


CHECKPOINTS = [
    f"/data/checkpoints/llama-8b/step-{step}/export/huggingface" for step in (10000, 20000, 20001)
]


def test_names_are_short_and_never_alike():
    assert list(short_names(["a", "b"]).values()) == ["a", "b"]
    short = short_names(CHECKPOINTS)
    assert all("step-" in text and len(text) <= 34 for text in short.values())
    for step in ("10000", "20000", "20001"):
        (text,) = [text for name, text in short.items() if step in name]
        assert step in text
    # Names that differ in two far places, or only after a long agreement.
    hard = [f"{x}{'m' * 60}{y}{'n' * 60}" for x in "ab" for y in "cdef"] + ["…" * 34, "…" * 35]
    short = short_names(hard)
    assert len(set(short.values())) == len(hard)
    assert max(map(len, short.values())) <= 34


def test_long_names_in_the_report():
    rng = np.random.default_rng(17)
    report = ll.comparison_report([table(name, draw(rng)) for name in CHECKPOINTS])
    rows = [line for line in str(report).splitlines() if "step-" in line and "  0." in line]
    assert len({row.split("  ")[0] for row in rows}) == 3
    labels = [text.get_text() for text in report.plot().get_yticklabels()]
    assert len(set(labels)) == 2
    dollars = ll.comparison_report([table(f"${name}_{{$", draw(rng)) for name in "ab"])
    dollars.plot().figure.canvas.draw()
    with pytest.raises(ValueError, match="a system in the records has an empty name: name it"):
        ll.comparison_report([table("a", [0, 1]).assign(system=" "), table("b", [0, 1])])


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({"a": 1}, "records are a dict: give a table of records or a list of them"),
        ("runs/a", "records are a str: give a table"),
        (None, "records are a NoneType: give a table"),
        (["runs/a", "runs/b"], "records hold a str: give a table"),
        (pd.DataFrame(), "records lack the column 'system'"),
        (table("a", [0, 1]).head(0), "the table of records is empty"),
    ],
)
def test_what_is_no_table_of_records(records, message):
    with pytest.raises(ValueError, match=message):
        ll.comparison_report(records)


def test_half_an_emoji_can_be_written(three, tmp_path):
    report = replace(ll.comparison_report(three), warnings=("said \ud83d",))
    for form in ("html", "markdown"):
        assert "said ?" in report.save(tmp_path, form).read_text("utf-8")


@pytest.mark.filterwarnings("error")
def test_chinese_names_are_drawn_without_a_word(tmp_path):
    rng = np.random.default_rng(18)
    report = ll.comparison_report([table(name, draw(rng), "数学") for name in ("甲", "乙")])
    assert "数学" in report.save(tmp_path, "markdown").read_text("utf-8")


# Items without a score ----------------------------------------------------------------------------


@pytest.fixture
def gappy():
    """Return the scores of two systems on 80 items, of which a lacks 3 and b lacks 2."""
    rng = np.random.default_rng(19)
    a, b = draw(rng, 80, 0.4), draw(rng, 80, 0.75)
    a[[3, 11, 40]] = b[[11, 70]] = np.nan
    return a, b


def filled(scores, value):
    return np.where(np.isnan(scores), value, scores)


def reported(gappy, missing, **options):
    a, b = gappy
    return ll.comparison_report([table("a", a), table("b", b)], missing=missing, **options)


def test_items_without_a_score_are_refused_and_the_ways_on_named(gappy):
    with pytest.raises(
        ValueError, match=r"t: 3 items of a, 2 of b have no score. Say what"
    ) as said:
        ll.comparison_report([table("a", gappy[0]), table("b", gappy[1])])
    for way in ("'drop'", "'wrong'", "'bounds'", "--missing"):
        assert way in str(said.value)
    with pytest.raises(ValueError, match="t: 1 item of a has no score"):
        ll.comparison_report([table("a", [0, 1, np.nan]), table("b", [0, 1, 1])])
    with pytest.raises(ValueError, match="missing must be one of refuse, drop, wrong, bounds"):
        reported(gappy, "keep")
    whole = filled(gappy[0], 1), filled(gappy[1], 1)
    for missing in ("drop", "wrong", "bounds"):
        assert str(reported(whole, missing)) == str(reported(whole, "refuse"))


def test_dropped_items_are_left_out_for_all(gappy):
    report = reported(gappy, "drop")
    a, b = gappy
    both = ~np.isnan(a) & ~np.isnan(b)
    d = ll.compare(a[both], b[both]).difference
    (row,) = report.differences.itertuples()
    assert (row.n, row.estimate, row.low, row.high) == (76, d.estimate, d.low, d.high)
    assert report.warnings[0].startswith("t: 3 items of a, 2 of b have no score: these items are l")
    other = [
        table("a", np.full(9, np.nan), "u"),
        table("b", draw(np.random.default_rng(1), 9), "u"),
    ]
    more = ll.comparison_report(
        [_two([table("a", a), other[0]]), _two([table("b", b), other[1]])], missing="drop"
    )
    assert "u: nothing is compared, because no item has all its scores." in more.warnings
    with pytest.raises(
        ValueError, match=r"nothing can be compared.* u: nothing is compared, becau"
    ):
        ll.comparison_report(other, missing="drop")


def test_wrong_items_score_nothing(gappy):
    report = reported(gappy, "wrong")
    d = ll.compare(*(filled(scores, 0) for scores in gappy)).difference
    (row,) = report.differences.itertuples()
    assert (row.n, row.estimate, row.low, row.high) == (80, d.estimate, d.low, d.high)
    assert (
        report.warnings[0] == "t: 3 items of a, 2 of b have no score: these items count as wrong."
    )


def test_bounds_hold_whatever_the_missing_items_score(gappy):
    report = reported(gappy, "bounds")
    (row,) = report.differences.itertuples()
    a, b = gappy
    worst = ll.compare(filled(a, 1), filled(b, 0))
    best = ll.compare(filled(a, 0), filled(b, 1))
    ends = worst.difference.estimate, best.difference.estimate
    assert (row.lowest, row.highest) == ends
    assert row.estimate == pytest.approx(np.mean(ends))
    assert (row.low, row.high) == (worst.difference.low, best.difference.high)
    assert row.p_value == max(worst.p_value, best.p_value) < 0.05
    low, high = (f"{100 * end:.1f}" for end in ends)
    assert report.verdicts() == [
        f"b is better than a by {low} to {high} points, whatever the missing items would score; a "
        f"difference below {100 * worst.difference.low:.1f} is excluded"
    ]
    # Every way to score the five lies between the ends.
    for scores in itertools.product([0, 0.5, 1], repeat=5):
        x, y = a.copy(), b.copy()
        x[[3, 11, 40]], y[[11, 70]] = scores[:3], scores[3:]
        assert row.lowest - 1e-12 <= (y - x).mean() <= row.highest + 1e-12
        assert ll.compare(x, y).p_value <= row.p_value
    means = report.systems.set_index("system")
    assert means.low["a"] == ll.proportion_interval(filled(a, 0)).low
    assert means.high["a"] == ll.proportion_interval(filled(a, 1)).high
    turned = reported(gappy, "bounds", baseline="b").differences.iloc[0]
    assert (turned.lowest, turned.highest) == (-row.highest, -row.lowest)


def test_bounds_decide_nothing_that_one_end_denies(gappy):
    a, b = gappy
    a = a.copy()
    a[12:72] = np.nan
    assert "is better" in reported((a, b), "drop").verdicts()[0]
    report = reported((a, b), "bounds")
    (row,) = report.differences.itertuples()
    assert row.lowest < 0 < row.highest
    assert row.p_value == 1
    assert report.verdicts() == [
        f"not decided: b - a may be anything from {100 * row.low:+.1f} to {100 * row.high:+.1f} "
        "points"
    ]


@pytest.mark.parametrize(
    ("missing", "better", "scale", "message"),
    [
        ("wrong", None, 1, "worst score of task 't' is not known, because nobody says which way i"),
        ("wrong", False, 1, "is not known, because lower is better, and nothing says how high"),
        ("wrong", True, 5, "because its scores go from 0 to 5, not from 0 to 1; missing='drop' le"),
        ("bounds", True, 5, "because its scores go from 0 to 5, not from 0 to 1"),
        ("bounds", True, np.nan, "because none of its items has a score"),
    ],
)
def test_missing_scores_whose_worst_value_is_not_known(gappy, missing, better, scale, message):
    records = [table(name, scale * s, better=better) for name, s in zip("ab", gappy, strict=True)]
    with pytest.raises(ValueError, match=message):
        ll.comparison_report(records, missing=missing)
    if scale == 1:
        assert ll.comparison_report(records, missing="bounds").differences.n[0] == 80


def test_missing_items_of_a_benchmark(benchmark):
    gaps = benchmark.assign(score=benchmark.score.where(benchmark.index % 17 > 0))
    report = ll.comparison_report(gaps, missing="bounds")
    scores = wide(gaps)
    ends = [scores.b.fillna(of_b) - scores.a.fillna(1 - of_b) for of_b in (0, 1)]
    pooled, macro = list(report.differences.itertuples())[:2]
    assert (pooled.lowest, pooled.highest) == pytest.approx((ends[0].mean(), ends[1].mean()))
    assert (macro.lowest, macro.highest) == pytest.approx(
        tuple(end.groupby("task").mean().mean() for end in ends)
    )
    assert sum("have no score" in warning for warning in report.warnings) == 1


def test_the_means_of_a_benchmark_are_those_of_the_figures_that_lm_eval_reports():
    folder = LM_EVAL.parent / "lm_eval_kinds" / "choices-0.4.13"
    (file,) = folder.rglob("results_*.json")
    reported = json.loads(file.read_text("utf-8"))
    tasks = list(reported["n-samples"])
    accuracy = [reported["results"][task]["acc,none"] for task in tasks]
    sizes = [reported["n-samples"][task]["effective"] for task in tasks]
    records = ll.read_lm_eval(folder, metric="acc", system="a")
    flipped = records.assign(system="b", score=1 - records.score)
    report = ll.comparison_report([records, flipped])
    (group,) = records.group.unique()
    mean = report.systems.set_index(["task", "system"]).estimate
    pooled = np.average(accuracy, weights=sizes)
    assert mean[f"{group} (all items)", "a"] == pytest.approx(pooled)
    assert mean[f"{group} (mean of 2 tasks)", "a"] == pytest.approx(np.mean(accuracy))
    assert report.differences.metric[0] == "acc"


def test_a_bound_near_0_is_not_printed_as_0():
    swing = np.tile([1.0, -1.0], 50) * 0.2
    gap = stats.t.ppf(0.975, 99) * stats.sem(swing) + 0.0003
    report = ll.comparison_report([table("a", np.full(100, 0.3)), table("b", 0.3 + gap + swing)])
    assert report.differences.low[0] == pytest.approx(0.0003)
    assert report.verdicts()[0].endswith("points; a difference below 0.03 is excluded")
