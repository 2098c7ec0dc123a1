"""A local cluster of two processes, one of which is killed: nothing is lost or counted twice."""

import os
import signal
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

import lleval_lib as ll

PATIENCE = 120  # seconds that a slow machine gets for what takes one


def lengths(items, ran, pause=0.0):
    """Return records that say how long each text is, and leave a note of each run in `ran`."""
    Path(ran).mkdir(exist_ok=True)
    (Path(ran) / f"{items.item_id.iloc[0]}-{os.getpid()}-{time.monotonic_ns()}").touch()
    time.sleep(pause)
    said = items.text.str.len().astype(str)
    return ll.make_records("length", "texts", items, prediction=said, score=said == items.target)


@pytest.fixture(scope="module")
def items():
    texts = pd.Series([f"{'word ' * (k % 7)}{k}" for k in range(120)])
    return pd.DataFrame(
        {
            "item_id": [f"t{k:03}" for k in range(120)],
            "cluster": [f"c{k % 10}" for k in range(120)],
            "target": [str(len(t) - (k % 3 == 0)) for k, t in enumerate(texts)],
            "text": texts,
        }
    )


@pytest.fixture(scope="module")
def expected(items, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    work = partial(lengths, ran=folder / "ran")
    return ll.run_shards(work, items, folder, name="lengths", each=10)


@pytest.fixture
def client(tmp_path):
    """Return a client of two workers that any machine can bear, and leave no process behind."""
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address=None,
            scheduler_port=0,  # any that is free
            local_directory=tmp_path / "dask",
            silence_logs=50,
        ) as cluster,
        Client(cluster, timeout=PATIENCE) as client,
    ):
        client.wait_for_workers(2, timeout=PATIENCE)
        yield client
        pids = list(client.run(os.getpid).values())
    end = time.monotonic() + PATIENCE
    while left := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < end, f"processes {left} are still there"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_counts_nothing_twice(items, expected, tmp_path, client):
    ran, shards = tmp_path / "ran", tmp_path / "shards"
    work = partial(lengths, ran=ran, pause=0.5)
    before = client.run(os.getpid)
    victim, killer = before
    # Kept in a variable: Dask forgets a task that nobody holds.
    shot = client.submit(kill_at_work, ran, before[victim], workers=[killer], pure=False)
    found = ll.run_shards(work, items, shards, name="lengths", each=10, client=client)
    assert shot.result(timeout=PATIENCE) == 4
    client.wait_for_workers(2, timeout=PATIENCE)
    after = client.run(os.getpid).values()
    assert before[victim] not in after
    assert before[killer] in after
    pd.testing.assert_frame_equal(found, expected)
    assert len(list(shards.glob("*.parquet"))) == 12
    assert not list(shards.glob(".*"))  # no file was left half written
    runs = sorted(path.name.split("-")[:2] for path in ran.iterdir())
    twice = [first for (first, _), (second, _) in pairwise(runs) if first == second]
    assert twice  # what the dead one had begun ran again
    assert {pid for first, pid in runs if first in twice} >= {str(before[victim])}


def kill_at_work(ran, pid, begun=4):
    """Kill worker `pid` while it is in its fourth shard, which takes half a second."""
    end = time.monotonic() + PATIENCE
    while len(notes := list(ran.glob(f"*-{pid}-*"))) < begun:
        assert time.monotonic() < end, f"only {len(notes)} shards begun"
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    return len(notes)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_a_second_try_on_workers_is_not_answered_with_the_first_error(
    items, expected, tmp_path, client
):
    def fails(rows):
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="power") as kept:  # as a notebook keeps the last error
        ll.run_shards(fails, items, tmp_path / "s", name="lengths", each=60, client=client)
    work = partial(lengths, ran=tmp_path / "ran")
    found = ll.run_shards(work, items, tmp_path / "s", name="lengths", each=60, client=client)
    pd.testing.assert_frame_equal(found, expected)
    assert kept


def test_in_one_process_the_records_are_those_of_the_work_done_at_once(items, expected, tmp_path):
    whole = lengths(items, tmp_path / "ran")
    pd.testing.assert_frame_equal(expected, whole)


def test_a_run_goes_on_where_it_stopped(items, expected, tmp_path):
    calls = []

    def work(rows, fail_after=3):
        calls.append(len(rows))
        if len(calls) == fail_after:
            raise RuntimeError("the power went")
        return lengths(rows, tmp_path / "ran")

    with pytest.raises(RuntimeError, match="power"):
        ll.run_shards(work, items, tmp_path / "s", name="lengths", each=50)
    found = ll.run_shards(work, items, tmp_path / "s", name="lengths", each=50)
    assert calls == [50, 50, 20, 20]
    pd.testing.assert_frame_equal(found, expected)
    ll.run_shards(work, items, tmp_path / "s", name="lengths", each=50)
    assert len(calls) == 4
    ll.run_shards(work, items, tmp_path / "s", name="another template", each=50)
    assert len(calls) == 7
    changed = items.assign(text=items.text.replace("0", "zero"))
    ll.run_shards(work, changed, tmp_path / "s", name="lengths", each=50)
    assert len(calls) == 8  # only the shard whose item changed


def test_bad_input_is_refused(items, tmp_path):
    def run(work=lambda rows: rows, items=items, name="x", **options):
        return ll.run_shards(work, items, tmp_path, name=name, **options)

    with pytest.raises(ValueError, match="name is empty"):
        run(name=" ")
    with pytest.raises(ValueError, match="'item_id'"):
        run(items=items.drop(columns="item_id"))
    with pytest.raises(ValueError, match="'t000' stands more than once"):
        run(items=pd.concat([items, items]))
    with pytest.raises(ValueError, match="each"):
        run(each=0)
    with pytest.raises(ValueError, match="not one of each"):
        run(lambda rows: lengths(rows, tmp_path / "ran").head(3))
    with pytest.raises(ValueError, match="no items"):
        run(items=items.head(0))
    with pytest.raises(ValueError, match="NoneType without 'item_id', not records"):
        run(lambda rows: None)
    with pytest.raises(ValueError, match="items hold a object"):
        run(items=items.assign(picture=object()))
    assert not list(tmp_path.glob("*.parquet"))


def test_records_come_in_the_order_of_the_items(items, tmp_path):
    def work(rows):
        return lengths(rows[::-1], tmp_path / "ran")

    found = ll.run_shards(work, items, tmp_path, name="back", each=50)
    assert found.item_id.to_list() == items.item_id.to_list()


@pytest.mark.parametrize(
    ("one", "other"),
    [(0.1, 0.1 + 1e-13), (1, "1"), (b"\xff\x00", b"\xff\x01"), (np.zeros(2), np.ones(2))],
)
def test_items_that_differ_a_little_have_other_files(items, tmp_path, one, other):
    for k, value in enumerate((one, other), 1):
        item = items.head(1).assign(value=pd.Series([value]))
        ll.run_shards(partial(lengths, ran=tmp_path / "ran"), item, tmp_path, name="x")
        assert len(list(tmp_path.glob("*.parquet"))) == k
