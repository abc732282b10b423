"""A roster of replicas that a test opens and closes, and exchanges to send through a line."""

import asyncio
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

from inference.gateway.routing.choice import Capacity, Choice, Reason
from inference.gateway.tenancy.caller import Caller
from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Timeline
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ReplicaRecord


@dataclass
class Exchange:
    """As much of a request under way as the line looks at."""

    timeline: Timeline = field(default_factory=lambda: Timeline(received=0.0))
    priority: Priority = Priority.STANDARD
    caller: Caller = field(default_factory=Caller)
    is_retried: bool = False


@dataclass
class FakeReplica:
    record: ReplicaRecord
    takes_images: bool = True
    is_serving: bool = True


class FakeRoster:
    """Counts slots as the real one does: an idle replica takes any number of choices."""

    def __init__(self, *slots):
        self.replicas = [FakeReplica(record_of(n, count)) for n, count in enumerate(slots)]
        self.in_flight = Counter()
        self.is_closed = False
        self.asked = 0
        self._callbacks = []

    def choose(self, want):
        self.asked += 1
        fitting = [one for one in self._suited(want) if self._has_room(one, want)]
        if not fitting:
            return None
        best = min(fitting, key=lambda one: self.in_flight[one.record.id])
        return Choice(best.record, Reason.LOAD)

    def is_served(self, want):
        return bool(self._suited(want))

    def capacity(self, model, version=None):
        ones = [
            one.record for one in self.replicas
            if one.is_serving and version in {None, one.record.version}
        ]  # fmt: skip
        return Capacity(
            serving=len(ones),
            slots=sum(one.slots for one in ones),
            free=sum(max(0, one.slots - self.in_flight[one.id]) for one in ones),
            is_waking=len(ones) < len(self.replicas),
        )

    @contextmanager
    def sending(self, record, want):
        self.in_flight[record.id] += want.choices
        try:
            yield
        finally:
            self.in_flight[record.id] -= want.choices
            self.tell_room()

    def on_room(self, callback):
        self._callbacks.append(callback)

    def serve(self, *, is_serving):
        """Open or close all replicas."""
        for one in self.replicas:
            one.is_serving = is_serving
        self.tell_room()

    def close(self):
        self.is_closed = True
        self.tell_room()

    def tell_room(self):
        for callback in self._callbacks:
            callback()

    def _suited(self, want):
        return [
            one for one in self.replicas
            if one.is_serving
            and (one.takes_images or not want.has_images)
            and want.version in {None, one.record.version}
            and one.record.id not in want.avoid
        ]  # fmt: skip

    def _has_room(self, one, want):
        busy, slots = self.in_flight[one.record.id], one.record.slots
        return not busy or busy + want.choices <= slots


class Visit:
    """One request in a task of its own: it waits, holds its place until told, and leaves."""

    def __init__(self, line, want, exchange=None):
        self.exchange = exchange or Exchange()
        self.choice = None
        self._done = asyncio.Event()
        self.task = asyncio.create_task(self._run(line, want))

    async def _run(self, line, want):
        async with line.place(self.exchange, want) as choice:
            self.choice = choice
            await self._done.wait()

    async def end(self, usage=None):
        self.exchange.timeline.usage = usage
        self._done.set()
        await self.task

    async def result(self):
        """Return when the request is over, or raise its error."""
        await asyncio.wait_for(self.task, 5.0)

    async def leave(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def settled():
    """Let every task go on until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def record_of(number, slots, version=""):
    return ReplicaRecord(
        id=f"r{number}", model="m", state=ReplicaState.SERVING, pid=1, pid_started=0.0,
        host="127.0.0.1", port=1, slots=slots, since=0.0, version=version,
    )  # fmt: skip
