import asyncio
from pathlib import Path

import numpy as np
import pytest

from inference.engine.batching import BatchReport
from inference.engine.errors import EngineStoppedError
from inference.errors import ApiError
from inference.models.spec import ModelError
from inference.replica.tensor_model import TensorModel, TensorSettings, load_tensor_model
from telemetry.clock import SystemClock
from tests.inference.graphs import adder, classifier, expected_probabilities, text_encoder


@pytest.fixture
async def model_of():
    """Loads and starts a model, and stops it at the end."""
    made = []

    def make(folder: Path, settings: TensorSettings | None = None, **options) -> TensorModel:
        made.append(
            load_tensor_model(
                folder, "it", settings or TensorSettings(), clock=SystemClock(), **options
            )
        )
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        await one.stop()


def features(rows: int) -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(rows).standard_normal((rows, 4))
    return {"features": drawn.astype(np.float32)}


async def test_requests_are_joined_and_taken_apart_again(model_of, tmp_path: Path):
    reports: list[BatchReport] = []
    settings = TensorSettings(max_batch=6, max_queue_delay=10.0)
    model = model_of(classifier(tmp_path), settings, observe=reports.append)

    answers = await asyncio.gather(*(model.infer(features(rows)) for rows in (1, 3, 2)))

    for rows, answer in zip((1, 3, 2), answers, strict=True):
        expected = expected_probabilities(features(rows)["features"])
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)
        np.testing.assert_array_equal(answer["label"], expected.argmax(axis=1))
    assert [report.rows for report in reports] == [6]


async def test_sequences_of_different_lengths_do_not_share_a_batch(model_of, tmp_path: Path):
    reports: list[BatchReport] = []
    settings = TensorSettings(max_batch=2, max_queue_delay=10.0)
    model = model_of(adder(tmp_path), settings, observe=reports.append)

    answers = await asyncio.gather(
        *(model.infer({"series": np.ones((1, length), np.float32)}) for length in (2, 3, 2, 3))
    )

    assert [float(answer["sum"][0]) for answer in answers] == [2, 3, 2, 3]
    assert [report.rows for report in reports] == [2, 2]


async def test_more_rows_than_a_batch_are_refused(model_of, tmp_path: Path):
    model = model_of(classifier(tmp_path), TensorSettings(max_batch=3))

    await model.infer(features(3))
    with pytest.raises(ApiError, match="has 4 rows, but 'it' takes 3 at once"):
        await model.infer(features(4))


async def test_several_instances_answer_alike(model_of, tmp_path: Path):
    model = model_of(classifier(tmp_path), TensorSettings(max_batch=2, instances=3))

    answers = await asyncio.gather(*(model.infer(features(2)) for _ in range(20)))

    expected = expected_probabilities(features(2)["features"])
    for answer in answers:
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)


async def test_a_stopped_model_takes_nothing(model_of, tmp_path: Path):
    model = model_of(text_encoder(tmp_path), embeds=True)
    await model.stop()

    with pytest.raises(EngineStoppedError):
        await model.infer({"input_ids": np.ones((1, 2)), "attention_mask": np.ones((1, 2))})
    with pytest.raises(EngineStoppedError):
        await model.embedder.embed(["text"])


async def test_only_a_model_that_is_to_embed_has_an_embedder(model_of, tmp_path: Path):
    folder = text_encoder(tmp_path)

    assert model_of(folder).embedder is None
    assert model_of(folder, embeds=True).embedder is not None


def test_a_missing_graph_is_named(tmp_path: Path):
    with pytest.raises(ModelError, match=r"model\.onnx: no such file"):
        load_tensor_model(tmp_path, "it", TensorSettings(), clock=SystemClock())
