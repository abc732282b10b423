import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.clock import ManualClock
from telemetry.retention import Forgetting, Retention
from telemetry.series import Sample, Selector, Window
from telemetry.sqlite_store import SqliteStore


def forget(rows, *, now, visits=40, retention=None, name="x"):
    """Put one series into an empty store, forget, and return the times that are left."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT)")
    connection.execute(
        "CREATE TABLE samples (series_id, at REAL, value, PRIMARY KEY (series_id, at))"
    )
    connection.execute("INSERT INTO series VALUES (1, ?)", (name,))
    connection.executemany("INSERT INTO samples VALUES (1, ?, 0)", [(float(at),) for at in rows])
    forgetting = Forgetting(retention or Retention(86_400, full_seconds=3600, thin_step=60))
    for _ in range(visits):
        forgetting.visit(connection, now=now)
    left = [row[0] for row in connection.execute("SELECT at FROM samples ORDER BY at")]
    connection.close()
    return left


@pytest.mark.parametrize(
    ("rows", "now", "left"),
    [
        pytest.param([0, 10, 60], 3659, [0, 10, 60], id="an hour is kept in full"),
        pytest.param([1, 10, 60, 61], 3660, [60, 61], id="then the last of a minute"),
        pytest.param([1, 10, 61], 3660, [10, 61], id="whenever in the minute it was"),
        pytest.param([10, 70], 86_410, [10, 70], id="a day old"),
        pytest.param([10, 70], 86_411, [70], id="older than a day"),
    ],
)
def test_what_is_forgotten(rows, now, left):
    assert forget(rows, now=now) == left


@pytest.mark.parametrize(
    ("name", "left"),
    [
        pytest.param("demand", [10, 70], id="named"),
        pytest.param("brief", [70], id="named with less"),
        pytest.param("other", [70], id="not named"),
    ],
)
def test_named_metrics_are_kept_longer_and_never_shorter(name, left):
    retention = Retention(100, longer={"demand": 200.0, "brief": 1.0})

    assert forget([10, 70], now=150.0, retention=retention, name=name) == left


def test_one_visit_forgets_a_bounded_number_of_rows():
    expiring = len(forget(range(10_000), now=1e6, visits=1))
    unthinned = Retention(86_400)
    thinning = len(forget(range(10_000), now=20_000, visits=1))

    assert len(forget(range(10_000), now=1e6, visits=1, retention=unthinned)) == 9500
    assert 10_000 - 1200 < expiring <= 10_000 - 500  # some expire, the next are thinned
    assert 10_000 - 600 < thinning < 10_000 - 400


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 7200), unique=True, min_size=1, max_size=200))
def test_the_last_sample_of_every_minute_stays(rows):
    left = forget(rows, now=7200.0)
    due = [at for at in rows if at <= 3600]

    assert [at for at in left if at <= 3600] == sorted(
        {
            max(at for at in due if -(-at // 60) == minute)
            for minute in {-(-at // 60) for at in due}
        }
    )
    assert [at for at in left if at > 3600] == sorted(at for at in rows if at > 3600)


def test_every_series_has_its_turn(tmp_path):
    clock = ManualClock(1e6)
    store = SqliteStore(tmp_path / "m.db", retention_seconds=60, clock=clock)
    store.write(Sample("m", {"i": str(i)}, 1e6, 1) for i in range(95))
    clock.advance(61)
    for _ in range(6):
        store.write([])

    assert store.gauge(Selector("m"), Window(1e6, 1e6, 1)) == []
    store.close()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_retention_of_no_time_is_refused(seconds):
    with pytest.raises(ValueError, match="expected times above zero"):
        Retention(seconds)
    with pytest.raises(ValueError, match="expected times above zero"):
        Retention(60, thin_step=seconds)
