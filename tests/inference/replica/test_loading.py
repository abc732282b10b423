from collections.abc import Callable
from pathlib import Path

import pytest

from inference.engine.engine import IterationReport
from inference.models.spec import ModelError, ModelSpec
from inference.replica.loading import kv_blocks, load_model
from inference.replica.settings import EngineSettings
from telemetry.clock import SystemClock


def load(folder: Path, **engine: object):
    reports: list[IterationReport] = []
    settings = EngineSettings(**engine)
    return load_model(folder, settings, clock=SystemClock(), observe=reports.append)


@pytest.mark.parametrize(
    ("memory", "blocks"),
    [
        pytest.param(2**30, 4 * 16 + 1, id="all slots at full context"),
        pytest.param(10 * 16 * 512, 10 + 1, id="what the memory holds"),
        pytest.param(1, 1 + 1, id="at least one"),
    ],
)
def test_the_cache_is_as_large_as_useful_and_affordable(spec: ModelSpec, memory: int, blocks: int):
    settings = EngineSettings(slots=4, kv_memory_bytes=memory)

    # A token of the tiny model: keys and values of 2 layers, 32 wide, in float32 = 512 bytes.
    assert kv_blocks(spec, settings, 16) == blocks


def test_a_loaded_model_knows_its_context_and_its_cost(checkpoint: Path):
    loaded = load(checkpoint, min_iteration_seconds=0.25)

    assert loaded.engine.context == 256
    assert loaded.cost.fixed >= 0.249


def test_little_memory_bounds_the_context(checkpoint: Path):
    assert load(checkpoint, kv_memory_bytes=10 * 16 * 512).engine.context == 160


def test_a_tokenizer_larger_than_the_model_is_refused(new_checkpoint: Callable[..., Path]):
    with pytest.raises(ModelError, match="258 tokens, the model 200"):
        load(new_checkpoint(vocabulary=200))
