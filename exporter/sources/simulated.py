"""Simulated GPUs for a machine without one: one per replica slot, following the replicas.

Utilization, memory and power come from what the replicas really did, as the store knows it;
what a replica cannot tell (temperature, clocks, free memory) is missing, not invented.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from exporter.reading import Identity, Reading
from telemetry import catalog
from telemetry.clock import Clock
from telemetry.process_table import ProcessTable, is_alive
from telemetry.series import Selector, Window
from telemetry.store import Reader

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SimulatedMachine:
    """The machine that is simulated: its devices and what they would draw."""

    slots: int
    idle_watts: float
    limit_watts: float
    window_seconds: float  # over which busy time is averaged; two scrapes or more

    def __post_init__(self) -> None:
        if self.slots < 1 or self.window_seconds <= 0:
            raise ValueError(
                f"expected at least one slot and a window above 0 s, got {self.slots} slots "
                f"and {self.window_seconds} s"
            )
        if not 0 <= self.idle_watts <= self.limit_watts:
            raise ValueError(
                f"expected 0 <= idle_watts <= limit_watts, got {self.idle_watts} "
                f"and {self.limit_watts}"
            )

    def watts(self, utilization: float) -> float:
        """Return the power drawn at a utilization of 0 to 1."""
        return self.idle_watts + (self.limit_watts - self.idle_watts) * utilization


def live_replicas(table: ProcessTable) -> list[str]:
    """Return the ids of the replicas whose processes run, oldest id first."""
    return [
        record.id for record in table.records() if not record.state.is_over and is_alive(record)
    ]


class SimulatedSource:
    """One device per slot; a replica keeps its slot for as long as it lives."""

    name = "simulated"

    def __init__(
        self,
        reader: Reader,
        clock: Clock,
        machine: SimulatedMachine,
        *,
        replicas: Callable[[], Sequence[str]],
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._machine = machine
        self._replicas = replicas
        self._slots = Slots(machine.slots)
        self._meters = [EnergyMeter() for _ in range(machine.slots)]

    def read(self) -> Sequence[Reading]:
        """Return one reading per slot, from what the store knows at this moment."""
        now = self._clock.now()
        tenants = self._slots.assign(self._replicas())
        busy = self._busy(now)
        memory = self._memory(now)
        return [
            self._reading(slot, tenant, busy=busy, memory=memory)
            for slot, tenant in enumerate(tenants)
        ]

    def _busy(self, now: float) -> dict[str, float]:
        seconds = self._machine.window_seconds
        found = self._reader.increase(
            Selector(catalog.REPLICA_BUSY.name), Window(now, now, seconds)
        )
        return {
            series.labels["replica"]: min(1.0, float(series.values[-1]) / seconds)
            for series in found
            if series.has_data
        }

    def _memory(self, now: float) -> dict[str, float]:
        found = self._reader.latest(
            Selector(catalog.REPLICA_MEMORY.name), at=now, within=self._machine.window_seconds
        )
        return {sample.labels["replica"]: sample.value for sample in found}

    def _reading(
        self, slot: int, tenant: str | None, *, busy: dict[str, float], memory: dict[str, float]
    ) -> Reading:
        # An empty device is idle and holds nothing; that is known, not missing.
        utilization = 0.0 if tenant is None else busy.get(tenant)
        watts = None if utilization is None else self._machine.watts(utilization)
        return Reading(
            _identity(slot),
            utilization_ratio=utilization,
            memory_used_bytes=0.0 if tenant is None else memory.get(tenant),
            power_watts=watts,
            energy_joules=self._meters[slot].read(watts, self._clock.monotonic()),
        )


class Slots:
    """Which replica sits on which device: the lowest free one, kept until it is gone."""

    def __init__(self, count: int) -> None:
        self._tenants: list[str | None] = [None] * count
        self._homeless: frozenset[str] = frozenset()

    def assign(self, replicas: Iterable[str]) -> tuple[str | None, ...]:
        """Seat new replicas, free the slots of those that are gone, return who sits where."""
        living = list(replicas)
        self._tenants = [tenant if tenant in living else None for tenant in self._tenants]
        waiting = [replica for replica in living if replica not in self._tenants]
        for slot, tenant in enumerate(self._tenants):
            if tenant is None and waiting:
                self._tenants[slot] = waiting.pop(0)
        self._report(frozenset(waiting))
        return tuple(self._tenants)

    def _report(self, homeless: frozenset[str]) -> None:
        if homeless - self._homeless:
            _log.warning(
                "more replicas than simulated GPUs", slots=len(self._tenants), left=len(homeless)
            )
        self._homeless = homeless


class EnergyMeter:
    """Integrates power over time; while the power is unknown it stands still."""

    def __init__(self) -> None:
        self._joules = 0.0
        self._watts: float | None = None
        self._at = 0.0

    def read(self, watts: float | None, at: float) -> float:
        """Add what was drawn since the last reading, and return the total in joules."""
        if self._watts is not None and watts is not None:
            self._joules += (self._watts + watts) / 2 * max(0.0, at - self._at)
        self._watts, self._at = watts, at
        return self._joules


def _identity(slot: int) -> Identity:
    return Identity(
        slot,
        uuid=f"GPU-simulated-{slot}",
        name="Warmfront Simulated GPU",
        pci_bus_id="",
        device=f"simulated{slot}",
        simulated=True,
    )
