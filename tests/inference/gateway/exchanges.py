"""Exchanges and timelines as tests want them, without a gateway around them."""

from inference.gateway.completion import Completion, Operation
from inference.gateway.exchange import Exchange
from inference.gateway.tenancy.caller import Caller
from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Outcome, ReplicaTimings, Timeline, Usage

WALL = 1_700_000_000.0


def answered_timeline(*, received=100.0, device=0.1, encode=0.0, choices=1):
    """Return the timeline of a request that took 1.5 s in known parts."""
    return Timeline(
        received=received,
        wall=WALL,
        queued=received + 0.01,
        admitted=received + 0.01,
        routed=received + 0.21,
        sent=received + 0.22,
        first_token=received + 0.5,
        last_token=received + 1.4,
        flushed=received + 1.5,
        usage=Usage(5, 10),
        replica=ReplicaTimings(queue=0.08, prefill=0.19, decode=0.9, encode=encode, device=device),
        choices=choices,
    )


def exchange(timeline=None, *, outcome=Outcome.ANSWERED, status=200, **options):
    """Return an exchange for the model "tiny" that has ended."""
    fields = options.pop("fields", {})
    ask = Completion(
        options.pop("operation", Operation.CHAT),
        options.pop("model", "tiny"),
        b"{}",
        streams=options.pop("streams", False),
        fields=fields,
    )
    return Exchange(
        ask,
        Caller(tenant=options.pop("tenant", "acme")),
        "req-1",
        timeline or answered_timeline(),
        priority=options.pop("priority", Priority.STANDARD),
        outcome=outcome,
        status=status,
        **options,
    )
