"""What answers are handed to in these tests, and what hands them."""

import asyncio
import json

from inference.gateway.completion import Operation, read_completion
from inference.gateway.events import read_event
from inference.gateway.outlet import Whole
from inference.gateway.timeline import Usage

USAGE = Usage(3, 4)
TIMINGS = read_event(b': timings {"queue": 0.1, "prefill": 0.2, "decode": 0.3}\n\n')
DONE = read_event(b"data: [DONE]\n\n")
WHOLE = Whole(200, b'{"choices": []}', {"Content-Type": "application/json"}, usage=USAGE)


def token(text="a"):
    body = {"choices": [{"delta": {"content": text}}]}
    return read_event(f"data: {json.dumps(body)}\n\n".encode())


def usage_event():
    body = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    return read_event(f"data: {json.dumps(body)}\n\n".encode())


def error_event():
    return read_event(b'data: {"error": {"message": "broken"}}\n\n')


def ask(**fields):
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
    return read_completion(Operation.CHAT, json.dumps(body | fields).encode())


class Taker:
    """An outlet that notes what it gets; it takes events only while `is_open` is set."""

    def __init__(self):
        self.headers = None
        self.writes = []  # (texts, at)
        self.ending = None  # "end", a Whole, or an error
        self.begins = 0
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.is_asked = asyncio.Event()

    @property
    def is_begun(self):
        return bool(self.writes) or self.ending is not None

    @property
    def events(self):
        return [event for events, _at in self.writes for event in events]

    async def whole(self, answer):
        self._end(answer)

    async def begin(self, headers):
        self.begins += 1
        self.headers = dict(headers)

    async def write(self, events, at):
        assert self.headers is not None
        assert self.ending is None
        self.is_asked.set()
        await self.is_open.wait()
        self.writes.append((list(events), at))

    async def fail(self, error):
        self._end(error)

    async def end(self):
        assert self.headers is not None
        self._end("end")

    def _end(self, ending):
        assert self.ending is None
        self.ending = ending


class BrokenTaker(Taker):
    """A client whose connection is lost at the first write."""

    async def write(self, events, at):
        raise ConnectionResetError("gone")


class Script:
    """An upstream that does what it is told, step by step, and tells how it was left."""

    def __init__(self):
        self.calls = 0
        self.is_cancelled = False
        self._steps = asyncio.Queue()
        self._done = asyncio.Queue()

    async def __call__(self, outlet):
        self.calls += 1
        try:
            while (step := await self._steps.get()) is not None:
                await step(outlet)
                self._done.put_nowait(None)
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise

    async def does(self, step):
        """Have one step done, and wait for it."""
        self._steps.put_nowait(step)
        await self._done.get()

    def will(self, step):
        """Have one step done, some time."""
        self._steps.put_nowait(step)

    def raises(self, error):
        async def raise_it(_outlet):
            raise error

        self.will(raise_it)

    def returns(self):
        self._steps.put_nowait(None)

    async def begins(self, **headers):
        await self.does(lambda outlet: outlet.begin(headers))

    async def writes(self, *events, at=0.0):
        await self.does(lambda outlet: outlet.write(events, at))

    async def ends(self):
        await self.does(lambda outlet: outlet.end())
        self.returns()


async def settle(turns=10):
    """Let every task go on until it waits for something from outside."""
    for _ in range(turns):
        await asyncio.sleep(0)
