"""Outcomes: what came of starting, waking and running replicas, counted and told."""

import structlog

from autoscaler.lead_time import LeadTimes
from autoscaler.targets.supervised import Supervised
from telemetry import catalog
from telemetry.publish import Metrics

_log = structlog.get_logger(__name__)


class Outcomes:
    """The counters and measured lead times of one model's replicas on this machine."""

    def __init__(self, model: str, *, metrics: Metrics, lead_times: LeadTimes) -> None:
        starts = metrics.counter(catalog.REPLICA_STARTS)
        self._starts = {
            outcome: starts.labels(model=model, outcome=outcome)
            for outcome in ("ready", "adopted", "failed")
        }
        self._crashes = metrics.counter(catalog.REPLICA_CRASHES).labels(model=model)
        self._start_seconds = metrics.histogram(catalog.REPLICA_START).labels(model=model)
        self._wake_seconds = metrics.histogram(catalog.REPLICA_WAKE).labels(model=model)
        self._lead_times = lead_times

    def ready(self, one: Supervised, *, now: float) -> None:
        """Count a start that has come to its end, and how long it took."""
        elapsed = now - one.met
        if one.record is not None:  # it knows the moment better than we, who look now and then
            elapsed = min(elapsed, max(one.record.since - one.met_at, 0.0))
        self._starts["ready"].inc()
        self._start_seconds.observe(elapsed)
        self._lead_times.record_start(elapsed)
        _log.info("replica ready", replica=one.id, state=one.state, seconds=round(elapsed, 3))

    def adopted(self, one: Supervised) -> None:
        """Count a replica of an earlier daemon that goes on under this one."""
        self._starts["adopted"].inc()
        _log.info("replica adopted", replica=one.id, pid=one.pid, state=one.state)

    def woke(self, replica: str, seconds: float) -> None:
        """Count a wake, and how long it took."""
        self._wake_seconds.observe(seconds)
        self._lead_times.record_wake(seconds)
        _log.info("replica woken", replica=replica, seconds=round(seconds, 3))

    def failed(self, one: Supervised, *, cause: str, last_words: str) -> None:
        """Count a replica that was wanted and is lost: before it was ready, or after."""
        if one.was_ready:
            self._crashes.inc()
            event = "replica crashed"
        else:
            self._starts["failed"].inc()
            event = "replica did not start"
        _log.error(event, replica=one.id, pid=one.pid, cause=cause, last_words=last_words)

    def not_started(self, program: str, error: OSError) -> None:
        """Count a process that the machine would not even start."""
        self._starts["failed"].inc()
        _log.error("replica did not start", program=program, cause=str(error))
