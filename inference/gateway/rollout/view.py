"""How a rollout is told over the admin API: plain values for JSON."""

from dataclasses import asdict
from typing import Any

from inference.gateway.rollout.rollout import Move, Readiness
from inference.gateway.rollout.running import Running
from inference.gateway.rollout.verdict import Numbers, measure


def view(running: Running, readiness: Readiness) -> dict[str, Any]:
    """Tell the plan, where it stands and why, and both versions side by side."""
    plan, state = running.plan, running.state
    numbers = measure(plan, running.evidence)
    return {
        "model": plan.model,
        "phase": state.phase.value,
        "step": state.step,
        "weight": running.weight,
        "is_paused": state.is_paused,
        "since": state.since,
        "reason": state.reason.value,
        "old_sessions": readiness.old_sessions,
        "stable": {
            "version": plan.stable,
            "serving": readiness.stable.serving,
            "requests": numbers.stable_requests,
            "failed_share": numbers.stable_failed_share,
            "ttft_p95_seconds": numbers.stable_ttft_p95_seconds,
            "quality": numbers.stable_quality,
        },
        "canary": {
            "version": plan.canary,
            "serving": readiness.canary.serving,
            "requests": numbers.canary_requests,
            "failed_share": numbers.canary_failed_share,
            "ttft_p95_seconds": numbers.canary_ttft_p95_seconds,
            "quality": numbers.canary_quality,
        },
        "comparison": _comparison(numbers),
        "moves": [_move(one) for one in running.moves],
        "plan": asdict(plan),
    }


def _comparison(numbers: Numbers) -> dict[str, float | None]:
    return {
        "error_delta": numbers.error_delta,
        "error_delta_low": numbers.error_delta_low,
        "ttft_ratio": numbers.ttft_ratio,
        "ttft_ratio_low": numbers.ttft_ratio_low,
    }


def _move(move: Move) -> dict[str, Any]:
    told = {} if move.numbers is None else _comparison(move.numbers)
    return {
        "at": move.at,
        "phase": move.phase.value,
        "step": move.step,
        "weight": move.weight,
        "reason": move.reason.value,
        "comparison": told,
    }
