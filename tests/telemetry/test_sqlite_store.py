import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from telemetry.clock import ManualClock
from telemetry.series import Sample, Selector, Window
from telemetry.sqlite_store import SqliteStore
from telemetry.store import StoreUnavailableError

T0 = 1_700_000_000.0
WRITER = Path(__file__).with_name("sqlite_writer.py")


def open_store(path, *, retention_seconds=86_400.0, now=T0, **options):
    clock = now if isinstance(now, ManualClock) else ManualClock(now)
    return SqliteStore(path, retention_seconds=retention_seconds, clock=clock, **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics" / "store.db"


@pytest.fixture
def store(path):
    opened = open_store(path)
    yield opened
    opened.close()


def values(store, selector, *, at=T0, within=3600.0):
    return sorted(sample.value for sample in store.latest(selector, at=at, within=within))


# --- writing --------------------------------------------------------------------------------


def test_what_was_written_is_there_after_closing_and_opening(path, store):
    sample = Sample("depth", {"pool": "p", "zone": "é"}, T0 - 0.125, 2.5)
    store.write([sample])
    store.close()
    again = open_store(path)

    assert again.latest(Selector("depth"), at=T0, within=60) == [sample]
    again.close()


def test_the_order_of_labels_makes_no_other_series(store):
    store.write([Sample("m", {"a": "1", "b": "2"}, T0 - 1, 1)])
    store.write([Sample("m", {"b": "2", "a": "1"}, T0, 2)])

    assert values(store, Selector("m")) == [2]


def test_the_same_moment_written_again_replaces(store):
    store.write([Sample("m", {}, T0, 1)])
    store.write([Sample("m", {}, T0, 2)])

    assert values(store, Selector("m")) == [2]


def test_not_a_number_is_no_reading(store):
    store.write([Sample("m", {}, T0 - 1, 1), Sample("m", {}, T0, math.nan)])

    assert store.latest(Selector("m"), at=T0, within=60) == [Sample("m", {}, T0 - 1, 1)]


def test_whole_numbers_of_any_size_are_taken(store):
    store.write([Sample("m", {}, T0, 2**70)])

    assert values(store, Selector("m")) == [2.0**70]


def test_nothing_to_write_is_fine(store):
    store.write([])

    assert store.latest(Selector("m"), at=T0, within=60) == []


def unreadable(samples):
    yield from samples
    raise RuntimeError("source failed")


@pytest.mark.parametrize(
    ("last", "error"),
    [
        pytest.param(Sample("\ud800", {}, T0, 1), ValueError, id="no text"),
        pytest.param(Sample("m", {}, math.inf, 1), ValueError, id="no time"),
        pytest.param(None, RuntimeError, id="the source fails"),
    ],
)
def test_a_batch_is_kept_whole_or_not_at_all(store, last, error):
    batch = [Sample("m", {"i": str(i)}, T0, i) for i in range(3)]

    with pytest.raises(error):
        store.write(unreadable(batch) if last is None else [*batch, last])
    assert values(store, Selector("m")) == []

    store.write(batch)  # the store goes on
    assert values(store, Selector("m")) == [0, 1, 2]


def test_threads_may_write_and_read_at_once(store):
    def write(thread):
        for i in range(30):
            store.write([Sample("m", {"thread": str(thread)}, T0 + i, i)])

    window = Window(T0, T0 + 29, 1)
    with ThreadPoolExecutor(6) as pool:
        writing = [pool.submit(write, thread) for thread in range(3)]
        reading = [pool.submit(store.gauge, Selector("m"), window) for _ in range(30)]
        for task in [*writing, *reading]:
            task.result(timeout=60)

    assert [one.values.tolist() for one in store.gauge(Selector("m"), window)] == [
        list(range(30))
    ] * 3


def test_many_series_on_a_fine_grid_come_back_whole(store):
    store.write(
        Sample("m_total", {"i": str(i)}, T0 - 600 + t, t * i)
        for i in range(20)
        for t in range(601)
    )
    found = store.increase(Selector("m_total"), Window(T0 - 599, T0, 1))

    assert len(found) == 20
    for series in found:
        assert series.values.tolist() == [float(series.labels["i"])] * 600


# --- other processes ------------------------------------------------------------------------


def start_writer(path, *arguments):
    command = [sys.executable, str(WRITER), str(path), *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )


def test_a_second_process_reads_while_one_writes(path):
    with start_writer(path, "endless") as writer:
        writer.stdout.readline()
        reader = open_store(path)
        seen = set()
        deadline = time.monotonic() + 30
        while len(seen) < 5 and time.monotonic() < deadline:
            found = reader.latest(Selector("batch"), at=1e9, within=1e9)
            assert len(found) == 50
            assert len({sample.at for sample in found}) == 1  # never half a batch
            seen.add(found[0].at)
        writer.kill()
    reader.close()

    assert len(seen) == 5


def test_killing_the_writer_loses_no_committed_batch(path):
    for _ in range(3):
        with start_writer(path, "endless") as writer:
            committed = [int(writer.stdout.readline()) for _ in range(20)][-1]
            writer.send_signal(signal.SIGKILL)
            later = writer.stdout.read().split()
        committed = int(later[-1]) if later else committed
        store = open_store(path)
        found = store.latest(Selector("batch"), at=1e9, within=1e9)

        assert len(found) == 50
        assert len({sample.at for sample in found}) == 1  # all or none
        assert found[0].at >= committed
        store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_two_processes_open_and_write_at_once(path):
    writers = [start_writer(path, 30, name) for name in ("one", "two", "three")]
    for writer in writers:
        with writer:
            writer.stdout.read()
        assert writer.returncode == 0
    store = open_store(path)

    for name in ("one", "two", "three"):
        (series, *_) = store.gauge(Selector(name), Window(0, 29, 1))
        assert series.values.tolist() == list(range(30))
    store.close()


def test_a_series_that_another_process_forgot_is_written_anew(path):
    store = open_store(path, now=T0)
    store.write([Sample("m", {}, T0, 1)])
    other = open_store(path, now=T0 + 200_000)
    other.write([Sample("unrelated", {}, T0 + 200_000, 1)])  # and forgets `m`
    assert values(other, Selector("m")) == []

    store.write([Sample("m", {}, T0 + 1, 2)])
    assert values(store, Selector("m"), at=T0 + 1) == [2]
    store.close()
    other.close()


# --- forgetting -----------------------------------------------------------------------------


def test_what_is_older_than_the_retention_is_forgotten_in_time(path):
    clock = ManualClock(T0)
    store = open_store(path, retention_seconds=600, now=clock)
    store.write(Sample("old", {"i": str(i)}, T0, i) for i in range(50))
    store.write([Sample("m", {}, T0, 1)])
    clock.advance(600)
    store.write([Sample("m", {}, T0 + 600, 2)])
    assert len(values(store, Selector("old"))) == 50

    clock.advance(1)
    for _ in range(4):  # a few series at a time
        store.write([Sample("m", {}, T0 + 601, 3)])
    assert values(store, Selector("old")) == []
    assert values(store, Selector("m"), at=T0 + 601) == [3]
    store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM series").fetchall() == [("m",)]
    connection.close()


@pytest.mark.parametrize("step", [10.0, 60.0])
def test_thinned_history_reads_the_same_on_its_grid(path, step):
    clock = ManualClock(T0)
    store = open_store(path, now=clock, thin_step=step)
    start = T0 // 60 * 60
    store.write(Sample("m_total", {}, start + t, 2.0 * t) for t in range(1200))
    grid = Window(start + 60, start + 1140, step)

    def read():
        return [
            store.gauge(Selector("m_total"), grid)[0].values,
            store.increase(Selector("m_total"), grid)[0].values,
        ]

    before = read()
    clock.advance(1200 + 3600)
    for _ in range(6):
        store.write([])
    after = read()

    np.testing.assert_array_equal(after[0], before[0])
    # The very first step may have nothing left to compare its end with.
    np.testing.assert_array_equal(after[1][1:], before[1][1:])
    store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM samples").fetchone()[0] <= 1200 / step + 1
    connection.close()


def test_without_a_step_to_thin_to_every_sample_is_kept(path):
    store = open_store(path, now=T0 + 80_000)
    store.write(Sample("m", {}, T0 + t, t) for t in range(100))
    store.write([])

    assert store.gauge(Selector("m"), Window(T0, T0 + 99, 1))[0].values.tolist() == list(
        range(100)
    )
    store.close()


# --- faults ---------------------------------------------------------------------------------


def test_a_path_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(StoreUnavailableError, match=r"store\.db: .*check that its folder"):
        open_store(tmp_path / "file" / "store.db")
    with pytest.raises(StoreUnavailableError, match="unable to open database file"):
        open_store(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"not a database, but long enough to be looked at" * 100, id="foreign"),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 8000, id="broken"),
    ],
)
def test_a_corrupt_file_is_left_as_it_is_and_reported(tmp_path, content):
    path = tmp_path / "store.db"
    path.write_bytes(content)

    with pytest.raises(StoreUnavailableError, match="move the file aside"):
        open_store(path)
    assert path.read_bytes() == content


