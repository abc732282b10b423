"""A candidate: one replica as a choice for one model sees it, kept current by the roster."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from inference.gateway.routing.load import Iteration, LoadPage, ModelLoad
from telemetry.process_table import ReplicaRecord

# A mid-sized model on one GPU, for replicas that do not tell: what matters is how the parts
# compare, so that 200 tokens not computed again are worth a few sequences more in the batch.
_USUAL = Iteration(fixed=0.01, decode_token=0.0002, prefill_token=0.0001)
_IMAGES = "image"


@dataclass(slots=True, eq=False)
class Candidate:
    """What is known of one replica for one model.

    Of its load, what this gateway sends is known at once, and the rest as of the last page.
    """

    record: ReplicaRecord
    distance: float
    holder: int  # names this life of the replica in the prefix index
    fresh_until: float  # from then on its load is stale, and it counts as saturated
    slots: int = 1
    limit: int = 2  # what may be in flight there: its slots and a few spare
    in_flight: int = 0  # from this gateway
    peak: int = 0  # of what is in flight, since the load was last asked for
    sent_tokens: float = 0.0  # of prompts sent since then, and not cached
    askings: int = 0  # how often it was asked for
    others: int = 0  # sequences that are not of this gateway
    waiting_tokens: int = 0
    kv_usage: float = 0.0
    context: float = math.inf
    takes_images: bool = True  # unless its page says otherwise
    iteration: Iteration = _USUAL
    loaded_at: float | None = None  # when its load was asked for

    def __post_init__(self) -> None:
        self._take_slots(self.record.slots)

    @property
    def room(self) -> int:
        """Places in its batch that this gateway has not filled."""
        return max(self.slots - self.in_flight, 0)

    def has_room(self, choices: int) -> bool:
        """Tell whether a request of so many choices may be sent; one that is idle takes any."""
        return not self.in_flight or self.in_flight + choices <= self.limit

    @contextmanager
    def sending(self, choices: int, tokens: float) -> Iterator[None]:
        """Count a request in flight, and its tokens as waiting until the load tells of them."""
        self.in_flight += choices
        self.peak = max(self.peak, self.in_flight)
        self.sent_tokens += tokens
        askings = self.askings
        try:
            yield
        finally:
            self.in_flight -= choices
            if askings == self.askings:
                self.sent_tokens -= tokens

    def renew(
        self, record: ReplicaRecord, distance: float, *, holder: int, fresh_until: float
    ) -> None:
        """Begin a new life of the same process: what it had cached and said is past."""
        self.record, self.distance, self.holder = record, distance, holder
        self.forget_load(fresh_until)
        self._take_slots(record.slots)

    def asked(self) -> None:
        """Note that its load is being asked for: what is sent from now on may not be in it."""
        self.peak = self.in_flight
        self.askings += 1
        self.sent_tokens = 0.0

    def forget_load(self, fresh_until: float) -> None:
        """Go by what is in flight from here: there is no page, or none that can be read."""
        self.others = self.waiting_tokens = 0
        self.askings += 1
        self.sent_tokens = self.kv_usage = 0.0
        self.context, self.takes_images = math.inf, True
        self.iteration, self.loaded_at, self.fresh_until = _USUAL, None, fresh_until

    def take_load(self, load: ModelLoad, *, at: float, fresh_until: float) -> None:
        """Take in what its page says of the model, as of when it was asked for."""
        self.others = max(load.running + load.waiting - self.peak, 0)
        self.waiting_tokens = load.waiting_tokens
        self.kv_usage = load.kv_usage
        self.context = math.inf if load.context is None else load.context
        self.takes_images = not load.modalities or _IMAGES in load.modalities
        self.iteration = load.iteration or _USUAL
        self.loaded_at, self.fresh_until = at, fresh_until
        self._take_slots(load.slots)

    def _take_slots(self, slots: int) -> None:
        self.slots = max(slots, 1)
        self.limit = self.slots + max(1, self.slots // 8)


def load_of(page: LoadPage, model: str, record: ReplicaRecord) -> ModelLoad | None:
    """Return what a page says of a model, under its name or that of the replica's own."""
    return page.models.get(model) or page.models.get(record.model)
