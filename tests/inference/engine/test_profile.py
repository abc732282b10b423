import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.engine.profile import IterationCost, Measurement, fit, profile
from inference.runtimes.onnx import OnnxRuntime
from telemetry.clock import ManualClock, SystemClock

POINTS = [(1, 0), (8, 0), (0, 32), (0, 128)]


def measured(cost: IterationCost) -> list[Measurement]:
    return [
        Measurement(d, p, cost.fixed + cost.decode_token * d + cost.prefill_token * p)
        for d, p in POINTS
    ]


@settings(deadline=None)
@given(*[st.floats(1e-6, 1.0)] * 3)
def test_a_linear_cost_is_found_again(fixed: float, decode: float, prefill: float):
    found = fit(measured(IterationCost(fixed, decode, prefill)))

    np.testing.assert_allclose(
        (found.fixed, found.decode_token, found.prefill_token),
        (fixed, decode, prefill),
        rtol=1e-3,
        atol=1e-7,
    )


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 10.0), min_size=4, max_size=4))
def test_no_cost_is_negative_whatever_was_measured(seconds: list[float]):
    points = [Measurement(d, p, s) for (d, p), s in zip(POINTS, seconds, strict=True)]

    found = fit(points)

    assert min(found.fixed, found.decode_token, found.prefill_token) >= 0
    assert max(found.fixed, found.decode_token, found.prefill_token) > 0


class TimedRuntime:
    """Takes an exact time for every token of a step."""

    block_size = 16

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def load(self, spec: object, weights: object) -> None: ...

    def allocate_kv(self, blocks: int) -> None: ...

    def step(self, batch) -> np.ndarray:
        rows, width = batch.tokens.shape
        self._clock.advance(0.010 + (0.001 * rows if width == 1 else 0.0002 * rows * width))
        return np.zeros((rows, 4), np.float32)


def profiled(**options: object) -> IterationCost:
    clock = ManualClock()
    settings = {"slots": 8, "context": 512, "blocks": 257} | options
    return profile(TimedRuntime(clock), clock=clock, **settings)


def test_a_profile_finds_the_cost_of_an_iteration():
    assert profiled().fixed == pytest.approx(0.010, rel=1e-3)
    assert profiled().decode_token == pytest.approx(0.001, rel=1e-3)
    assert profiled().prefill_token == pytest.approx(0.0002, rel=1e-3)


def test_pacing_shows_as_fixed_cost():
    paced = profiled(min_iteration_seconds=0.5)

    assert paced.fixed == pytest.approx(0.5, rel=1e-6)
    assert paced.decode_token == pytest.approx(0, abs=1e-9)


def test_a_small_model_with_one_slot_can_be_profiled():
    assert profiled(slots=1, context=20, blocks=3).fixed > 0


def test_the_real_runtime_can_be_profiled(spec, weights):
    runtime = OnnxRuntime()
    runtime.load(spec, weights)
    runtime.allocate_kv(9)

    cost = profile(runtime, slots=8, context=256, blocks=9, clock=SystemClock())

    assert cost.fixed + cost.decode_token > 0
