import asyncio
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from inference.engine.errors import EngineStoppedError
from inference.errors import ApiError
from inference.models.images import ImageLimits, image_pixels, read_data_url
from inference.models.preprocessing import Preprocessing, load_preprocessing
from inference.models.spec import ModelError
from inference.models.vision import load_vision_spec, load_vision_weights
from inference.models.vision_graph import build_encoder
from inference.replica.images import ImageStage, load_image_stage
from telemetry.clock import SystemClock
from tests.inference.conftest import write_checkpoint
from tests.inference.seeing import PREPROCESSOR, data_url, picture, write_seeing

STEPS = Preprocessing(4, 4, mode="L", resample=0, rescale=None)
IMAGE_BYTES = 16 * 2 * 4  # 16 tokens of two numbers


class Encoder:
    """Each pixel becomes a token of two numbers: itself and its square."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.batches.append(len(pixels))
        if (pixels == 13).all(axis=(1, 2, 3)).any():
            raise RuntimeError("an unlucky picture")
        flat = pixels.reshape(len(pixels), -1)
        return np.stack([flat, flat**2], axis=2)


@pytest.fixture
async def stage_of():
    """Makes a stage and stops it at the end."""
    made = []

    def make(encoder: Encoder, **options: object) -> ImageStage:
        options.setdefault("clock", SystemClock())
        made.append(ImageStage(encoder, STEPS, **options))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        await one.stop()


def urls(*seeds: int) -> list[str]:
    return [data_url(picture((4, 4), seed)) for seed in seeds]


async def refusal(stage: ImageStage, *sent: str) -> str:
    with pytest.raises(ApiError) as raised:
        await stage.embed(sent)
    assert (raised.value.status, raised.value.param) == (400, "messages")
    return str(raised.value)


async def test_every_picture_gets_its_own_embeddings_in_order(stage_of):
    stage = stage_of(Encoder())

    first, second = await stage.embed(urls(1, 2))

    for found, seed in ((first, 1), (second, 2)):
        levels = np.asarray(picture((4, 4), seed).convert("L"), np.float32).ravel()
        np.testing.assert_array_equal(found.embeddings, np.stack([levels, levels**2], axis=1))
    assert first.digest != second.digest


async def test_no_pictures_take_no_work(stage_of):
    assert await stage_of(Encoder()).embed([]) == []


async def test_pictures_of_several_requests_share_a_batch(stage_of):
    encoder = Encoder()
    stage = stage_of(encoder, max_batch=4, max_queue_delay=10.0)

    await asyncio.gather(*(stage.embed(urls(seed)) for seed in range(4)))

    assert encoder.batches == [4]
    assert stage.stats.batches == 1
    assert stage.stats.encode_seconds > 0
    assert stage.stats.decode_seconds > 0


async def test_a_picture_seen_before_is_not_encoded_again(stage_of):
    encoder = Encoder()
    stage = stage_of(encoder)
    (first,) = await stage.embed(urls(1))

    (again,) = await stage.embed(urls(1))

    assert again is first
    assert encoder.batches == [1]
    assert (stage.stats.hits, stage.stats.misses) == (1, 1)
    assert stage.stats.cached_bytes == IMAGE_BYTES


async def test_the_same_picture_asked_for_at_once_is_encoded_once(stage_of):
    encoder = Encoder()
    stage = stage_of(encoder, cache_bytes=0)

    found = await asyncio.gather(*(stage.embed(urls(1, 1)) for _ in range(3)))

    assert sum(encoder.batches) == 1
    assert len({one.digest for request in found for one in request}) == 1
    assert (stage.stats.hits, stage.stats.misses) == (5, 1)


async def test_those_longest_unused_make_room(stage_of):
    stage = stage_of(Encoder(), cache_bytes=2 * IMAGE_BYTES + 1)
    await stage.embed(urls(1))
    await stage.embed(urls(2))
    await stage.embed(urls(1))
    await stage.embed(urls(3))  # in the place of 2
    assert stage.stats.cached_bytes == 2 * IMAGE_BYTES
    misses = stage.stats.misses

    await stage.embed(urls(1, 3))
    assert stage.stats.misses == misses
    await stage.embed(urls(2))
    assert stage.stats.misses == misses + 1


async def test_what_is_kept_can_not_be_changed(stage_of):
    (found,) = await stage_of(Encoder()).embed(urls(1))

    with pytest.raises(ValueError, match="read-only"):
        found.embeddings[0] = 0


async def test_the_picture_at_fault_is_named(stage_of):
    stage = stage_of(Encoder())

    message = await refusal(stage, *urls(1), "https://example.org/cat.png")

    assert message.startswith("Image 2: images are not fetched from https: addresses")
    assert await refusal(stage, "data:image/png;base64,AAAA") == (
        "Image 1: the data is no PNG, JPEG, WebP, GIF or BMP image."
    )
    assert stage.stats.cached_bytes <= IMAGE_BYTES


async def test_too_many_pictures_are_refused(stage_of):
    stage = stage_of(Encoder(), limits=ImageLimits(images=2))

    assert await refusal(stage, *urls(1, 2, 3)) == (
        "3 images are too many; this model reads 2 at once."
    )


async def test_a_picture_that_fails_is_not_kept(stage_of):
    stage = stage_of(Encoder(), max_batch=2, max_queue_delay=10.0)
    unlucky = data_url(picture((4, 4)).convert("L").point(lambda _: 13))

    results = await asyncio.gather(
        stage.embed([unlucky]), stage.embed(urls(1)), return_exceptions=True
    )

    assert str(results[0]) == "an unlucky picture"
    assert len(results[1]) == 1
    assert (stage.stats.failures, stage.stats.cached_bytes) == (1, IMAGE_BYTES)


async def test_who_goes_away_does_not_take_the_picture_from_others(stage_of):
    stage = stage_of(Encoder(), max_batch=2, max_queue_delay=10.0)
    gone, stays = (asyncio.create_task(stage.embed(urls(1))) for _ in range(2))
    while not stage.stats.hits:  # noqa: ASYNC110 - the stage tells nobody
        await asyncio.sleep(0.001)
    gone.cancel()

    await stage.embed(urls(2))  # fills the batch

    assert len(await stays) == 1
    assert gone.cancelled()


async def test_a_stopped_stage_takes_nothing(stage_of):
    stage = stage_of(Encoder())
    await stage.stop()

    with pytest.raises(EngineStoppedError):
        await stage.embed(urls(1))


async def test_the_whole_path_agrees_with_its_parts(tmp_path: Path):
    folder = write_seeing(tmp_path)
    sent = [data_url(picture((30, 20), 1), "jpeg"), data_url(picture((8, 8), 2).convert("L"))]
    stage = load_image_stage(folder, clock=SystemClock())
    stage.start()

    found = await stage.embed(sent)

    await stage.stop()
    limits, steps = ImageLimits(), load_preprocessing(folder)
    pixels = [image_pixels(read_data_url(url, limits), steps, limits) for url in sent]
    spec = load_vision_spec(folder)
    model = build_encoder(spec, load_vision_weights(folder, spec)).SerializeToString()
    expected = onnxruntime.InferenceSession(model).run(None, {"pixels": np.stack(pixels)})[0]
    assert expected.shape == (2, spec.tokens, spec.text_hidden)
    for one, embeddings in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.embeddings, embeddings, atol=1e-5)


def test_a_model_that_only_reads_has_no_stage(tmp_path: Path):
    assert load_image_stage(write_checkpoint(tmp_path), clock=SystemClock()) is None


def test_pictures_of_another_size_than_the_towers_are_refused(tmp_path: Path):
    folder = write_seeing(tmp_path)
    wide = PREPROCESSOR | {"size": {"height": 8, "width": 16}}
    (folder / "preprocessor_config.json").write_text(json.dumps(wide))

    with pytest.raises(ModelError, match=r"\(1, 8, 16\).*takes \(1, 8, 8\)"):
        load_image_stage(folder, clock=SystemClock())
