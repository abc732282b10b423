"""The verdict on a canary: hold, advance, promote or roll back, and the numbers behind it.

Rolling back needs proof beyond noise, at a level that holds although it is looked for each
second. Going on needs enough requests without a sign of harm. What is between is held.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from inference.gateway.rollout.confidence import rank_bounds, share_bounds
from inference.gateway.rollout.evidence import Evidence, VersionEvidence
from inference.gateway.rollout.latencies import Latencies
from inference.gateway.rollout.plan import RolloutPlan

QUANTILE = 0.95  # of TTFT: what is compared
OUTRIGHT_FAILURES = 5  # and not one success: no client is to be the sixth
CONFIRMING_ROUNDS = 3  # of probes in a row that must agree on a drop


class Action(StrEnum):
    """What is to be done."""

    HOLD = "hold"
    ADVANCE = "advance"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"


class Reason(StrEnum):
    """Why; the value is the `reason` label."""

    HEALTHY = "healthy"  # no sign of harm in enough requests
    FAILS_OUTRIGHT = "fails_outright"  # every request, and stable does not
    ERRORS = "errors"  # more failures than stable, beyond the limit and beyond noise
    TTFT = "ttft"  # slower than stable, beyond the limit and beyond noise
    QUALITY = "quality"  # fails probes that stable passes, round after round
    CANARY_MISSING = "canary_missing"  # none of its replicas serves
    TOO_EARLY = "too_early"
    TOO_FEW_REQUESTS = "too_few_requests"  # of the canary
    NO_BASELINE = "no_baseline"  # too few requests of stable to hold it against
    NO_PROBES = "no_probes"  # not answered yet by both
    UNCLEAR_ERRORS = "unclear_errors"  # beyond the limit, but it may be noise
    UNCLEAR_TTFT = "unclear_ttft"
    UNCLEAR_QUALITY = "unclear_quality"
    # What is not found in evidence, but in how a rollout goes.
    STARTED = "started"
    NO_ROOM = "no_room"  # too few slots for all traffic at once
    OLD_SESSIONS = "old_sessions"  # stable still has some
    DRAINED = "drained"
    DRAIN_TIMEOUT = "drain_timeout"
    PAUSED = "paused"
    ORDERED = "ordered"  # by an operator


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was compared; None where there is nothing to compare."""

    stable_requests: int
    canary_requests: int
    stable_failed_share: float | None
    canary_failed_share: float | None
    error_delta_low: float  # the canary fails at least so much more often, but for noise
    stable_ttft_p95_seconds: float | None
    canary_ttft_p95_seconds: float | None
    ttft_ratio_low: float  # the canary's p95 is at least so many times stable's, but for noise
    stable_quality: float | None
    canary_quality: float | None

    @property
    def error_delta(self) -> float | None:
        """Failed share of the canary above stable's, as seen."""
        if self.stable_failed_share is None or self.canary_failed_share is None:
            return None
        return self.canary_failed_share - self.stable_failed_share

    @property
    def ttft_ratio(self) -> float | None:
        """The canary's p95 over stable's, as seen."""
        if self.stable_ttft_p95_seconds is None or self.canary_ttft_p95_seconds is None:
            return None
        return self.canary_ttft_p95_seconds / self.stable_ttft_p95_seconds


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done, why, and by which numbers."""

    action: Action
    reason: Reason
    numbers: Numbers


def judge(
    plan: RolloutPlan,
    evidence: Evidence,
    *,
    elapsed: float,
    missing: float | None = None,
    is_last: bool = False,
) -> Verdict:
    """Judge one step: `elapsed` seconds of it, `missing` since a canary's replica last served.

    `missing` is None while one serves; `is_last` where the next step is promotion.
    """
    numbers = measure(plan, evidence)
    harm = _harm(plan, evidence, numbers, missing)
    if harm is not None:
        return Verdict(Action.ROLL_BACK, harm, numbers)
    doubt = _doubt(plan, evidence, numbers, elapsed, missing)
    if doubt is not None:
        return Verdict(Action.HOLD, doubt, numbers)
    return Verdict(Action.PROMOTE if is_last else Action.ADVANCE, Reason.HEALTHY, numbers)


def measure(plan: RolloutPlan, evidence: Evidence) -> Numbers:
    """Compare the versions."""
    stable, canary, level = evidence.stable, evidence.canary, plan.interval_level
    qualities = next(
        (one.qualities for one in reversed(evidence.rounds) if one.qualities), (None, None)
    )
    return Numbers(
        stable_requests=stable.requests,
        canary_requests=canary.requests,
        stable_failed_share=stable.failed_share,
        canary_failed_share=canary.failed_share,
        error_delta_low=_least_delta(stable, canary, level),
        stable_ttft_p95_seconds=stable.ttft.quantile(QUANTILE),
        canary_ttft_p95_seconds=canary.ttft.quantile(QUANTILE),
        ttft_ratio_low=_least_ratio(stable.ttft, canary.ttft, level),
        stable_quality=qualities[0],
        canary_quality=qualities[1],
    )


def lacks_baseline(plan: RolloutPlan, evidence: Evidence) -> bool:
    """Tell whether too little is known of stable to hold a canary against it."""
    return not _is_enough(plan, evidence.stable)


def lacks_probes(plan: RolloutPlan, evidence: Evidence) -> bool:
    """Tell whether the probes are still to be answered by both versions."""
    return bool(plan.probes) and not any(one.qualities for one in evidence.rounds)


def has_dropped(plan: RolloutPlan, evidence: Evidence, *, rounds: int) -> bool:
    """Tell whether each of the last rounds shows a drop in quality beyond the limit.

    Probes are all that is asked of a version, not a sample of it, and are answered without
    chance: what they are guarded against is a fluke, by asking again.
    """
    known = [one.qualities for one in evidence.rounds if one.qualities][-rounds:]
    limit = plan.max_quality_drop + 1e-9  # 0.9 - 0.8 is a hair above 0.1
    return len(known) == rounds and all(old - new > limit for old, new in known)


def _harm(
    plan: RolloutPlan, evidence: Evidence, numbers: Numbers, missing: float | None
) -> Reason | None:
    """Find what is reason enough to roll back."""
    if missing is not None and missing >= plan.patience_seconds:
        return Reason.CANARY_MISSING
    if _fails_outright(evidence):
        return Reason.FAILS_OUTRIGHT
    if numbers.error_delta_low > plan.max_error_delta:
        return Reason.ERRORS
    if plan.max_ttft_ratio is not None and numbers.ttft_ratio_low > plan.max_ttft_ratio:
        return Reason.TTFT
    if has_dropped(plan, evidence, rounds=CONFIRMING_ROUNDS):
        return Reason.QUALITY
    return None


def _doubt(
    plan: RolloutPlan,
    evidence: Evidence,
    numbers: Numbers,
    elapsed: float,
    missing: float | None,
) -> Reason | None:
    """Find what speaks against going on, though not for going back."""
    delta, ratio = numbers.error_delta, numbers.ttft_ratio
    doubts = (
        (missing is not None, Reason.CANARY_MISSING),
        (not _is_enough(plan, evidence.canary), Reason.TOO_FEW_REQUESTS),
        (lacks_baseline(plan, evidence), Reason.NO_BASELINE),
        (lacks_probes(plan, evidence), Reason.NO_PROBES),
        (elapsed < plan.step_seconds, Reason.TOO_EARLY),
        (delta is None or delta > plan.max_error_delta, Reason.UNCLEAR_ERRORS),
        (
            plan.max_ttft_ratio is not None and (ratio is None or ratio > plan.max_ttft_ratio),
            Reason.UNCLEAR_TTFT,
        ),
        (has_dropped(plan, evidence, rounds=1), Reason.UNCLEAR_QUALITY),
    )
    return next((reason for is_so, reason in doubts if is_so), None)


def _is_enough(plan: RolloutPlan, evidence: VersionEvidence) -> bool:
    """Half of the requests must have told a TTFT, where that is judged: failures tell none."""
    tells_ttft = plan.max_ttft_ratio is None or 2 * evidence.ttft.count >= plan.min_requests
    return evidence.requests >= plan.min_requests and tells_ttft


def _fails_outright(evidence: Evidence) -> bool:
    stable, canary = evidence.stable, evidence.canary
    is_total = canary.failures == canary.requests >= OUTRIGHT_FAILURES
    stable_share = stable.failed_share or 0.0  # of nothing known is no excuse
    return is_total and stable_share < 0.5  # noqa: PLR2004 - else the fault is not the canary's


def _least_delta(stable: VersionEvidence, canary: VersionEvidence, level: float) -> float:
    low, _ = share_bounds(canary.failures, canary.requests, level=level)
    _, high = share_bounds(stable.failures, stable.requests, level=level)
    return low - high


def _least_ratio(stable: Latencies, canary: Latencies, level: float) -> float:
    """Compare the least that the canary's p95 may be to the most that stable's may be."""
    rank, _ = rank_bounds(canary.count, share=QUANTILE, level=level)
    least, _ = canary.smallest(rank)
    _, rank = rank_bounds(stable.count, share=QUANTILE, level=level)
    _, most = stable.smallest(rank + 1)
    return 0.0 if math.isinf(most) else least / most
