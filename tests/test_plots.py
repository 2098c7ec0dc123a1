"""The two figures of the library: what they draw is what they were given."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import lleval_lib as ll

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    mpl.pyplot.close("all")


def test_a_forest_draws_a_line_a_result_from_top_to_bottom():
    results = {"x": ll.mean_interval([1, 0, 1, 1]), "y": ll.mean_interval([1, 0, 0, 0])}
    for given in (results, ll.table(results)):
        ax = ll.forest(given, label="accuracy", reference=0.5, colors=[ll.BLUE, ll.RED])
        lines, points = ax.collections
        names = [tick.get_text() for tick in ax.get_yticklabels()]
        places = dict(zip(names, ax.get_yticks(), strict=True))
        assert places["x"] > places["y"]
        for segment, point, (name, found) in zip(
            lines.get_segments(), points.get_offsets(), results.items(), strict=True
        ):
            np.testing.assert_allclose(segment[:, 0], [found.low, found.high])
            assert tuple(point) == (found.estimate, places[name])
        assert ax.get_xlabel() == "accuracy"
        assert list(ax.lines[0].get_xdata()) == [0.5, 0.5]
        colors = [mpl.colors.to_hex(color).upper() for color in points.get_facecolors()]
        assert colors == [ll.BLUE, ll.RED]


def test_heatmap_shows_each_pair_once():
    rng = np.random.default_rng(4)
    scores = (rng.random((80, 4)) < [0.5, 0.6, 0.65, 0.85]) * 1.0
    table = pd.DataFrame(scores, columns=list("wxyz"))
    pairs = ll.compare_all(table)
    decided = pairs.p_adjusted <= 0.05
    assert decided.any()
    assert not decided.all()
    ax = ll.decision_heatmap(pairs)
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == table.mean().sort_values(ascending=False).index.to_list()[:-1]
    names += [ax.get_xticklabels()[-1].get_text()]
    assert names[1:] == [tick.get_text() for tick in ax.get_xticklabels()]
    cells = {
        (round(patch.get_y() + 0.5), round(patch.get_x() + 0.5)): mpl.colors.to_hex(
            patch.get_facecolor()
        ).upper()
        for patch in ax.patches
    }
    texts = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in ax.texts}
    assert len(cells) == len(texts) == 6
    for pair in pairs.itertuples():
        higher, lower = (pair.b, pair.a) if pair.estimate > 0 else (pair.a, pair.b)
        place = names.index(higher), names.index(lower)
        assert float(texts[place]) == round(abs(pair.estimate), 2)
        assert (cells[place] == ll.BLUE) == (pair.p_adjusted <= 0.05)
    assert len(ll.decision_heatmap(ll.compare_all(table, baseline="w")).patches) == 3


def test_style_draws_no_needless_lines():
    with mpl.rc_context():
        ll.use_style()
        ax = mpl.pyplot.subplots()[1]
        assert not ax.spines["top"].get_visible()
        assert ax.plot([0, 1])[0].get_color() == ll.BLUE


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="results must be a list of results"):
        ll.forest(ll.mean_interval([1, 0, 1]))
    with pytest.raises(ValueError, match="estimates must be a table with the columns estimate, lo"):
        ll.forest(pd.DataFrame({"x": [1]}))
    with pytest.raises(ValueError, match="table must be a table with the columns a, b, mean_a"):
        ll.decision_heatmap(pd.DataFrame({"a": ["x"]}))
