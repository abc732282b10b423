"""The profile reader: capacity from what replicas publish about themselves in the store."""

from statistics import median

import numpy as np

from autoscaler.capacity import Capacity, Work
from autoscaler.observation import Fleet
from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.lifecycle import ReplicaState
from telemetry.series import Selector, Window
from telemetry.store import Reader, StoreUnavailableError

_PROFILE = (
    catalog.REPLICA_ITERATION_FIXED,
    catalog.REPLICA_ITERATION_DECODE,
    catalog.REPLICA_ITERATION_PREFILL,
    catalog.REPLICA_SLOTS,
)
_WORK = (
    catalog.REPLICA_BUSY,
    catalog.REPLICA_ITERATIONS,
    catalog.REPLICA_DECODE_TOKENS,
    catalog.REPLICA_PREFILL_TOKENS,
)


class ProfileReader:
    """Capacity of one model's replicas (a CapacitySource).

    A profile belongs to the model and the machine, so the last one seen goes on counting while
    no replica runs. Replicas that have only just become ready teach nothing: their first
    iterations are slow.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        model: str,
        window_seconds: float = 10.0,
        settle_seconds: float = 5.0,
    ) -> None:
        self._reader = reader
        self._model = model
        self._window_seconds = window_seconds
        self._settle_seconds = settle_seconds
        self._known: Capacity | None = None

    def capacity(self, fleet: Fleet, *, at: float) -> Capacity | None:
        """Return the profile corrected by what settled replicas have lately done (blocking)."""
        try:
            profiled = self._profiled(at) or self._known
            if profiled is not None:
                self._known = profiled.refined(self._work(fleet, at))
        except StoreUnavailableError:
            pass  # what was known stays the best there is
        return self._known

    def _profiled(self, at: float) -> Capacity | None:
        """Return the middle of the profiles that replicas publish, with the correction so far."""
        readings = [self._newest(metric, at) for metric in _PROFILE]
        complete = set.intersection(*(set(reading) for reading in readings))
        if not complete:
            return None
        alpha, beta, delta, slots = (
            median(reading[replica] for replica in complete) for reading in readings
        )
        correction = 1.0 if self._known is None else self._known.correction
        try:
            return Capacity(alpha, beta, delta, int(slots), correction=correction)
        except ValueError:
            return None  # not a profile: as good as none

    def _newest(self, metric: Metric, at: float) -> dict[str, float]:
        selector = Selector(metric.name, {"model": self._model})
        samples = self._reader.latest(selector, at=at, within=self._window_seconds)
        return {
            sample.labels["replica"]: sample.value
            for sample in samples
            if "replica" in sample.labels and np.isfinite(sample.value)
        }

    def _work(self, fleet: Fleet, at: float) -> Work:
        """Sum what settled replicas did in the window; a replica with a gap is left out."""
        settled = self._settled(fleet, at)
        grown = [self._increase(metric, at) for metric in _WORK]
        seen = settled.intersection(*(set(growth) for growth in grown))
        return Work(*(sum(growth[replica] for replica in seen) for growth in grown))

    def _settled(self, fleet: Fleet, at: float) -> set[str]:
        since = at - self._window_seconds - self._settle_seconds
        serving = fleet.in_state(ReplicaState.SERVING)
        return {replica.id for replica in serving if replica.since <= since}

    def _increase(self, metric: Metric, at: float) -> dict[str, float]:
        window = Window(at, at, self._window_seconds)
        selector = Selector(metric.name, {"model": self._model})
        return {
            series.labels["replica"]: float(series.values[-1])
            for series in self._reader.increase(selector, window)
            if "replica" in series.labels and series.has_data
        }
