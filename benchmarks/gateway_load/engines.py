"""What a simulated replica computes: tokens at a pace that is known beforehand.

Every token tells when it was sent, on the machine's monotonic clock, and the first one also
when its request arrived: so a client on the same machine sees what the way took.
"""

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

MODEL = "simulated"
PROMPT_TOKENS = 20
_CHUNK = (
    '{"id":"chatcmpl-0","object":"chat.completion.chunk","created":1,"model":"simulated",'
    '"choices":[{"index":0,"delta":{"content":"%s"},"logprobs":null,"finish_reason":null}]}'
)
_FINISH = _CHUNK.replace('{"content":"%s"}', "{}").replace('n":null}', 'n":"length"}')
_USAGE = (
    '{"id":"chatcmpl-0","object":"chat.completion.chunk","created":1,"model":"simulated",'
    '"choices":[],"usage":%s}'
)
_TIMINGS = '{"ttft":%.6f,"queue":%.6f,"encode":0.0,"prefill":0.0,"decode":%.6f,"device":0.0}'
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Sink(Protocol):
    """Where the bytes of an answer go."""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast tokens come; with `slots_bind`, requests share iterations as in a real batch."""

    first: float = 0.0  # seconds to the first token, where requests do not share
    interval: float = 0.0  # seconds between tokens, where requests do not share
    slots_bind: bool = False
    fixed: float = 0.0  # seconds of an iteration whatever it holds
    row: float = 0.0  # more for each request in it
    prompt: float = 0.0  # more for each request that joins in it


@dataclass(slots=True)
class Job:
    """One request under way."""

    sink: Sink
    arrived: float
    tokens: int
    streams: bool
    wants_usage: bool
    wants_timings: bool
    joined: float = 0.0
    first: float = 0.0
    emitted: int = 0
    is_gone: bool = False

    def emit(self) -> bool:
        """Make one token; tell whether it was the last."""
        self.emitted += 1
        is_last = self.emitted >= self.tokens
        if self.emitted == 1:
            self.first = time.monotonic()
        if self.streams:
            self._stream(is_last=is_last)
        elif is_last:
            self._whole()
        return is_last

    def _stream(self, *, is_last: bool) -> None:
        now = time.monotonic()
        text = f"{self.arrived:.6f}/{now:.6f}" if self.emitted == 1 else f"{now:.6f}"
        data = _event(_CHUNK % text)
        if self.emitted == 1:
            data = _STREAM_HEAD + data
        self.sink.write(data + (self._last() if is_last else b""))

    def _last(self) -> bytes:
        data = _event(_FINISH)
        if self.wants_usage:
            data += _event(_USAGE % json.dumps(self._usage()))
        if self.wants_timings:
            data += _chunk(f": timings {self._timings()}\n\n".encode())
        return data + _event("[DONE]") + b"0\r\n\r\n"

    def _whole(self) -> None:
        message = {"role": "assistant", "content": "warm " * self.tokens}
        choice = {"index": 0, "message": message, "finish_reason": "length"}
        head = {"id": "chatcmpl-0", "object": "chat.completion", "created": 1, "model": MODEL}
        body = json.dumps(head | {"choices": [choice], "usage": self._usage()}).encode()
        self.sink.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"X-Warmfront-Timings: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (self._timings().encode(), len(body), body)
        )

    def _usage(self) -> dict[str, int]:
        total = PROMPT_TOKENS + self.emitted
        return {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": self.emitted,
            "total_tokens": total,
        }

    def _timings(self) -> str:
        queue, now = max(0.0, self.joined - self.arrived), time.monotonic()
        return _TIMINGS % (self.first - self.arrived, queue, now - self.first)


class Paced:
    """An engine where no request minds another."""

    def __init__(self, pace: Pace, slots: int) -> None:
        self._pace = pace
        self.slots = slots
        self.running = 0
        self.waiting = 0
        self.steps = 0

    def take(self, job: Job) -> None:
        """Begin a request: the moments of its tokens are fixed from here on."""
        self.running += 1
        job.joined = job.arrived
        if job.streams and self._pace.interval:
            asyncio.get_running_loop().call_at(job.arrived + self._pace.first, self._next, job)
            return
        last = self._pace.first + (job.tokens - 1) * self._pace.interval
        if last <= 0:
            self._all(job)
        else:
            asyncio.get_running_loop().call_at(job.arrived + last, self._all, job)

    def _next(self, job: Job) -> None:
        self.steps += 1
        if job.is_gone or job.emit():
            self.running -= 1
            return
        at = job.arrived + self._pace.first + job.emitted * self._pace.interval
        asyncio.get_running_loop().call_at(at, self._next, job)

    def _all(self, job: Job) -> None:
        self.steps += 1
        while not (job.is_gone or job.emit()):
            pass
        self.running -= 1


class Batched:
    """An engine whose iterations give every running request a token, and last longer the more run.

    Requests without a slot wait in the order of their arrival, as many as come.
    """

    def __init__(self, pace: Pace, slots: int) -> None:
        self._pace = pace
        self.slots = slots
        self.steps = 0
        self._running: list[Job] = []
        self._waiting: deque[Job] = deque()
        self._is_busy = False

    @property
    def running(self) -> int:
        """Requests in the batch."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests that no slot is free for."""
        return len(self._waiting)

    def take(self, job: Job) -> None:
        """Queue a request, and work if it is the first."""
        self._waiting.append(job)
        if not self._is_busy:
            self._is_busy = True
            self._begin(time.monotonic())

    def _begin(self, at: float) -> None:
        """Let requests join, and fix when the iteration ends."""
        self._running = [job for job in self._running if not job.is_gone]
        joined = 0
        while self._waiting and len(self._running) < self.slots:
            job = self._waiting.popleft()
            if not job.is_gone:
                job.joined = at
                self._running.append(job)
                joined += 1
        if not self._running:
            self._is_busy = False
            return
        pace = self._pace
        end = at + pace.fixed + pace.row * len(self._running) + pace.prompt * joined
        asyncio.get_running_loop().call_at(end, self._end, end)

    def _end(self, end: float) -> None:
        self.steps += 1
        self._running = [job for job in self._running if job.is_gone or not job.emit()]
        self._begin(max(end, time.monotonic() - 0.01))  # what the machine lost is not caught up


Engine = Paced | Batched


def _event(text: str) -> bytes:
    return _chunk(b"data: " + text.encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
