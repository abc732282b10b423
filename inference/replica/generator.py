"""A loaded model that generates: its engine instances, seen as one."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING

from inference.engine.engine import EngineStats
from inference.engine.profile import IterationCost
from inference.replica.background import in_daemon_thread
from inference.replica.metrics import ModelGauges
from inference.replica.models import Served
from inference.runtimes.phases import Phases
from inference.runtimes.runtime import Runtime, SleepLevel

if TYPE_CHECKING:
    from inference.replica.images import ImageStage, ImageStats

_LOOK_SECONDS = 0.01


def own_phases(runtime: Runtime) -> dict[str, float]:
    """Return what a runtime says of its own last start, if it does: parts of our phases."""
    phases: Mapping[str, float] = getattr(runtime, "phases", {})
    return {f"runtime.{phase}": seconds for phase, seconds in phases.items()}


@dataclass(slots=True, eq=False)
class Generator:
    """The instances of one model, what they cost, and how to load again what sleep drops."""

    served: Served  # without its images while it sleeps at level 2
    cost: IterationCost
    kv_bytes: int  # of all instances together
    paced_seconds: float
    runtimes: tuple[Runtime, ...]  # of the instances
    reloading: tuple[Phases, ...]  # of each instance that wakes from level 2
    load_images: Callable[[Phases], "ImageStage"] | None = None  # where the model sees
    seen: "ImageStats | None" = None  # by stages that sleep has dropped
    tensor: None = None

    @property
    def name(self) -> str:
        """What clients ask for."""
        return self.served.name

    def start(self) -> None:
        """Start the engines."""
        for engine in self.served.engines:
            engine.start()
        if self.served.images is not None:
            self.served.images.start()

    def standing(self) -> ModelGauges:
        """Return where the engines stand; one that has failed has no slots."""
        stats = [engine.stats() for engine in self.served.engines]
        alive = [one for one in stats if one.failure is None]
        awake = [one for one in alive if not one.is_asleep]
        return ModelGauges(
            running=sum(one.running for one in alive),
            waiting=sum(one.waiting for one in alive),
            slots=sum(one.slots for one in alive),
            cost=self.cost,
            paced_seconds=self.paced_seconds,
            kv=tuple(one.kv for one in awake),
            kv_bytes=self.kv_bytes * len(awake) // len(stats),
            block_size=self.served.engines[0].block_size,
            images=self._image_stats(),
            waiting_tokens=sum(engine.waiting_tokens for engine in self.served.engines),
            progress_age=max(self._progress_ages(stats)),
            context=self.served.engines[0].context,
            modalities=("text",) if self.served.image_token is None else ("text", "image"),
        )

    def _progress_ages(self, stats: Iterable[EngineStats]) -> Iterator[float]:
        yield from (one.progress_age for one in stats)
        if self.served.images is not None:
            yield self.served.images.progress_age

    async def idle(self) -> None:
        """Wait until no request is in flight."""
        while self.standing().in_flight:  # noqa: ASYNC110 - engines tell nobody
            await asyncio.sleep(_LOOK_SECONDS)

    async def failed(self) -> str:
        """Wait until every instance has failed; return why the last one did."""
        reasons = await asyncio.gather(*(engine.ended() for engine in self.served.engines))
        failures = [reason for reason in reasons if reason is not None]
        if len(failures) < len(reasons):
            await asyncio.Event().wait()  # stopped, which is no failure
        return failures[-1]

    async def sleep(self, level: SleepLevel) -> None:
        """Let every instance that has not failed give up its memory."""
        for engine in self.served.engines:
            if engine.stats().failure is None:
                await engine.sleep(level)
        if level is SleepLevel.NOTHING and self.served.images is not None:
            await self.served.images.stop()
            self.seen = self._image_stats()
            self.served = replace(self.served, images=None)

    async def wake(self) -> Mapping[str, float]:
        """Wake every instance; return the seconds of each phase, all instances together."""
        seconds: defaultdict[str, float] = defaultdict(float)
        instances = zip(self.served.engines, self.runtimes, self.reloading, strict=True)
        for engine, runtime, reloading in instances:
            if engine.stats().failure is not None:
                continue
            reloading.clear()
            woken = await engine.wake()
            phases = reloading.seconds or {"session": woken.weights}
            for phase, took in {**phases, "kv": woken.kv, **own_phases(runtime)}.items():
                seconds[phase] += took
        if self.load_images is not None and self.served.images is None:
            seconds |= await self._wake_images(self.load_images)
        return seconds

    def _image_stats(self) -> "ImageStats | None":
        """Return what all image stages have done, one after another."""
        if self.served.images is None:
            return self.seen
        now = self.served.images.stats
        if self.seen is None:
            return now
        counts = [field.name for field in fields(now)]
        return replace(
            now, **{name: getattr(now, name) + getattr(self.seen, name) for name in counts}
        )

    async def _wake_images(self, load: Callable[[Phases], "ImageStage"]) -> Mapping[str, float]:
        phases = self.reloading[0]
        phases.clear()
        images = await in_daemon_thread(partial(load, phases))
        images.start()
        self.served = replace(self.served, images=images)
        return phases.seconds

    async def stop(self) -> None:
        """Stop the engines."""
        for engine in self.served.engines:
            await engine.stop()
        if self.served.images is not None:
            await self.served.images.stop()
