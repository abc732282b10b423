"""A fleet that tests set by hand, rollouts on a clock that they move, and easy evidence."""

from dataclasses import dataclass, field

import pytest

from inference.gateway.rollout.controller import Controller
from inference.gateway.rollout.evidence import Evidence, ProbeRound, Tally
from inference.gateway.rollout.plan import Probe, RolloutPlan
from inference.gateway.rollout.rollouts import Rollouts
from inference.gateway.rollout.settings import RolloutSettings
from inference.gateway.routing.choice import Capacity
from telemetry.clock import ManualClock
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ReplicaRecord
from telemetry.publish import Metrics


def record_of(id_, version, model="tiny", port=1):
    return ReplicaRecord(
        id=id_, model=model, state=ReplicaState.SERVING, pid=1, pid_started=0.0,
        host="127.0.0.1", port=port, slots=8, since=0.0, version=version,
    )  # fmt: skip


@dataclass
class Fleet:
    """What serves, as a test says."""

    records: list = field(default_factory=list)
    busy: dict = field(default_factory=dict)  # version: slots in use

    def serving_records(self):
        return self.records

    def capacity(self, model, version=None):
        ones = [
            one for one in self.records if one.serves(model) and version in (None, one.version)
        ]
        slots = sum(one.slots for one in ones)
        return Capacity(len(ones), slots, slots - self.busy.get(version, 0))


def plan_of(**fields):
    usual = {"model": "tiny", "stable": "v1", "canary": "v2", "steps": (0.1, 0.5, 1.0)}
    return RolloutPlan(**{**usual, "step_seconds": 60.0, "min_requests": 50, **fields})


def seen(requests=0, failures=0, ttft=0.1):
    """Evidence of requests of which some failed; TTFT spreads evenly over ±20 %."""
    tally = Tally()
    answered = requests - failures
    for number in range(answered):
        spread = 0.8 + 0.4 * (number + 0.5) / answered
        tally.count(ttft=None if ttft is None else ttft * spread, failed=False)
    for _ in range(failures):
        tally.count(ttft=None, failed=True)
    return tally.evidence()


def evidence_of(stable=None, canary=None, rounds=()):
    return Evidence(stable or seen(), canary or seen(), rounds)


PASSED = ProbeRound((True, True), (True, True))
DROPPED = ProbeRound((True, True), (True, False))
PROBES = (Probe(prompt="2+2=", expect="4"), Probe(prompt="Hello", expect="."))


@pytest.fixture
def clock():
    return ManualClock(1000.0)


@pytest.fixture
def fleet():
    return Fleet([record_of("r1", "v1"), record_of("r2", "v2")])


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def settings(tmp_path):
    return RolloutSettings(path=tmp_path / "state" / "rollouts.json", most_sessions=1000)


@pytest.fixture
def rollouts(metrics, clock, settings):
    return Rollouts(metrics, clock=clock, settings=settings)


@pytest.fixture
def controller(rollouts, fleet, clock, settings):
    return Controller(rollouts, fleet, clock=clock, settings=settings, ask=_no_probe)


async def _no_probe(record, body):
    raise AssertionError(f"{record.id} was asked {body}")


@pytest.fixture
def value(metrics):
    """Return one series' value, or None where it does not exist."""

    def read(name, **labels):
        found = [
            one.value for one in metrics.samples(0.0) if one.name == name and one.labels == labels
        ]
        return found[0] if found else None

    return read
