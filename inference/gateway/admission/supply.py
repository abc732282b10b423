"""The supply of one model: what its replicas offer, and how fast they work."""

from inference.gateway.admission.sizes import Size
from inference.gateway.admission.throughput import Throughput
from inference.gateway.admission.work import Pace, work_of
from inference.gateway.routing.choice import Capacity
from inference.gateway.routing.want import Want
from inference.gateway.timeline import Usage

_FIRST_TOKEN_GAIN = 0.05
_NEW_WEIGHT = 0.25  # change of the weight of output that is worth a new unit of work


class Supply:
    """Slots, those in use, and the work that is done in them."""

    def __init__(self, *, output_weight: float) -> None:
        self.capacity = Capacity()
        self.seen_at = float("-inf")  # when the capacity was last looked at
        self.in_flight = 0  # slots
        self.first_token = 0.0  # mean seconds from a replica's taking a request
        self._output_weight = output_weight
        self._throughput = Throughput()

    @property
    def rate(self) -> float | None:
        """Work per second while busy; None while it is unknown."""
        return self._throughput.rate(self.capacity.slots)

    @property
    def mean_work(self) -> float | None:
        """Mean work of a request that ended; one ends that often for a place to come free."""
        return self._throughput.mean_work

    def work(self, want: Want) -> float:
        """Return the work that a request is expected to be."""
        return work_of(want.input_tokens, want.output_tokens * want.choices, self._output_weight)

    def paced(self, pace: Pace, mean: Size) -> None:
        """Take in what a replica's iterations cost; `mean` is the size of a usual request."""
        if abs(pace.output_weight / self._output_weight - 1) > _NEW_WEIGHT:
            before = work_of(mean.input_tokens, mean.output_tokens, self._output_weight)
            after = work_of(mean.input_tokens, mean.output_tokens, pace.output_weight)
            self._output_weight = pace.output_weight
            self._throughput.rescale(after / before)
        self._throughput.suppose(pace.per_slot)

    def observe(self, capacity: Capacity, now: float) -> None:
        """Take in what the replicas offer."""
        self.capacity = capacity
        self.seen_at = now

    def settle(self, now: float, *, is_line_empty: bool) -> None:
        """Take in whether the replicas are busy from now on; call it after each change."""
        slots = self.capacity.slots
        is_busy = slots > 0 and (not is_line_empty or self.in_flight >= slots)
        self._throughput.note(now, is_busy=is_busy, slots=slots)

    def sent(self, want: Want) -> None:
        """Note that a request is on its way to a replica."""
        self.in_flight += want.choices

    def ended(
        self, want: Want, usage: Usage | None, *, seconds: float, first_token: float | None
    ) -> None:
        """Note that a request has left its replica after `seconds`, and what it was.

        One that was cut short, or does not tell, is counted for the time that it took.
        """
        self.in_flight -= want.choices
        if usage is None:
            self._throughput.cut_short(self.work(want), seconds)
        else:
            work = work_of(usage.input_tokens, usage.output_tokens, self._output_weight)
            self._throughput.departed(work, seconds)
        if first_token is not None:
            self.first_token += _FIRST_TOKEN_GAIN * (first_token - self.first_token)
