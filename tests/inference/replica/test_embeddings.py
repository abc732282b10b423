import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from inference.engine.admission import Dynamic
from inference.engine.batching import BatchReport
from inference.errors import ApiError
from inference.models.spec import ModelError
from inference.replica.embeddings import TextEmbedder, load_text_embedder
from inference.runtimes.onnx_graph import OnnxGraphModel
from telemetry.clock import SystemClock
from tests.inference.conftest import byte_tokenizer
from tests.inference.graphs import EMBEDDING, FLOAT, INT64, expected_vector, save, text_encoder

BOS = 256


def load(folder: Path, policy: Dynamic | None = None, **options) -> TextEmbedder:
    graph = OnnxGraphModel(folder / "model.onnx")
    return load_text_embedder(
        folder, graph, policy or Dynamic(8, 0.0), clock=SystemClock(), **options
    )


@pytest.fixture
async def embedder_of():
    """Loads and starts an embedder, and stops it at the end."""
    made = []

    def make(*arguments, **options) -> TextEmbedder:
        made.append(load(*arguments, **options))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        await one.stop()


def tokens_of(text: str) -> list[int]:
    return byte_tokenizer().encode(text).ids


async def refusal(embedder: TextEmbedder, *texts) -> ApiError:
    with pytest.raises(ApiError) as raised:
        await embedder.embed(texts)
    assert (raised.value.status, raised.value.param) == (400, "input")
    return raised.value


async def test_a_text_becomes_the_mean_of_its_tokens(embedder_of, tmp_path: Path):
    (found,) = await embedder_of(text_encoder(tmp_path)).embed(["a text"])

    np.testing.assert_allclose(found.vector, expected_vector(tokens_of("a text")), atol=1e-6)
    assert np.linalg.norm(found.vector) == pytest.approx(1)
    assert found.tokens == 7  # with the one that begins it


async def test_a_text_is_the_same_beside_longer_ones(embedder_of, tmp_path: Path):
    reports: list[BatchReport] = []
    policy = Dynamic(3, 10.0)
    embedder = embedder_of(text_encoder(tmp_path), policy, observe=reports.append)
    texts = ["a", "a longer text", "the longest text of the three"]

    found = await asyncio.gather(*(embedder.embed([text]) for text in texts))

    for text, (one,) in zip(texts, found, strict=True):
        np.testing.assert_allclose(one.vector, expected_vector(tokens_of(text)), atol=1e-6)
    assert [report.rows for report in reports] == [3]


async def test_a_text_that_cannot_fit_is_refused_before_its_tokens_are_found(
    embedder_of, tmp_path: Path
):
    embedder = embedder_of(text_encoder(tmp_path))

    with pytest.raises(ApiError, match="has 1000000 characters, but the 32768 tokens") as raised:
        await embedder.embed(["a" * 10**6])

    assert raised.value.code == "context_length_exceeded"


async def test_tokens_are_taken_as_they_are(embedder_of, tmp_path: Path):
    (found,) = await embedder_of(text_encoder(tmp_path)).embed([[5, 6]])

    np.testing.assert_allclose(found.vector, expected_vector([5, 6]), atol=1e-6)


async def test_one_request_may_hold_more_texts_than_may_wait(embedder_of, tmp_path: Path):
    embedder = embedder_of(text_encoder(tmp_path), Dynamic(16, 0.0))

    found = await embedder.embed([[n % 200] for n in range(1000)])

    for n, one in enumerate(found):
        np.testing.assert_allclose(one.vector, expected_vector([n % 200]), atol=1e-6)


async def test_the_first_token_may_stand_for_the_text(embedder_of, tmp_path: Path):
    folder = text_encoder(tmp_path)
    (folder / "1_Pooling").mkdir()
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))

    (found,) = await embedder_of(folder).embed([[5, 6]])

    state = EMBEDDING[5] + EMBEDDING[[5, 6]].mean(axis=0)
    np.testing.assert_allclose(found.vector, state / np.linalg.norm(state), atol=1e-6)


async def test_segments_are_filled_in_where_the_graph_asks(embedder_of, tmp_path: Path):
    (found,) = await embedder_of(text_encoder(tmp_path, segments=True)).embed([[5, 6]])

    mean = EMBEDDING[[5, 6]].mean(axis=0) + EMBEDDING[0]
    np.testing.assert_allclose(found.vector, mean / np.linalg.norm(mean), atol=1e-6)


