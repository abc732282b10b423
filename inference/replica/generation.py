"""From what was asked to the text of every choice: the engine's side of a completion."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial

from inference.engine.sequence import Request
from inference.models.tokenizer import StreamDecoder
from inference.replica.answer import ChoiceText, Piece, StopStrings, pieces_of
from inference.replica.metrics import ModelMetrics
from inference.replica.models import Served
from inference.replica.prompts import Asked
from inference.replica.token_times import TokenTimes


@asynccontextmanager
async def generate(
    asked: Asked, stops: Sequence[str], metrics: ModelMetrics
) -> AsyncIterator[AsyncGenerator[Piece, None]]:
    """Submit the requests and yield the pieces of all choices, numbered through.

    Leaving early, for whatever reason, cancels them.
    """
    async with AsyncExitStack() as stack:
        streams = [
            await _submitted(stack, asked.served, request, stops, TokenTimes(metrics))
            for request in asked.requests
        ]
        if len(streams) == 1:
            yield streams[0]
        else:
            merged = _merged(streams, asked.requests[0].choices)
            yield await stack.enter_async_context(aclosing(merged))


async def _submitted(
    stack: AsyncExitStack,
    served: Served,
    request: Request,
    stops: Sequence[str],
    times: TokenTimes,
) -> AsyncGenerator[Piece, None]:
    engine = served.engine
    tokens = engine.submit(request)
    # Closing a generator that has not begun does nothing: cancel, whether it has or not.
    stack.callback(engine.cancel, request.id)
    await stack.enter_async_context(aclosing(tokens))
    texts = [
        ChoiceText(StreamDecoder(served.tokenizer), StopStrings(stops), request.stop_tokens)
        for _ in range(request.choices)
    ]
    give_up = partial(engine.cancel, request.id)
    pieces = pieces_of(tokens, texts, give_up, times.observe)
    return await stack.enter_async_context(aclosing(pieces))


async def _merged(
    streams: Sequence[AsyncGenerator[Piece, None]], choices: int
) -> AsyncGenerator[Piece, None]:
    """Yield the pieces of several streams as they come, each stream with so many choices."""
    pieces: asyncio.Queue[Piece | Exception | None] = asyncio.Queue()

    async def pump(number: int, stream: AsyncGenerator[Piece, None]) -> None:
        try:
            async for piece in stream:
                pieces.put_nowait(replace(piece, choice=number * choices + piece.choice))
            pieces.put_nowait(None)
        except Exception as error:  # noqa: BLE001 - raised where the pieces are awaited
            pieces.put_nowait(error)

    pumps = [asyncio.create_task(pump(number, one)) for number, one in enumerate(streams)]
    try:
        ended = 0
        while ended < len(streams):
            match await pieces.get():
                case None:
                    ended += 1
                case Exception() as error:
                    raise error
                case Piece() as piece:
                    yield piece
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
