"""Records, candidates and rosters for tests of routing."""

import numpy as np

from inference.gateway.routing.candidate import Candidate
from inference.gateway.routing.load import Iteration, LoadPage, ModelLoad
from inference.gateway.routing.meters import RoutingMeters
from inference.gateway.routing.roster import Roster
from inference.gateway.routing.settings import RoutingSettings
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ReplicaRecord
from telemetry.publish import Metrics

SERVING = ReplicaState.SERVING
QUICK = Iteration(fixed=0.01, decode_token=0.001, prefill_token=0.0001)


def record(id_="a", *, model="tiny", state=SERVING, pid=1, port=1, slots=8, since=0.0, **optional):
    return ReplicaRecord(id_, model, state, pid, 0.0, "127.0.0.1", port, slots, since, **optional)


def candidate(id_="a", *, in_flight=0, distance=0.0, is_fresh=True, optional=None, **known):
    """A candidate whose load is fresh at any time, or never."""
    slots = known.pop("slots", 8)
    one = Candidate(
        record(id_, slots=slots, **(optional or {})),
        distance,
        holder=hash(id_),
        fresh_until=float("inf") if is_fresh else float("-inf"),
        **known,
    )
    one.in_flight = in_flight
    return one


def load(**fields):
    usual = {"running": 0, "waiting": 0, "waiting_tokens": 0, "slots": 8, "iteration": QUICK}
    return ModelLoad(**usual | fields)


def page(model="tiny", *, progress_age=0.0, **fields):
    return LoadPage({model: load(**fields)}, progress_age)


def new_roster(clock, records=(), *, models=(), metrics=None, **settings):
    """A roster that has read these records."""
    meters = RoutingMeters(Metrics() if metrics is None else metrics)
    roster = Roster(
        models,
        clock=clock,
        meters=meters,
        rng=np.random.default_rng(7),
        settings=RoutingSettings(**settings),
    )
    roster.update(list(records))
    return roster
