"""A load whose every request is accounted for: how it ended, and that it ended once."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.e2e.chaos_front import MODEL

FULL = "a full answer"
LEFT = "the client left"
_WORDS = 30  # of an error: less does not say what to do


@dataclass
class Load:
    """Requests without end from a number of workers; `endings` says how each one ended."""

    url: str
    tokens: int
    bound: float  # seconds within which a request must end
    endings: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    sent: int = 0
    _numbers: itertools.count = field(default_factory=itertools.count)

    @asynccontextmanager
    async def running(self, *, streams: int, unary: int) -> AsyncIterator[None]:
        """Keep so many requests of each kind under way while entered; then let them end."""
        stop = asyncio.Event()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            kinds = [True] * streams + [False] * unary
            workers = [
                asyncio.create_task(self._work(http, stream=kind, stop=stop)) for kind in kinds
            ]
            try:
                yield
            finally:
                stop.set()
                await asyncio.gather(*workers)

    async def ask(self, http: aiohttp.ClientSession, *, stream: bool) -> str:
        """Send one request and return its ending."""
        self.sent += 1
        try:
            async with asyncio.timeout(self.bound):
                async with http.post(
                    f"{self.url}/v1/completions", json=self.body(stream=stream)
                ) as answer:
                    return await (self._stream if stream else self._whole)(answer)
        except TimeoutError:
            return self._fault(f"no end within {self.bound:g} s (stream: {stream})")
        except aiohttp.ClientError as error:
            return self._fault(f"broken off without a word (stream: {stream}): {error!r}")

    def body(self, *, stream: bool) -> dict:
        """Return a request that no other equals; every other one may be asked twice."""
        number = next(self._numbers)
        own = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        return own | {
            "model": MODEL, "prompt": f"p{number}", "max_tokens": self.tokens,
            "ignore_eos": True, "temperature": number % 2,
        }  # fmt: skip

    async def _work(self, http, *, stream: bool, stop: asyncio.Event) -> None:
        while not stop.is_set():
            ending = await self.ask(http, stream=stream)
            self.endings[ending] += 1
            if ending != FULL:
                await asyncio.sleep(0.05)  # a client that is told no does not ask at once

    async def _whole(self, answer: aiohttp.ClientResponse) -> str:
        body = json.loads(await answer.read())
        if "error" in body:
            return self._error(body["error"], answer.status)
        choices, tokens = body["choices"], body["usage"]["completion_tokens"]
        if [one["finish_reason"] for one in choices] == ["length"] and tokens == self.tokens:
            return FULL
        return self._fault(f"an answer that is not whole: {body}")

    async def _stream(self, answer: aiohttp.ClientResponse) -> str:
        if answer.content_type != "text/event-stream":
            return await self._whole(answer)
        text = (await answer.read()).decode()
        events = [one[6:] for one in text.split("\n\n") if one.startswith("data: ")]
        bodies = [json.loads(one) for one in events if one != "[DONE]"]
        if errors := [body["error"] for body in bodies if "error" in body]:
            if len(errors) > 1 or "error" not in bodies[-1]:
                return self._fault(f"more after an error: {text[-500:]}")
            return self._error(errors[0], answer.status)
        ends = [one["finish_reason"] for body in bodies for one in body["choices"]]
        tokens = [body["usage"]["completion_tokens"] for body in bodies if body.get("usage")]
        is_once = events.count("[DONE]") == 1 and events[-1] == "[DONE]"
        if is_once and [end for end in ends if end] == ["length"] and tokens == [self.tokens]:
            return FULL
        return self._fault(
            f"a stream that is not whole: ends {ends}, usage {tokens}: {text[-300:]}"
        )

    def _error(self, error: dict, status: int) -> str:
        if len(error.get("message", "")) < _WORDS or "Traceback" in error["message"]:
            return self._fault(f"an error that says too little: {error}")
        return f"error {status}: {error.get('code') or error.get('type')}"

    def _fault(self, what: str) -> str:
        self.faults.append(what)
        return "fault"