async def test_a_graph_may_pool_itself(embedder_of, tmp_path: Path):
    save(
        tmp_path / "model.onnx",
        [
            helper.make_node("Gather", ["table", "input_ids"], ["token_embeddings"]),
            helper.make_node("ReduceMax", ["token_embeddings", "axis"], ["pooled"], keepdims=0),
            helper.make_node("Identity", ["pooled"], ["sentence_embedding"]),
        ],
        {"input_ids": (INT64, ["N", "T"])},
        {
            "token_embeddings": (FLOAT, ["N", "T", 6]),
            "sentence_embedding": (FLOAT, ["N", 6]),
        },
        {"table": EMBEDDING, "axis": np.array([1], np.int64)},
    )
    byte_tokenizer().save(str(tmp_path / "tokenizer.json"))

    (found,) = await embedder_of(tmp_path).embed([[5, 6]])

    most = EMBEDDING[[5, 6]].max(axis=0)
    np.testing.assert_allclose(found.vector, most / np.linalg.norm(most), atol=1e-6)


async def test_a_text_that_is_too_long_is_refused_not_cut(embedder_of, tmp_path: Path):
    folder = text_encoder(tmp_path)
    tokenizer = byte_tokenizer()
    tokenizer.enable_truncation(max_length=5)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(folder / "tokenizer.json"))
    embedder = embedder_of(folder)

    (found,) = await embedder.embed(["four"])
    assert found.tokens == 5

    error = await refusal(embedder, "four", "fives")
    assert str(error) == "Input 2 has 6 tokens, but this model reads 5."
    assert error.code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", {"max_position_embeddings": 3}),
        ("sentence_bert_config.json", {"max_seq_length": 3}),
    ],
)
async def test_the_longest_text_is_stated_by_several_files(
    embedder_of, tmp_path: Path, file: str, content: dict
):
    folder = text_encoder(tmp_path)
    (folder / file).write_text(json.dumps(content))

    assert "this model reads 3" in str(await refusal(embedder_of(folder), "abc"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param([], "Input 1 is empty.", id="nothing"),
        pytest.param([5, 264], "tokens beyond this model's 258", id="beyond"),
        pytest.param([-1], "tokens beyond this model's 258", id="negative"),
    ],
)
async def test_tokens_that_are_none_are_refused(embedder_of, tmp_path: Path, text, message):
    assert message in str(await refusal(embedder_of(text_encoder(tmp_path)), text))


def test_a_graph_that_asks_for_more_than_a_text_is_refused(tmp_path: Path):
    folder = text_encoder(tmp_path)
    ports = {"pixels": (FLOAT, ["N", 2])}, {"y": (FLOAT, ["N", 2])}
    save(folder / "model.onnx", [helper.make_node("Identity", ["pixels"], ["y"])], *ports)

    with pytest.raises(ModelError, match="asks for pixels"):
        load(folder)


def test_a_graph_without_states_is_refused(tmp_path: Path):
    folder = text_encoder(tmp_path)
    ports = {"input_ids": (INT64, ["N", 2])}, {"logits": (INT64, ["N", 2])}
    save(folder / "model.onnx", [helper.make_node("Identity", ["input_ids"], ["logits"])], *ports)

    with pytest.raises(ModelError, match="outputs logits; expected sentence_embedding or"):
        load(folder)


def test_a_pooling_that_is_not_known_is_refused(tmp_path: Path):
    folder = text_encoder(tmp_path)
    (folder / "1_Pooling").mkdir()
    modes = {"pooling_mode_cls_token": False, "pooling_mode_max_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))

    with pytest.raises(ModelError, match=r"pooling by \['pooling_mode_max_tokens'\]"):
        load(folder)


def test_a_missing_or_broken_tokenizer_is_named(tmp_path: Path):
    path = text_encoder(tmp_path) / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(ModelError, match="cannot be read as a tokenizer"):
        load(tmp_path)
    path.unlink()
    with pytest.raises(ModelError, match="the tokenizer is missing"):
        load(tmp_path)
