import numpy as np
import pytest

from inference.models.checkpoint import Weights
from inference.models.precision import Lowering
from inference.models.reference import reference_logits
from inference.models.spec import ModelSpec
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.runtime import Batch, RuntimeSettings
from inference.runtimes.speed import measure_speed, rows_at
from telemetry.clock import ManualClock


class Paced(OnnxRuntime):
    """Takes a millisecond for every row and token of a step."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock
        self.seen: list[tuple[int, int, int]] = []

    def step(self, batch: Batch) -> np.ndarray:
        self.seen.append((*batch.tokens.shape, int(batch.positions[0, 0])))
        self.clock.advance(batch.tokens.size / 1000)
        return super().step(batch)


def test_every_token_of_a_step_counts(spec: ModelSpec, weights: Weights):
    clock = ManualClock()
    runtime = Paced(clock)
    runtime.load(spec, weights)
    speed = measure_speed(runtime, spec, prompt=20, batches=(1, 4), clock=clock)

    assert set(runtime.seen) == {(1, 20, 0), (1, 1, 20), (4, 1, 20)}
    assert speed.prefill == pytest.approx(1000)
    assert speed.decode == {1: pytest.approx(1000), 4: pytest.approx(1000)}


def test_a_prompt_is_no_longer_than_the_context(spec: ModelSpec, weights: Weights):
    clock = ManualClock()
    runtime = Paced(clock)
    runtime.load(spec, weights)

    assert measure_speed(runtime, spec, prompt=10_000, batches=(1,), clock=clock).prompt == 255


@pytest.mark.parametrize(
    "lowering", [Lowering.PAGED, Lowering.HOSTKV, Lowering.GQA, Lowering.ROWS]
)
def test_rows_keep_their_blocks_from_step_to_step(
    spec: ModelSpec, weights: Weights, lowering: Lowering
):
    runtime = OnnxRuntime(RuntimeSettings(lowering=lowering, block_size=4))
    runtime.load(spec, weights)
    runtime.allocate_kv(1 + 3 * 3)
    tokens = np.random.default_rng(8).integers(0, 256, (3, 10))
    for at in range(10):
        found = runtime.step(rows_at(runtime, tokens[:, at : at + 1], at, context=10))

    for row in range(3):
        expected = reference_logits(spec, weights, tokens[row])[-1]
        assert np.corrcoef(found[row], expected)[0, 1] > 0.99