def test_a_file_that_breaks_while_open_is_reported_when_read(path, store):
    store.write(Sample("m", {"i": str(i)}, T0, i) for i in range(5000))
    store.close()
    healthy = path.read_bytes()
    path.write_bytes(healthy[:4096] + b"\xff" * (len(healthy) - 4096))
    broken = open_store(path)

    with pytest.raises(StoreUnavailableError, match="move the file aside"):
        broken.latest(Selector("m"), at=T0, within=60)
    broken.close()


def test_a_later_schema_is_refused(path, store):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StoreUnavailableError, match="schema version 99"):
        open_store(path)


def test_a_file_held_by_another_process_is_unavailable_but_still_read(path):
    store = open_store(path, busy_seconds=0.05)
    store.write([Sample("m", {}, T0, 1)])
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailableError, match="another process is holding it"):
        store.write([Sample("m", {}, T0 + 1, 2)])
    assert values(store, Selector("m")) == [1]

    holder.execute("ROLLBACK")
    holder.close()
    store.write([Sample("m", {}, T0 + 1, 2)])
    assert values(store, Selector("m"), at=T0 + 1) == [2]
    store.close()


def test_a_disk_that_is_full_takes_no_part_of_a_batch(path):
    with start_writer(path, "endless", "batch", 2_000_000) as writer:
        committed = len(writer.stdout.read().split())
    assert writer.returncode == 3  # StoreUnavailableError, in words
    store = open_store(path)
    found = store.latest(Selector("batch"), at=1e9, within=1e9)

    assert committed > 1
    assert {sample.at for sample in found} == {committed - 1}
    store.close()


def test_a_closed_store_says_so(store):
    store.close()
    store.close()

    with pytest.raises(StoreUnavailableError, match="closed"):
        store.write([Sample("m", {}, T0, 1)])
    with pytest.raises(StoreUnavailableError, match="closed"):
        store.latest(Selector("m"), at=T0, within=1)
