"""Open-loop load: requests leave at their appointed times, whatever became of those before.

Runs in a process of its own (`python -m warmfront.load`), so that measuring does not slow what
is measured: a schedule comes in on standard input, outcomes go to a file, progress to standard
output.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from telemetry.clock import Clock, SystemClock

# Each request stands for somebody else's: it is to be computed, though another is equal to it.
_HEADERS = {"Cache-Control": "no-cache"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request; times in seconds, `due` since the schedule began."""

    due: float
    late: float  # how much after its appointed time it really left
    status: int  # HTTP status; 0 where no answer came
    ttft: float | None
    duration: float
    output_tokens: int
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the answer arrived whole."""
        return self.status == HTTPStatus.OK and not self.error

    @property
    def is_turned_away(self) -> bool:
        """Whether the gateway refused it for want of room or of time, rather than failed at it."""
        return self.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which requests leave when, and where to."""

    url: str
    model: str
    begin: float  # seconds since the epoch
    due: Sequence[float]  # seconds after `begin`
    prompts: Sequence[str]  # used in turn
    max_tokens: int
    timeout_seconds: float = 120.0


async def run(
    schedule: Schedule, *, clock: Clock, progress: Callable[[int], None]
) -> list[Outcome]:
    """Send every request at its time and return the outcomes in order of departure."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=schedule.timeout_seconds)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        sending = _Sending(session, f"{schedule.url}/v1/chat/completions", clock)
        start = clock.monotonic() + schedule.begin - clock.now()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, due in enumerate(schedule.due):
                await asyncio.sleep(max(0.0, start + due - clock.monotonic()))
                body = _body(schedule, number)
                late = clock.monotonic() - start - due
                tasks.append(group.create_task(sending.send(body, due=due, late=late)))
                progress(number + 1)
    return [task.result() for task in tasks]


class ProgressSink:
    """Tells the parent process how many requests have left, a line each few of them."""

    def __init__(self, every: int) -> None:
        self._every = max(1, every)

    def __call__(self, sent: int) -> None:
        """Report that `sent` requests have left."""
        if sent % self._every == 0:
            sys.stdout.write(f"{sent}\n")
            sys.stdout.flush()


def _body(schedule: Schedule, number: int) -> dict[str, Any]:
    prompt = schedule.prompts[number % len(schedule.prompts)]
    return {
        "model": schedule.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": schedule.max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@dataclass(frozen=True, slots=True)
class _Sending:
    """Sends streaming requests and times their answers."""

    session: aiohttp.ClientSession
    url: str
    clock: Clock

    async def send(self, body: dict[str, Any], *, due: float, late: float) -> Outcome:
        """Send one request; whatever becomes of it is an outcome."""
        sent = self.clock.monotonic()
        reading = _Reading()
        status, error = 0, ""
        try:
            async with self.session.post(self.url, json=body, headers=_HEADERS) as response:
                status = response.status
                async for line in response.content:
                    reading.take(line, self.clock.monotonic())
        except (aiohttp.ClientError, TimeoutError) as failure:
            error = type(failure).__name__
        ttft = None if reading.first_at is None else reading.first_at - sent
        duration = self.clock.monotonic() - sent
        why = error or reading.error
        return Outcome(due, late, status, ttft, duration, reading.tokens, why)


class _Reading:
    """What one SSE answer has told so far."""

    def __init__(self) -> None:
        self.first_at: float | None = None
        self.tokens = 0
        self.error = ""

    def take(self, line: bytes, now: float) -> None:
        """Take in one line of the stream."""
        if not line.startswith(b"data: {"):
            return
        event = json.loads(line[6:])
        if "error" in event:
            self.error = str(event["error"].get("message", "error"))
        choices = event.get("choices") or []
        if self.first_at is None and choices and choices[0].get("delta", {}).get("content"):
            self.first_at = now
        if event.get("usage"):
            self.tokens = event["usage"]["completion_tokens"]


def main() -> int:
    """Read a schedule from standard input, run it, write the outcomes to the file it names."""
    raw = json.load(sys.stdin)
    target = Path(raw.pop("outcomes"))
    schedule = Schedule(**raw)
    sink = ProgressSink(len(schedule.due) // 200)
    outcomes = asyncio.run(run(schedule, clock=SystemClock(), progress=sink))
    target.write_text(json.dumps([asdict(outcome) for outcome in outcomes]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
