"""The score of one replayed day, and the table that sets policies side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from telemetry.lifecycle import ReplicaState
from warmfront.load import Outcome

LATE_SECONDS = 0.1  # a load generator later than this no longer plays the schedule it was given


@dataclass(frozen=True, slots=True)
class Score:
    """How a policy did: what clients felt, and what it cost."""

    policy: str
    requests: int
    turned_away: int  # refused at once, since they would have been late
    failed: int
    cold_start_hits: int
    ttft_p50: float | None
    ttft_p95: float | None
    ttft_p99: float | None
    within_objective: float | None  # share of all requests, 0 to 1
    output_tokens: int
    replica_seconds: Mapping[str, float]
    sent_late_p99: float

    @property
    def paid_seconds(self) -> float:
        """Replica-seconds in every state in which a replica holds a device."""
        return sum(self.replica_seconds.values())

    def to_json(self) -> dict[str, Any]:
        """Return the score as plain values."""
        return {**asdict(self), "paid_seconds": self.paid_seconds}


def score(
    policy: str,
    outcomes: Sequence[Outcome],
    *,
    cold_start_hits: int,
    replica_seconds: Mapping[str, float],
    ttft_objective: float,
) -> Score:
    """Boil a day's outcomes down to its score."""
    ttfts = np.array([one.ttft for one in outcomes if one.is_good and one.ttft is not None])
    within = float((ttfts <= ttft_objective).sum() / len(outcomes)) if outcomes else None
    p50, p95, p99 = (
        float(np.quantile(ttfts, q)) if ttfts.size else None for q in (0.5, 0.95, 0.99)
    )
    late = [one.late for one in outcomes]
    return Score(
        policy=policy,
        requests=len(outcomes),
        turned_away=sum(one.is_turned_away for one in outcomes),
        failed=sum(not (one.is_good or one.is_turned_away) for one in outcomes),
        cold_start_hits=cold_start_hits,
        ttft_p50=p50,
        ttft_p95=p95,
        ttft_p99=p99,
        within_objective=within,
        output_tokens=sum(one.output_tokens for one in outcomes),
        replica_seconds=dict(replica_seconds),
        sent_late_p99=float(np.quantile(late, 0.99)) if late else 0.0,
    )


def table(scores: Sequence[Score], *, ttft_objective: float) -> Table:
    """Set the scores side by side, a column for each policy."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("the same day")
    for one in scores:
        shown.add_column(one.policy, justify="right")
    for label, cells in _rows(scores, ttft_objective):
        shown.add_row(label, *cells)
    return shown


def _rows(scores: Sequence[Score], objective: float) -> list[tuple[str, list[str]]]:
    states = (ReplicaState.SERVING, ReplicaState.STANDBY, ReplicaState.STARTING)
    rows = [
        ("requests", [f"{one.requests}" for one in scores]),
        ("turned away · failed", [f"{one.turned_away} · {one.failed}" for one in scores]),
        ("cold-start hits", [f"{one.cold_start_hits}" for one in scores]),
        ("TTFT p50", [_milliseconds(one.ttft_p50) for one in scores]),
        ("TTFT p95", [_milliseconds(one.ttft_p95) for one in scores]),
        ("TTFT p99", [_milliseconds(one.ttft_p99) for one in scores]),
        (f"TTFT within {objective:g} s", [_percent(one.within_objective) for one in scores]),
        ("replica-seconds", [f"{one.paid_seconds:.0f}" for one in scores]),
    ]
    for state in states:
        cells = [f"{one.replica_seconds.get(state, 0.0):.0f}" for one in scores]
        rows.append((f"  of these {state}", cells))
    rows.append(("tokens", [f"{one.output_tokens}" for one in scores]))
    return rows


def caveats(scores: Sequence[Score]) -> list[str]:
    """Say what makes a comparison weaker than it looks."""
    return [
        f"{one.policy}: requests left up to {one.sent_late_p99:.2f} s late (p99): this machine "
        "was too busy to play the day at this pace; try a longer --seconds"
        for one in scores
        if one.sent_late_p99 > LATE_SECONDS
    ]


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
