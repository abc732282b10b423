"""The load generator's process: one JSON line per job in, one JSON line of figures out."""

import asyncio
import itertools
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway_load.open_loop import OpenLoop, arrivals
from gateway_load.reading import Overheads, read_overheads
from gateway_load.wire import Answer, Connection, request

PATH = "/v1/chat/completions"
URGENT = "X-Warmfront-Priority: interactive\r\n"  # the class whose budget is the objective itself
# Its multiples, modulo 1, are spread evenly however many there are: no two streams go in step,
# and what disturbs those of one way meets those of the other.
_GOLDEN = (5**0.5 - 1) / 2
_CUT_SECONDS = 0.5  # between the last arrival's deadline and the end of an open loop


def body(model: str, *, tokens: int, stream: bool, number: int = 0) -> bytes:
    """Return a chat request; the number makes it differ from the others."""
    content = f"What is a warm front? This is question {number} of very many in this load."
    fields: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": tokens,
    }
    return json.dumps(fields | ({"stream": True} if stream else {})).encode()


class Load:
    """The jobs; each is a coroutine that returns what goes into the answering line."""

    def __init__(self) -> None:
        self._held: list[Connection] = []

    async def side_by_side(
        self, *, ports: dict[str, int], streams: int, tokens: int, lasts: float, seconds: float,
        model: str,
    ) -> dict[str, Any]:  # fmt: skip
        """Keep `streams` open at every port at the same time; return what each way took.

        A stream lasts so many seconds: they begin at all times of it, evenly, and count from when
        all are open.
        """
        begun = time.monotonic() + lasts
        seen = {name: Overheads() for name in ports}
        async with asyncio.TaskGroup() as group:
            for number, (name, port) in enumerate(list(ports.items()) * streams):
                at = begun - lasts + number * _GOLDEN % 1 * lasts
                data = _stream(model, tokens)
                group.create_task(_repeat(port, data, at, (begun, begun + seconds), seen[name]))
        return {name: one.fields() for name, one in seen.items()}

    async def closed(
        self, *, port: int, workers: int, seconds: float, model: str, tokens: int, stream: bool
    ) -> dict[str, Any]:
        """Keep `workers` requests under way; count what was answered in the time."""
        began = time.monotonic()
        end, tally = began + seconds, Tally()
        data = [
            request(PATH, body(model, tokens=tokens, stream=stream, number=number))
            for number in range(workers)
        ]
        async with asyncio.timeout(seconds + 60), asyncio.TaskGroup() as group:
            for one in data:
                group.create_task(_work(port, itertools.repeat(one), end, tally))
        return tally.fields() | {"seconds": time.monotonic() - began}

    async def closed_spread(
        self, *, ports: list[int], workers: int, warm: float, seconds: float, model: str,
        tokens: int, objective: float,
    ) -> dict[str, Any]:  # fmt: skip
        """Keep streams under way at several ports; count those in time that ended after `warm`."""
        begun = time.monotonic() + warm
        tally = Tally(since=begun, until=begun + seconds, objective=objective)
        async with asyncio.timeout(warm + seconds + 60), asyncio.TaskGroup() as group:
            bodies = itertools.cycle(_mixed(model, tokens))
            for number in range(workers):
                port = ports[number % len(ports)]
                group.create_task(_work(port, bodies, begun + seconds, tally))
        return tally.fields() | {"seconds": seconds}

    async def hold(self, *, port: int, streams: int, at_once: int, model: str) -> dict[str, Any]:
        """Open streams that do not end, and return once each has had its first event."""
        gate = asyncio.Semaphore(at_once)
        data = _stream(model, 10**6)
        began = time.monotonic()
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            for _ in range(streams):
                group.create_task(self._open(port, data, gate))
        return self._holding() | {"seconds": time.monotonic() - began}

    async def watch(self, *, events: int, seconds: float) -> dict[str, Any]:
        """Wait until every held stream has had so many more events, or the time is up."""
        wanted = [one.answer.events + events for one in self._held]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pairs = zip(self._held, wanted, strict=True)
            if all(one.answer.events >= want for one, want in pairs):
                break
            await asyncio.sleep(0.2)
        pairs = zip(self._held, wanted, strict=True)
        fed = sum(one.answer.events >= want for one, want in pairs)
        return self._holding() | {"fed": fed}

    async def release(self) -> dict[str, Any]:
        """Leave every held stream."""
        for one in self._held:
            one.leave()
        self._held.clear()
        return {}

    async def poisson(
        self, *, ports: list[int], rate: float, warm: float, seconds: float, objective: float,
        tokens: int, model: str, seed: int,
    ) -> dict[str, Any]:  # fmt: skip
        """Let requests arrive at random, none waiting for another; judge those after `warm`.

        At the end those still under way are left: their clients have gone.
        """
        rng = np.random.default_rng(seed)
        began = time.monotonic()
        open_loop = OpenLoop(ports, _mixed(model, tokens))
        for at in arrivals(rng, rate, warm + seconds):
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            open_loop.arrive(began + at, counts=at >= warm)
        await asyncio.sleep(objective + _CUT_SECONDS)
        await open_loop.cut()
        return open_loop.fields(objective) | {"seconds": seconds}

    async def _open(self, port: int, data: bytes, gate: asyncio.Semaphore) -> None:
        async with gate:
            one = await Connection.open(port)
            self._held.append(one)
            one.ask(data)
            await one.begun()

    def _holding(self) -> dict[str, int]:
        is_open = [one.is_open and one.answer.status == 200 for one in self._held]
        return {"open": sum(is_open), "events": sum(one.answer.events for one in self._held)}


