"""Work: what a request costs a replica, in input-token equivalents."""

from dataclasses import dataclass

# An output token of a full batch costs no less than an input token, and a fit that says more
# than this has seen no prompt worth the name.
_WEIGHTS = (1.0, 1000.0)


@dataclass(frozen=True, slots=True)
class Pace:
    """How one full replica works: what output costs, and how much it does per slot."""

    output_weight: float  # input tokens that take as long as one output token
    per_slot: float  # work per second


def pace_of(*, fixed: float, decode_token: float, prefill_token: float, slots: int) -> Pace | None:
    """Derive the pace from seconds per iteration, per output token and per input token.

    A full batch shares the fixed part of an iteration among its slots. None where the cost of
    input is not known.
    """
    if prefill_token <= 0 or slots < 1:
        return None
    low, high = _WEIGHTS
    weight = (decode_token + fixed / slots) / prefill_token
    return Pace(min(max(weight, low), high), 1 / prefill_token / slots)


def work_of(input_tokens: int, output_tokens: int, output_weight: float) -> float:
    """Return the work of so many tokens, at least that of one."""
    return max(1.0, input_tokens + output_weight * output_tokens)
