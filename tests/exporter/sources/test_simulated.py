from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.sources.simulated import (
    EnergyMeter,
    SimulatedMachine,
    SimulatedSource,
    Slots,
    live_replicas,
)
from telemetry import catalog
from telemetry.clock import ManualClock
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable, ReplicaRecord
from telemetry.series import Sample
from telemetry.sqlite_store import SqliteStore

MACHINE = SimulatedMachine(slots=2, idle_watts=70, limit_watts=700, window_seconds=10)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> SqliteStore:
    return SqliteStore(tmp_path / "store.db", retention_seconds=3600, clock=clock)


def simulate(
    store: SqliteStore, clock: ManualClock, replicas: Sequence[str] = ()
) -> SimulatedSource:
    return SimulatedSource(store, clock, MACHINE, replicas=lambda: replicas)


def busy(store: SqliteStore, replica: str, at: float, seconds: float) -> None:
    labels = {"model": "m", "replica": replica}
    store.write([Sample(catalog.REPLICA_BUSY.name, labels, at, seconds)])


def test_a_busy_replica_makes_its_gpu_busy(store: SqliteStore, clock: ManualClock) -> None:
    for at, seconds in ((990.0, 100.0), (995.0, 102.0), (1000.0, 104.0)):
        busy(store, "a", at, seconds)
    labels = {"model": "m", "replica": "a"}
    store.write([Sample(catalog.REPLICA_MEMORY.name, labels, 999.0, 3 << 20)])

    reading = simulate(store, clock, ["a"]).read()[0]

    assert reading.identity.simulated
    assert reading.identity.name == "Warmfront Simulated GPU"
    assert reading.utilization_ratio == pytest.approx(0.4)
    assert reading.memory_used_bytes == 3 << 20
    assert reading.power_watts == pytest.approx(70 + 630 * 0.4)


def test_a_slot_without_a_replica_is_idle(store: SqliteStore, clock: ManualClock) -> None:
    readings = simulate(store, clock).read()

    assert len(readings) == 2
    for reading in readings:
        assert reading.up
        assert reading.utilization_ratio == 0.0
        assert reading.power_watts == 70
        assert reading.memory_used_bytes == 0.0


def test_a_replica_that_the_store_does_not_know_yet_is_missing_not_idle(
    store: SqliteStore, clock: ManualClock
) -> None:
    reading = simulate(store, clock, ["new"]).read()[0]

    assert reading.up
    assert reading.utilization_ratio is None
    assert reading.power_watts is None
    assert reading.memory_used_bytes is None


def test_what_a_replica_cannot_tell_is_not_invented(
    store: SqliteStore, clock: ManualClock
) -> None:
    reading = simulate(store, clock).read()[0]

    assert reading.temperature_celsius is None
    assert reading.sm_clock_hertz is None
    assert reading.memory_clock_hertz is None
    assert reading.memory_free_bytes is None
    assert reading.pcie_replays is None


def test_utilization_never_exceeds_the_whole_device(
    store: SqliteStore, clock: ManualClock
) -> None:
    busy(store, "a", 990.0, 0.0)
    busy(store, "a", 1000.0, 12.0)

    assert simulate(store, clock, ["a"]).read()[0].utilization_ratio == 1.0


def test_energy_is_the_power_drawn_over_time(store: SqliteStore, clock: ManualClock) -> None:
    source = simulate(store, clock)
    source.read()
    clock.advance(60)

    assert source.read()[0].energy_joules == pytest.approx(60 * 70)


def test_energy_stands_still_while_the_power_is_unknown() -> None:
    meter = EnergyMeter()
    meter.read(100.0, 0.0)
    meter.read(100.0, 10.0)

    assert meter.read(None, 20.0) == 1000.0
    assert meter.read(100.0, 30.0) == 1000.0
    assert meter.read(100.0, 31.0) == 1100.0


def test_replicas_take_the_lowest_free_slot_and_keep_it() -> None:
    slots = Slots(3)

    assert slots.assign(["a", "b"]) == ("a", "b", None)
    assert slots.assign(["b"]) == (None, "b", None)
    assert slots.assign(["b", "c"]) == ("c", "b", None)


def test_a_replica_beyond_the_last_slot_is_left_out_and_logged_once() -> None:
    slots = Slots(1)
    with capture_logs() as logs:
        slots.assign(["a", "b"])
        slots.assign(["a", "b"])

    assert slots.assign(["b"]) == ("b",)
    assert [line["event"] for line in logs] == ["more replicas than simulated GPUs"]


@given(st.lists(st.sets(st.sampled_from("abcdef")), max_size=12))
def test_nobody_moves_and_nobody_sits_twice(generations: list[set[str]]) -> None:
    slots = Slots(4)
    before: tuple[str | None, ...] = (None,) * 4
    for generation in generations:
        after = slots.assign(sorted(generation))
        seated = [tenant for tenant in after if tenant is not None]
        assert len(seated) == len(set(seated)) == min(4, len(generation))
        for old, new in zip(before, after, strict=True):
            assert old not in generation or old == new or old is None
        before = after


@pytest.mark.parametrize(
    ("slots", "idle", "limit", "window"),
    [
        pytest.param(0, 70, 700, 10, id="no slots"),
        pytest.param(1, 700, 70, 10, id="idle above the limit"),
        pytest.param(1, 70, 700, 0, id="no window"),
    ],
)
def test_a_machine_that_cannot_be_is_refused(
    slots: int, idle: float, limit: float, window: float
) -> None:
    with pytest.raises(ValueError, match="expected"):
        SimulatedMachine(slots, idle_watts=idle, limit_watts=limit, window_seconds=window)


def test_only_replicas_whose_process_runs_are_live(tmp_path: Path) -> None:
    table = ProcessTable(tmp_path)
    me = psutil.Process()

    def put(replica: str, state: ReplicaState, started: float) -> None:
        table.put(
            ReplicaRecord(replica, "m", state, me.pid, started, "127.0.0.1", 1, 8, since=0.0)
        )

    put("alive", ReplicaState.SERVING, me.create_time())
    put("stopped", ReplicaState.STOPPED, me.create_time())
    put("dead", ReplicaState.SERVING, me.create_time() - 1000)

    assert live_replicas(table) == ["alive"]
