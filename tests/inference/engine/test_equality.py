"""The real runtime answers a request alike whatever happens around it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inference.engine.engine import Engine, IterationReport
from inference.engine.sampling import Sampling
from inference.engine.scheduler import Limits
from inference.engine.sequence import Request
from inference.models.checkpoint import Weights
from inference.models.precision import Lowering, Precision
from inference.models.spec import ModelSpec
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.runtime import RuntimeSettings
from telemetry.clock import SystemClock

DEADLINE = 60.0
SLOTS = 4


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(RuntimeSettings(precision=Precision.FP32, block_size=4), id="fp32"),
        pytest.param(RuntimeSettings(precision=Precision.INT8, block_size=4), id="int8"),
        pytest.param(
            RuntimeSettings(precision=Precision.FP32, lowering=Lowering.GQA), id="fp32-gqa"
        ),
        pytest.param(
            RuntimeSettings(precision=Precision.FP32, lowering=Lowering.ROWS), id="fp32-rows"
        ),
    ],
)
def loaded(
    request: pytest.FixtureRequest, spec: ModelSpec, weights: Weights
) -> tuple[OnnxRuntime, RuntimeSettings]:
    runtime = OnnxRuntime(request.param)
    runtime.load(spec, weights)
    return runtime, request.param


@asynccontextmanager
async def running(
    runtime: OnnxRuntime, reports: list[IterationReport], *, tokens: int, budget: int = 16
) -> AsyncIterator[Engine]:
    blocks = 1 + max(SLOTS if runtime.block_size >= tokens else 0, tokens // runtime.block_size)
    runtime.allocate_kv(blocks)
    engine = Engine(
        runtime,
        blocks=blocks,
        limits=Limits(SLOTS, budget),
        context=64,
        clock=SystemClock(),
        observe=reports.append,
    )
    engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def answer(engine: Engine, request: Request) -> list[list[int]]:
    """Return the tokens of each choice."""
    said: list[list[int]] = [[] for _ in range(request.choices)]
    async with asyncio.timeout(DEADLINE):
        async for event in engine.submit(request):
            said[event.choice].append(event.token)
    return said


def requests() -> list[Request]:
    """Some that begin alike, of different lengths, greedy and not, one with choices."""
    beginning = tuple(range(40, 58))
    return [
        Request(
            str(n),
            (*beginning[: 18 if n % 2 else 5], *range(100 * (n % 2) + n, 100 * (n % 2) + 2 * n)),
            12,
            Sampling(temperature=0.9 if n % 3 else 0.0, top_p=0.95, top_k=40, seed=n),
            choices=3 if n == 2 else 1,
        )
        for n in range(1, 7)
    ]


async def alone(runtime: OnnxRuntime) -> list[list[list[int]]]:
    """Each request by itself on an empty cache, its prompt in one piece."""
    answers = []
    for request in requests():
        async with running(runtime, [], tokens=256, budget=64) as engine:
            answers.append(await answer(engine, request))
    return answers


async def test_answers_are_the_same_alone_and_crowded(
    loaded: tuple[OnnxRuntime, RuntimeSettings],
):
    runtime, settings = loaded
    expected = await alone(runtime)
    reports: list[IterationReport] = []
    async with running(runtime, reports, tokens=80) as engine:
        first = await asyncio.gather(*(answer(engine, one) for one in requests()))
        again = await asyncio.gather(*(answer(engine, one) for one in requests()))

    assert first == expected
    assert again == expected
    assert len({tuple(choice) for one in expected for choice in one}) == 8
    assert max(report.sequences for report in reports) == SLOTS
    if settings.lowering.is_paged:
        assert sum(report.preemptions for report in reports) > 0
        assert sum(report.cached_tokens for report in reports) > 0


async def test_a_prefix_hit_skips_its_prefill(loaded: tuple[OnnxRuntime, RuntimeSettings]):
    runtime, settings = loaded
    reports: list[IterationReport] = []
    async with running(runtime, reports, tokens=256) as engine:
        for name in "ab":
            await answer(engine, Request(name, tuple(range(33)), 1))

    computed = 33 + (1 if settings.lowering.is_paged else 33)
    assert sum(report.prefill_tokens for report in reports) == computed


async def test_choices_compute_their_prompt_once(loaded: tuple[OnnxRuntime, RuntimeSettings]):
    runtime, _ = loaded
    reports: list[IterationReport] = []
    async with running(runtime, reports, tokens=256) as engine:
        await answer(engine, Request("a", tuple(range(33)), 4, Sampling(seed=1), choices=3))

    assert sum(report.prefill_tokens for report in reports) == 33 + 1 + 1
