"""One rollout under way: its plan, where it stands, and the evidence gathered in this step."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.gateway.rollout.evidence import Evidence, ProbeRound, Tally, VersionEvidence
from inference.gateway.rollout.plan import RolloutPlan, Strategy
from inference.gateway.rollout.rollout import (
    Move,
    Order,
    Phase,
    Readiness,
    State,
    follow,
    step,
)
from inference.gateway.rollout.sessions import Seat
from inference.gateway.rollout.verdict import CONFIRMING_ROUNDS

_MOVES_KEPT = 50


@dataclass(frozen=True, slots=True)
class Kept:
    """A rollout as it is written down."""

    plan: RolloutPlan
    state: State
    stable: VersionEvidence = field(default_factory=VersionEvidence)
    canary: VersionEvidence = field(default_factory=VersionEvidence)
    before: VersionEvidence = field(
        default_factory=VersionEvidence
    )  # of stable, in the step before
    moves: tuple[Move, ...] = ()


class Running:
    """A rollout from its start until the operator finishes it."""

    def __init__(self, kept: Kept) -> None:
        self.plan = kept.plan
        self.state = kept.state
        self.moves = deque(kept.moves, maxlen=_MOVES_KEPT)
        self._before = kept.before
        self._tallies = {
            kept.plan.stable: Tally.of(kept.stable),
            kept.plan.canary: Tally.of(kept.canary),
        }
        self._rounds: deque[ProbeRound] = deque(maxlen=CONFIRMING_ROUNDS)

    @property
    def weight(self) -> float:
        """Share of new sessions that go to the canary."""
        return self.state.weight(self.plan)

    @property
    def evidence(self) -> Evidence:
        """What this step has shown."""
        stable, canary = self._tallied(self.plan.stable), self._tallied(self.plan.canary)
        return Evidence(stable.plus(self._before), canary, tuple(self._rounds))

    @property
    def qualities(self) -> tuple[float, float] | None:
        """Shares of the probes that stable and canary passed last; None where not known."""
        known = (one.qualities for one in reversed(self._rounds))
        return next((one for one in known if one is not None), None)

    def kept(self) -> Kept:
        """Return all that is to outlive the process."""
        plan = self.plan
        return Kept(
            plan=plan,
            state=self.state,
            stable=self._tallied(plan.stable),
            canary=self._tallied(plan.canary),
            before=self._before,
            moves=tuple(self.moves),
        )

    def version_of(self, seat: Seat | None, share: float) -> str:
        """Choose the version for a session that sits on `seat`, or is new with this share."""
        plan, phase = self.plan, self.state.phase
        if phase in (Phase.PREPARING, Phase.ROLLED_BACK):
            return plan.stable
        is_drained = phase is Phase.PROMOTED and plan.strategy is Strategy.BLUE_GREEN
        if seat is None or is_drained:
            return plan.canary if share < self.weight else plan.stable
        return plan.canary if seat.version == plan.canary else plan.stable

    def count(self, version: str, *, ttft: float | None, failed: bool, at: float) -> bool:
        """Count a request that came at `at`; False where it is no evidence of this step."""
        tally = self._tallies.get(version)
        if tally is None or at < self.state.since:
            return False
        tally.count(ttft=ttft, failed=failed)
        return True

    def add_round(self, one: ProbeRound) -> None:
        """Take in the answers to a round of probes."""
        self._rounds.append(one)

    def look(self, readiness: Readiness, now: float) -> tuple[Move, ...]:
        """Go on by what is known now; return the moves made."""
        weight = self.weight
        self.state, moves = step(self.plan, self.state, self.evidence, readiness, now)
        return self._take_in(moves, weight)

    def follow(self, order: Order, now: float) -> tuple[Move, ...]:
        """Follow an operator's order; return the moves made."""
        weight = self.weight
        self.state, moves = follow(self.plan, self.state, order, now)
        return self._take_in(moves, weight)

    def _take_in(self, moves: Sequence[Move], weight: float) -> tuple[Move, ...]:
        """Note the moves; where the weight is another now, the evidence begins anew."""
        self.moves.extend(moves)
        if self.weight != weight:
            self._before = self._tallied(self.plan.stable)
            self._tallies = {self.plan.stable: Tally(), self.plan.canary: Tally()}
            self._rounds.clear()
        return tuple(moves)

    def _tallied(self, version: str) -> VersionEvidence:
        return self._tallies[version].evidence()