@dataclass(slots=True)
class Tally:
    """What a closed loop was answered."""

    since: float = 0.0  # answers that ended earlier do not count
    until: float = math.inf
    objective: float = math.inf  # seconds to the first event
    answered: int = 0
    good: int = 0  # of them, begun in time
    failed: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        """Count one answer."""
        ended = time.monotonic() if answer.ended is None else answer.ended
        if not self.since <= ended < self.until:
            return
        self.statuses[answer.status] += 1
        if answer.is_ok and answer.ended is not None and answer.first is not None:
            self.answered += 1
            self.good += answer.first - answer.sent <= self.objective
            self.took.append(answer.ended - answer.sent)
        else:
            self.failed += 1

    def fields(self) -> dict[str, Any]:
        """Return it for the line."""
        p50, p99 = np.quantile(self.took or [float("nan")], [0.5, 0.99])
        own = {"answered": self.answered, "good": self.good, "failed": self.failed}
        return own | {"statuses": self.statuses, "p50": float(p50), "p99": float(p99)}


def _stream(model: str, tokens: int, number: int = 0, headers: str = "") -> bytes:
    return request(PATH, body(model, tokens=tokens, stream=True, number=number), headers)


def _mixed(model: str, tokens: int) -> list[bytes]:
    """Return streams of half to one and a half of a number of tokens, in no visible order."""
    lengths = [tokens // 2 + 37 * number % (tokens + 1) for number in range(tokens + 1)]
    return [_stream(model, length, number, URGENT) for number, length in enumerate(lengths)]


async def _repeat(
    port: int, data: bytes, at: float, counted: tuple[float, float], seen: Overheads
) -> None:
    """Ask for stream after stream on one connection, from a moment on."""
    one = await Connection.open(port, keeps_pieces=True)
    await asyncio.sleep(max(0.0, at - time.monotonic()))
    while time.monotonic() < counted[1]:
        answer = await one.ask(data)
        seen.streams += 1
        if answer.sent >= counted[0]:
            read_overheads(answer, seen)
    one.leave()


async def _work(port: int, bodies: Iterator[bytes], end: float, tally: Tally) -> None:
    one = await Connection.open(port)
    while time.monotonic() < end:
        if not one.is_open:
            one = await Connection.open(port)
        tally.add(await one.ask(next(bodies)))
    one.leave()


async def main() -> None:
    """Answer job after job until stdin ends."""
    load, loop = Load(), asyncio.get_running_loop()
    print(json.dumps({"ready": True}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        ask = json.loads(line)
        print(json.dumps(await getattr(load, ask.pop("job"))(**ask)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
