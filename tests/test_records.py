"""Records are checked whenever they are read or written, and a file of them is never half new."""

import re

import numpy as np
import pandas as pd
import pytest

import lleval_lib as ll
from lleval_lib import records as records_module
from lleval_lib.records import COLUMNS, packed, unpacked


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "system": ["a", "a", "a", "b"],
            "task": "t",
            "item_id": ["1", "2", "3", "1"],
            "cluster": ["x", "x", "y", "x"],
            "prompt": ["Is it?", "Ça va ? 🙂", "", "Is it?"],
            "target": ["yes", "no", "yes", "yes"],
            "prediction": ["yes", "yes", "", "no"],
            "score": [1.0, 0.0, 0.5, 0.0],
            "loglik": [-0.1, -2.5, np.nan, -0.7],
            "seconds": [1, 2, 3, 4],
        }
    )


def test_valid_records_come_back_as_they_are(table):
    assert ll.validate_records(table) is table
    assert ll.validate_records(table.assign(score=[1, 0, 1, 0], loglik=np.nan)) is not None


@pytest.mark.parametrize("dtype", ["object", "string", "str"])
def test_every_dtype_of_text(table, dtype):
    """pandas 2 reads text as ``object``, pandas 3 as ``str``; both are text."""
    ll.validate_records(table.astype(dict.fromkeys(["system", "item_id", "cluster"], dtype)))


@pytest.mark.parametrize("column", [c for c in COLUMNS if c != "prompt"])
def test_missing_column(table, column):
    with pytest.raises(ValueError, match=f"lack the column '{column}'"):
        ll.validate_records(table.drop(columns=column))


def test_no_rows(table):
    with pytest.raises(ValueError, match="the table of records is empty"):
        ll.validate_records(table.iloc[:0])


@pytest.mark.parametrize("column", [c for c in COLUMNS if c not in ("score", "loglik")])
@pytest.mark.parametrize("value", [None, np.nan, 3, pd.NA])
def test_text_that_is_none(table, column, value):
    table[column] = table[column].astype(object)
    table.loc[2, column] = value
    with pytest.raises(
        ValueError, match=f"column '{column}' .* in 1 of 4 rows, first in row 2: {value}"
    ):
        ll.validate_records(table)


@pytest.mark.parametrize(
    ("column", "value"),
    [("score", np.nan), ("score", np.inf), ("loglik", -np.inf), ("loglik", np.inf)],
)
def test_unusable_number(table, column, value):
    table.loc[[1, 3], column] = value
    with pytest.raises(
        ValueError, match=f"column '{column}' .* in 2 of 4 rows, first in row 1: {value}"
    ):
        ll.validate_records(table)


@pytest.mark.parametrize("column", ["score", "loglik"])
def test_numbers_written_as_text(table, column):
    with pytest.raises(ValueError, match=f"column '{column}' .* must hold numbers, not text"):
        ll.validate_records(table.assign(**{column: table[column].astype(str)}))


def test_item_twice(table):
    table.loc[2, "item_id"] = "1"
    with pytest.raises(ValueError, match="item '1' stands more than once for system 'a' on task"):
        ll.validate_records(table)
    # The same item of another system or task is another row.
    table.loc[2, "task"] = "u"
    ll.validate_records(table)


