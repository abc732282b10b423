"""The roster: the replicas as last read from the process table, and what this gateway adds to it.

It adds how much it has in flight on each, their loads, which ones fail, which conversations and
prefixes they hold, and when each model lacked capacity. It is used from one event loop only.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np

from inference.gateway.routing.affinity import PrefixIndex
from inference.gateway.routing.breakers import Breakers
from inference.gateway.routing.candidate import Candidate, load_of
from inference.gateway.routing.choice import Capacity, Choice
from inference.gateway.routing.fleet import Fleet, models_of
from inference.gateway.routing.load import LoadPage, ModelLoad
from inference.gateway.routing.meters import RoutingMeters
from inference.gateway.routing.region import distance
from inference.gateway.routing.score import View, pick, suited_to
from inference.gateway.routing.sessions import Sessions
from inference.gateway.routing.settings import RoutingSettings
from inference.gateway.routing.shortage import Shortage
from inference.gateway.routing.want import Want
from telemetry.clock import Clock
from telemetry.process_table import ReplicaRecord


class Roster:
    """The replicas that the gateway may choose from; a model once seen stays known."""

    def __init__(
        self,
        models: Iterable[str],
        *,
        clock: Clock,
        meters: RoutingMeters,
        rng: np.random.Generator,
        settings: RoutingSettings | None = None,
    ) -> None:
        self._settings = settings = settings or RoutingSettings()
        self._clock = clock
        self._meters = meters
        self._rng = rng
        self._known_since: dict[str, float] = {}
        self._fleet = Fleet(_distances(settings), patience_seconds=settings.stale_seconds)
        self._breakers = Breakers(settings.breaker, meters.breaker_moved)
        self._prefixes = PrefixIndex(settings.prefixes_kept)
        self._shortages: defaultdict[str, Shortage] = defaultdict(Shortage)
        self._room_callbacks: list[Callable[[], None]] = []
        self._load_callbacks: list[Callable[[str, ModelLoad], None]] = []
        self._is_closed = False
        self.sessions = Sessions(settings.sessions_kept, seconds=settings.session_seconds)
        self._introduce(models)

    @property
    def models(self) -> dict[str, float]:
        """Known models, and since when each is known (seconds since the epoch)."""
        return self._known_since

    @property
    def is_closed(self) -> bool:
        """Whether the gateway is shutting down: nobody is to wait any longer."""
        return self._is_closed

    def serving(self, model: str) -> int:
        """Count the replicas of a model that say they take traffic."""
        return len(self._fleet.serving(model))

    def capacity(self, model: str, version: str | None = None) -> Capacity:
        """Return what the model's replicas offer now, or those of one version."""
        passed_over = self._breakers.passed_over(self._clock.monotonic())
        ones = [
            one
            for one in self._fleet.serving(model)
            if (version is None or one.record.version == version)
            and one.record.id not in passed_over
        ]
        return Capacity(
            serving=len(ones),
            slots=sum([one.slots for one in ones]),
            free=sum([one.room for one in ones]),
            is_waking=self._fleet.is_waking(model),
        )

    def was_short(self, model: str, *, since: float, until: float) -> bool:
        """Tell whether the model lacked capacity at a moment in between (monotonic seconds)."""
        return self._shortages[model].overlaps(since, until)

    def update(self, records: Sequence[ReplicaRecord]) -> list[str]:
        """Take in the table as just read; return the models never seen before."""
        if self._fleet.update(records, now=self._clock.monotonic()):
            self._breakers.keep(records)
        new = self._introduce({model for record in records for model in models_of(record)})
        now = self._clock.monotonic()
        for model in self._known_since:
            self._shortages[model].note(is_short=self._fleet.is_short(model), now=now)
        self._tell_room()
        return new

    def choose(self, want: Want) -> Choice | None:
        """Choose a replica for one request; None where none is open with room for it."""
        choice = self._pick(want)
        if choice is not None:
            self._meters.chosen(want.model, choice)
        return choice

    def has_room(self, want: Want) -> bool:
        """Tell whether there is a replica to choose, without choosing it."""
        return self._pick(want) is not None

    def is_served(self, want: Want) -> bool:
        """Tell whether a replica serves that can do what is wanted, be it full or failing.

        Where the model has serving replicas and this is False, no waiting for room helps.
        """
        return bool(suited_to(self._fleet.serving(want.model), want))

    @contextmanager
    def sending(self, record: ReplicaRecord, want: Want) -> Iterator[None]:
        """Count a request as in flight on a replica, and remember what it leaves there."""
        now = self._clock.monotonic()
        one = self._fleet.find(want.model, record)
        is_probe = self._breakers.probed(record, now)
        try:
            with nullcontext() if one is None else one.sending(want.choices, self._new(one, want)):
                if one is not None:
                    self._remember(one, want, now)
                yield
        finally:
            if is_probe:
                self._breakers.released(record, self._clock.monotonic())
            self._tell_room()

    def refused(self, record: ReplicaRecord) -> None:
        """Take note that a replica did not take a request."""
        self._breakers.refused(record, self._clock.monotonic())

    def lost(self, record: ReplicaRecord) -> None:
        """Take note that a request failed after its replica may have begun."""
        self._breakers.lost(record, self._clock.monotonic())

    def answered(self, record: ReplicaRecord) -> None:
        """Take note that a replica answers."""
        if self._breakers.answered(record, self._clock.monotonic()):
            self._tell_room()

    def on_room(self, callback: Callable[[], None]) -> None:
        """Have a callback called whenever there may be room that there was not before."""
        self._room_callbacks.append(callback)

    def on_load(self, callback: Callable[[str, ModelLoad], None]) -> None:
        """Have a callback called with a model and what a replica of it tells of its load."""
        self._load_callbacks.append(callback)

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._is_closed = True
        self._tell_room()

    def serving_records(self) -> list[ReplicaRecord]:
        """Return the records of all replicas that take traffic, each once."""
        return [one.record for one in self._fleet.each()]

    def load_asked(self, record: ReplicaRecord) -> None:
        """Take note that a replica is being asked for its load."""
        for one in self._candidates_of(record):
            one.asked()

    def load_told(self, record: ReplicaRecord, page: LoadPage | None, *, asked_at: float) -> None:
        """Take in a replica's load as of when it was asked; None where it has no page of it."""
        is_stuck = page is not None and page.progress_age >= self._settings.stuck_seconds
        fresh_until = float("-inf") if is_stuck else asked_at + self._settings.stale_seconds
        for model in models_of(record):
            one = self._fleet.find(model, record)
            load = None if page is None else load_of(page, model, record)
            if one is not None and load is not None:
                one.take_load(load, at=asked_at, fresh_until=fresh_until)
                for callback in self._load_callbacks:
                    callback(model, load)
            elif one is not None:
                one.forget_load(float("inf"))

    def show(self) -> None:
        """Bring the metrics of each replica up to date."""
        self._meters.show(
            self._fleet.each(), is_open=self._breakers.is_open, now=self._clock.monotonic()
        )

    def _pick(self, want: Want) -> Choice | None:
        now = self._clock.monotonic()
        view = View(
            now=now,
            passed_over=self._breakers.passed_over(now),
            cached=self._prefixes.shares(want.prefix),
            home=self._home(want, now),
        )
        return pick(
            self._fleet.serving(want.model),
            want,
            view,
            weights=self._settings.weights,
            draw=self._draw,
        )

    def _home(self, want: Want, now: float) -> str | None:
        if want.session is None:
            return None
        home = self.sessions.recall(want.model, want.session, now)
        return None if home is None else home.replica

    def _draw(self, n: int) -> int:
        return int(self._rng.integers(n))

    def _new(self, one: Candidate, want: Want) -> float:
        """Return the tokens of a prompt that a replica has not cached, where it tells its load."""
        if one.loaded_at is None:
            return 0.0
        return want.input_tokens * (1.0 - self._prefixes.shares(want.prefix).get(one.holder, 0.0))

    def _remember(self, one: Candidate, want: Want, now: float) -> None:
        self._prefixes.note(want.prefix, one.holder)
        if want.session is not None:
            home = one.record.id, one.record.version
            self.sessions.remember(want.model, want.session, home, now)

    def _candidates_of(self, record: ReplicaRecord) -> Iterator[Candidate]:
        for model in models_of(record):
            one = self._fleet.find(model, record)
            if one is not None:
                yield one

    def _introduce(self, models: Iterable[str]) -> list[str]:
        new = sorted(set(models) - self._known_since.keys())
        for model in new:
            self._known_since[model] = self._clock.now()
            self._meters.introduce(model)
        return new

    def _tell_room(self) -> None:
        for callback in self._room_callbacks:
            callback()


def _distances(settings: RoutingSettings) -> Callable[[str], float]:
    return partial(
        distance,
        here=settings.region,
        regions=settings.regions,
        seconds_per_cost=settings.seconds_per_cost,
    )
