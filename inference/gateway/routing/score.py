"""The score: which of a model's replicas serves a request, and why.

Replicas are compared in seconds that the request is predicted to cost there: behind what waits,
for the part of the prompt that is not cached, beside what runs, and to those that it delays.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from inference.gateway.routing.bounds import not_negative, shares
from inference.gateway.routing.candidate import Candidate
from inference.gateway.routing.choice import Choice, Reason
from inference.gateway.routing.want import Want

_WHOLE = "gpu"
_PARTS = frozenset({"mig", "cpu"})


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part of the score counts."""

    wait: float = 1.0  # behind what is there already
    prefix: float = 1.0  # the share of its seconds that a cached prefix is trusted to save
    kv: float = 0.5  # how much longer it all takes where the KV blocks are all in use
    fit: float = 0.25  # and where a short request goes to a whole GPU, or a long one to a part
    long_tokens: int = 4096  # from here on a request is long
    session_wait_seconds: float = 1.0  # what a conversation waits for longer to stay

    def __post_init__(self) -> None:
        not_negative(
            weight_wait=self.wait,
            weight_kv=self.kv,
            weight_fit=self.fit,
            long_tokens=self.long_tokens,
            session_wait_seconds=self.session_wait_seconds,
        )
        shares(weight_prefix=self.prefix)


@dataclass(frozen=True, slots=True)
class View:
    """What a choice goes by, besides the replicas themselves."""

    now: float
    passed_over: Collection[str] = frozenset()  # replicas whose breakers are open
    cached: Mapping[int, float] | None = None  # share of the prefix that each holder has
    home: str | None = None  # the replica that the conversation is with


def pick(
    candidates: Sequence[Candidate],
    want: Want,
    view: View,
    *,
    weights: Weights,
    draw: Callable[[int], int],
) -> Choice | None:
    """Choose one of a model's serving replicas; None where none is open with room.

    `draw(n)` is a random number from 0 to n - 1.
    """
    suited = suited_to(candidates, want)
    roomy = _with_room(suited, want, view.passed_over)
    if not roomy:
        return None
    known = [one for one in roomy if view.now <= one.fresh_until]
    pool = known or roomy
    nearest = min([one.distance for one in pool])
    near = [one for one in pool if one.distance == nearest]
    if known:
        best, reason = _least(near, want, view, weights)
    else:
        best, reason = _lesser_of_two(near, draw), Reason.TWO_CHOICES
    if view.home is not None and _stays(pool, best, want, view, weights):
        best, reason = next(one for one in pool if one.record.id == view.home), Reason.SESSION
    elif any(one.distance < nearest for one in suited):
        reason = Reason.SPILL
    elif len(roomy) == 1:
        reason = Reason.ONLY
    return Choice(best.record, reason)


def suited_to(candidates: Sequence[Candidate], want: Want) -> Sequence[Candidate]:
    """Return the replicas that can serve a request at all, with room or without.

    Its tokens are an estimate: where its context seems to fit nowhere, the replica decides.
    Where none sees, it is a replica as well that tells the client so.
    """
    if want.version is not None:
        candidates = [one for one in candidates if one.record.version == want.version]
    if want.has_images:
        candidates = [one for one in candidates if one.takes_images] or candidates
    tokens = want.tokens
    return [one for one in candidates if tokens <= one.context] or candidates


def predicted_seconds(
    one: Candidate, want: Want, cached: float = 0.0, *, weights: Weights
) -> float:
    """Return what the request would cost at one replica, which has a share of its prompt."""
    iteration, there = one.iteration, one.in_flight + one.others
    step = iteration.fixed + iteration.decode_token * there
    output = want.output_tokens or 1
    wait = step + (one.waiting_tokens + one.sent_tokens) * iteration.prefill_token
    over = there + want.choices - one.slots
    if over > 0:  # as many sequences must end first, and one does every `output / slots` steps
        wait += over * output * step / one.slots
    computed = want.input_tokens * (1.0 - cached * weights.prefix) * iteration.prefill_token
    # Iterations are shared: a prompt holds up all that run, and a sequence more those that
    # have half their output to come.
    delayed = there * (computed + output / 2 * iteration.decode_token)
    seconds = weights.wait * wait + computed + output * step + delayed
    excess = weights.kv * one.kv_usage * one.kv_usage
    if _misfits(one.record.device, is_long=want.tokens >= weights.long_tokens):
        excess += weights.fit
    return seconds * (1.0 + excess)


def _misfits(device: str, *, is_long: bool) -> bool:
    return device in _PARTS if is_long else device == _WHOLE


def _with_room(
    suited: Sequence[Candidate], want: Want, passed_over: Collection[str]
) -> list[Candidate]:
    roomy = [one for one in suited if one.has_room(want.choices)]
    if passed_over or want.avoid:
        shut = want.avoid.union(passed_over)
        return [one for one in roomy if one.record.id not in shut]
    return roomy


def _least(
    near: Sequence[Candidate], want: Want, view: View, weights: Weights
) -> tuple[Candidate, Reason]:
    """Return the replica with the shortest prediction; ties go to the first."""
    plain = [predicted_seconds(one, want, weights=weights) for one in near]
    least = plain.index(min(plain))
    if not view.cached or view.cached.keys().isdisjoint([one.holder for one in near]):
        return near[least], Reason.LOAD
    warm = [_warm_seconds(one, want, view, weights) for one in near]
    best = warm.index(min(warm))
    return near[best], Reason.LOAD if best == least else Reason.PREFIX


def _warm_seconds(one: Candidate, want: Want, view: View, weights: Weights) -> float:
    cached = 0.0 if view.cached is None else view.cached.get(one.holder, 0.0)
    return predicted_seconds(one, want, cached, weights=weights)


def _lesser_of_two(near: Sequence[Candidate], draw: Callable[[int], int]) -> Candidate:
    """Draw two replicas and return the one with less in flight for its size."""
    if len(near) == 1:
        return near[0]
    first = draw(len(near))
    second = draw(len(near) - 1)
    one, other = near[first], near[second + (second >= first)]
    return one if one.in_flight * other.slots <= other.in_flight * one.slots else other


def _stays(
    pool: Sequence[Candidate], best: Candidate, want: Want, view: View, weights: Weights
) -> bool:
    """Tell whether the conversation stays: for ever behind a hot spot it does not."""
    home = next((one for one in pool if one.record.id == view.home), None)
    if home is None or home is best:
        return home is not None
    extra = _warm_seconds(home, want, view, weights) - _warm_seconds(best, want, view, weights)
    return extra <= weights.session_wait_seconds