def test_messages_hold_when_row_labels_repeat(table):
    """Tables put together with ``pd.concat`` number their rows from 0 again."""
    with pytest.raises(ValueError, match="item '1' stands more than once for system 'a' on task"):
        ll.validate_records(pd.concat([table, table]))
    other = table.assign(system=["c", "c", "c", "d"], score=[1.0, np.inf, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"column 'score' .* in 1 of 8 rows, first in row 1: inf"):
        ll.validate_records(pd.concat([table, other]))


def test_round_trip(table, tmp_path):
    """Through Parquet every value comes back, with further columns, in the same order."""
    table = pd.concat([table, table.assign(system="c")]).query("not (system == 'c' and score == 0)")
    path = tmp_path / "r.parquet"
    ll.write_records(table, path)
    back = ll.read_records(str(path))
    pd.testing.assert_frame_equal(back, table.reset_index(drop=True), check_dtype=False)
    assert back.seconds.dtype == table.seconds.dtype
    assert back.score.dtype == np.float64
    assert [file.name for file in tmp_path.iterdir()] == ["r.parquet"]


def test_failed_write_leaves_the_old_file(table, tmp_path, monkeypatch):
    path = tmp_path / "r.parquet"
    ll.write_records(table, path)
    with pytest.raises(ValueError, match="'score'"):
        ll.write_records(table.assign(score=np.nan), path)

    def full_disk(self, target, **_):
        target.write_bytes(b"PAR1 half a table")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", full_disk)
        with pytest.raises(OSError, match="No space left"):
            ll.write_records(table.assign(score=0.0), path)
    assert ll.read_records(path).score.to_list() == table.score.to_list()
    assert [file.name for file in tmp_path.iterdir()] == ["r.parquet"]


@pytest.mark.parametrize("damage", ["empty", "cut", "text"])
def test_damaged_file(table, tmp_path, damage):
    path = tmp_path / "r.parquet"
    ll.write_records(table, path)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": whole[:-100], "text": b"system,task\na,t\n"}[damage])
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*does not hold records"):
        ll.read_records(path)


def test_file_of_something_else(tmp_path):
    path = tmp_path / "r.parquet"
    pd.DataFrame({"system": ["a"]}).to_parquet(path)
    with pytest.raises(ValueError, match=r"r\.parquet.* lack the column 'task'"):
        ll.read_records(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file of records at .*none\.parquet"):
        ll.read_records(tmp_path / "none.parquet")


def test_unknown_name(table, tmp_path, monkeypatch):
    """The message lists the names that there are; a known one is read from the library."""
    (tmp_path / "results").mkdir()
    packed(table).to_parquet(tmp_path / "results" / "mine.parquet")
    monkeypatch.setattr(records_module.resources, "files", lambda package: tmp_path)
    with pytest.raises(LookupError, match="recorded as 'yours'; there are: mine"):
        ll.load_records("yours")
    assert len(ll.load_records("mine")) == len(table)
    assert "metric" not in ll.load_records("mine")  # half right is no accuracy
    right = table.assign(score=(table.prediction == table.target) * 1.0)
    packed(right).to_parquet(tmp_path / "results" / "mine.parquet")
    loaded = ll.load_records("mine")
    assert set(loaded.metric) == {"accuracy"}
    assert loaded.higher_is_better.all()


def test_packed_records_lose_their_prompts_and_nothing_else(table):
    """What follows from other columns is not kept; a log-likelihood that does not is."""
    follows = table.assign(loglik_yes=[-0.1, -0.2, np.nan, -0.7], loglik_no=[-1.5, -2.5, -1, -2])
    kept = packed(follows)
    assert set(follows.columns) - set(kept.columns) == {"prompt", "loglik"}
    assert set(kept.dtypes[["loglik_yes", "loglik_no"]]) == {np.dtype("float32")}
    pd.testing.assert_frame_equal(unpacked(kept), follows.drop(columns="prompt"), rtol=1e-6)
    other = follows.assign(loglik=-1.0)
    pd.testing.assert_frame_equal(unpacked(packed(other)), other.drop(columns="prompt"), rtol=1e-6)


def test_packed_records_without_any_log_likelihood_can_be_unpacked(table):
    none = table.assign(loglik=np.nan)
    pd.testing.assert_frame_equal(unpacked(packed(none)), none.drop(columns="prompt"))


ITEMS = pd.DataFrame(
    {"item_id": ["1", "2", "3"], "cluster": ["x", "y", "x"], "target": ["yes", "no", "maybe"]},
    index=[7, 3, 3],  # the items' labels play no part
)
ANSWERED = {"prediction": ["yes", "yes", "no"], "score": [1, 0, 0]}


def test_records_are_made_in_the_order_of_the_items():
    logliks = {"no": [-3.0, -2.0, -1.0], "yes": pd.Series([-0.1, -0.2, -0.3], index=[3, 7, 9])}
    made = ll.make_records(
        "a", "t", ITEMS, prompt=list("pqr"), logliks=logliks, seconds=[1, 2, 3], source="s",
        **ANSWERED,
    )  # fmt: skip
    assert made.columns.to_list() == [*COLUMNS, "loglik_no", "loglik_yes", "seconds", "source"]
    assert made.index.to_list() == [0, 1, 2]
    for column in ITEMS:
        assert made[column].to_list() == ITEMS[column].to_list()
    # The likelihood of the target; "maybe" has none.
    assert made.loglik.to_list()[:2] == [-0.1, -2.0]
    assert np.isnan(made.loglik[2])
    assert made.loglik_yes.to_list() == [-0.1, -0.2, -0.3]
    assert made.score.dtype == made.loglik.dtype == np.float64
    assert set(made.source) == {"s"}


def test_records_need_no_prompt_and_no_likelihood():
    made = ll.make_records("a", "t", ITEMS, **ANSWERED)
    assert made.columns.to_list() == [c for c in COLUMNS if c != "prompt"]
    assert made.loglik.isna().all()
    given = ll.make_records(
        "a", "t", ITEMS, **ANSWERED, loglik=[-1, -2, -3], logliks={"yes": [0] * 3}
    )
    assert given.loglik.to_list() == [-1, -2, -3]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"score": [1, 0]}, "score has 2 values for 3 items"),
        ({"logliks": {"maybe": [-1.0] * 4}}, "loglik_maybe has 4 values for 3 items"),
        ({"logliks": {"yes": []}}, "loglik_yes has 0 values for 3 items"),
        ({"seconds": [1]}, "seconds has 1 values for 3 items"),
        ({"score": [1, np.nan, 0]}, "column 'score' .* in 1 of 3 rows, first in row 1: nan"),
        ({"prediction": ["yes", None, "no"]}, "column 'prediction' .* in 1 of 3 rows"),
        ({"items": ITEMS.drop(columns="cluster")}, "items of task 't' lack the column 'cluster'"),
        ({"items": ITEMS.assign(item_id="1")}, "item '1' stands more than once for system 'a'"),
    ],
)
def test_records_that_cannot_be_made(more, message):
    with pytest.raises(ValueError, match=message):
        ll.make_records("a", "t", **{"items": ITEMS, **ANSWERED, **more})
