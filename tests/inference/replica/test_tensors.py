"""The HTTP API of models that answer in one step, over a real socket."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import openai
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from onnx import helper

from inference.errors import ApiError, error_shaper
from inference.replica.tensor_model import TensorModel, TensorSettings, load_tensor_model
from inference.replica.tensors import TensorApi
from telemetry.clock import SystemClock
from tests.inference.conftest import byte_tokenizer
from tests.inference.graphs import (
    FLOAT,
    STRING,
    adder,
    classifier,
    expected_probabilities,
    expected_vector,
    save,
    text_encoder,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = [[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, -0.5, 1.0]]


def models(folder: Path) -> dict[str, TensorModel]:
    settings, clock = TensorSettings(max_batch=4), SystemClock()
    ports = {"x": (STRING, ["N"])}, {"y": (STRING, ["N"])}
    save(folder / "echo" / "model.onnx", [helper.make_node("Identity", ["x"], ["y"])], *ports)
    ports = {"x": (FLOAT, ["N"])}, {"y": (FLOAT, ["N"])}
    save(folder / "root" / "model.onnx", [helper.make_node("Sqrt", ["x"], ["y"])], *ports)
    classifier(folder / "digits")
    adder(folder / "adder")
    text_encoder(folder / "texts")
    return {
        name: load_tensor_model(
            folder / name, name, settings, clock=clock, version=3, embeds=name == "texts"
        )
        for name in ("digits", "adder", "echo", "root", "texts")
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[aiohttp.ClientSession]:
    served = models(tmp_path_factory.mktemp("models"))

    def find(name: str) -> TensorModel:
        if name not in served:
            raise ApiError(404, f"The model {name!r} does not exist.", code="model_not_found")
        return served[name]

    app = web.Application(middlewares=[error_shaper("replica")])
    app.router.add_routes(TensorApi(find).routes())
    for model in served.values():
        model.start()
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        yield session
    for model in served.values():
        await model.stop()


async def infer(http: aiohttp.ClientSession, model: str, body: object) -> tuple[int, dict]:
    async with http.post(f"v2/models/{model}/infer", json=body) as answer:
        return answer.status, await answer.json()


def tensor(data: object = ROWS, **changes: object) -> dict[str, object]:
    features = {"name": "features", "datatype": "FP32", "shape": [2, 4], "data": data}
    return {"inputs": [features | changes]}


async def test_a_classifier_answers(http):
    status, body = await infer(http, "digits", tensor() | {"id": "mine"})

    expected = expected_probabilities(np.array(ROWS, np.float32))
    label, probabilities = body["outputs"]
    assert status == 200
    assert (body["model_name"], body["model_version"], body["id"]) == ("digits", "3", "mine")
    assert label == {
        "name": "label",
        "datatype": "INT64",
        "shape": [2],
        "data": expected.argmax(axis=1).tolist(),
    }
    assert (probabilities["datatype"], probabilities["shape"]) == ("FP32", [2, 3])
    np.testing.assert_allclose(probabilities["data"], expected.ravel(), atol=1e-6)


async def test_flat_data_means_the_same_as_nested(http):
    flat = [number for row in ROWS for number in row]

    assert await infer(http, "digits", tensor(flat)) == await infer(http, "digits", tensor())


async def test_whole_numbers_are_numbers(http):
    assert (await infer(http, "digits", tensor([[1, 2, 3, 4], [0, 0, 0, 1]])))[0] == 200


async def test_only_the_outputs_asked_for_are_sent(http):
    _, body = await infer(http, "digits", tensor() | {"outputs": [{"name": "label"}]})

    assert [one["name"] for one in body["outputs"]] == ["label"]


async def test_texts_come_and_go(http):
    sent = {"name": "x", "datatype": "BYTES", "shape": [2], "data": ["a", "b\u00e9\0"]}

    status, body = await infer(http, "echo", {"inputs": [sent]})

    assert status == 200
    assert body["outputs"] == [sent | {"name": "y"}]


async def test_requests_of_many_clients_are_all_answered(http):
    bodies = [
        {"inputs": [{"name": "series", "datatype": "FP32", "shape": [1, n], "data": [1] * n}]}
        for n in range(1, 30)
    ]

    answers = await asyncio.gather(*(infer(http, "adder", body) for body in bodies))

    assert [body["outputs"][0]["data"] for _, body in answers] == [[n] for n in range(1, 30)]


async def test_a_model_says_what_it_takes(http):
    async with http.get("v2/models/digits") as answer:
        body = await answer.json()

    assert body == {
        "name": "digits",
        "versions": ["3"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        ],
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("v2/models/digits/ready", 200),
        ("v2/models/digits/versions/3/ready", 200),
        ("v2/models/digits/versions/4/ready", 404),
        ("v2/models/nobody/ready", 404),
        ("v2/models/nobody", 404),
    ],
)
async def test_models_and_versions_are_found_or_not(http, path: str, status: int):
    async with http.get(path) as answer:
        body = await answer.json()

    assert answer.status == status
    assert body.get("ready", True) is True
    assert status == 200 or "does not exist" in body["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(tensor(name="x"), "no input 'x', only features", id="unknown input"),
        pytest.param({"inputs": []}, "'inputs'", id="no input"),
        pytest.param({"inputs": 2 * tensor()["inputs"]}, "sent twice", id="twice"),
        pytest.param(tensor(datatype="FP64"), "features is FP32, not 'FP64'", id="datatype"),
        pytest.param(tensor(shape=[2, 5]), "has shape [-1, 4], not [2, 5]", id="width"),
        pytest.param(tensor(shape=[8]), "has shape [-1, 4], not [8]", id="rank"),
        pytest.param(tensor([], shape=[0, 4]), "not [0, 4]", id="no rows"),
        pytest.param(tensor(shape=[-2, 4]), "not [-2, 4]", id="negative"),
        pytest.param(tensor(shape=[3, 4]), "does not have the shape [3, 4]", id="too few"),
        pytest.param(
            tensor([[1, 2], [3, 4], [5, 6], [7, 8]]), "nested as (4, 2)", id="nested otherwise"
        ),
        pytest.param(tensor([[1, 2], [3]]), "ragged", id="ragged"),
        pytest.param(tensor(["1"] * 8), "not all FP32", id="texts"),
        pytest.param(tensor([1e39] * 8), "not all FP32", id="beyond 32 bits"),
        pytest.param(tensor([True] * 8), "not all FP32", id="truths"),
        pytest.param(tensor([None] * 8), "not all FP32", id="nothing"),
        pytest.param(tensor() | {"outputs": [{"name": "z"}]}, "no output 'z'", id="output"),
        pytest.param({"inputs": tensor()["inputs"][0]}, "'inputs'", id="no list"),
        pytest.param({"inputs": [{"name": "features"}]}, "'inputs': Field required", id="fields"),
        pytest.param([], "must be a JSON object", id="no object"),
        pytest.param(
            tensor([[0.0] * 4] * 5, shape=[5, 4]), "5 rows, but 'digits' takes 4", id="too many"
        ),
        pytest.param(
            tensor() | {"outputs": [{"name": "label", "parameters": {"binary_data": True}}]},
            "Binary tensors",
            id="binary",
        ),
    ],
)
async def test_what_does_not_fit_is_refused_in_a_sentence(http, body: object, message: str):
    status, answer = await infer(http, "digits", body)

    assert status == 400
    assert message in answer["error"]


async def test_errors_of_the_server_too_are_one_sentence(http):
    bodies = {413: b"x" * 2**21, 400: b"no gzip"}
    for status, body in bodies.items():
        encoding = {"Content-Encoding": "gzip"} if status == 400 else {}
        async with http.post(
            "v2/models/digits/infer", data=io.BytesIO(body), headers=encoding
        ) as answer:
            assert answer.status == status
            assert isinstance((await answer.json())["error"], str)


async def test_a_missing_input_is_named(http):
    ids = {"name": "input_ids", "datatype": "INT64", "shape": [1, 2], "data": [1, 2]}

    assert (
        "'attention_mask' is missing"
        in (await infer(http, "texts", {"inputs": [ids]}))[1]["error"]
    )


async def test_inputs_must_agree_about_the_rows(http):
    ids = {"name": "input_ids", "datatype": "INT64", "shape": [1, 2], "data": [1, 2]}
    mask = ids | {"name": "attention_mask", "shape": [2, 1]}

    assert "number of rows" in (await infer(http, "texts", {"inputs": [ids, mask]}))[1]["error"]


@pytest.mark.parametrize(
    "data", [pytest.param([1.5, 2], id="halves"), pytest.param([2**63, 1], id="too large")]
)
async def test_whole_numbers_must_be_whole_and_fit(http, data: list):
    ids = {"name": "input_ids", "datatype": "INT64", "shape": [1, 2], "data": data}
    mask = ids | {"name": "attention_mask", "data": [1, 1]}

    status, body = await infer(http, "texts", {"inputs": [ids, mask]})

    assert (status, body["error"]) == (400, "The data of input input_ids is not all INT64.")


async def test_what_the_model_cannot_compute_is_its_failure_alone(http):
    ids = {"name": "input_ids", "datatype": "INT64", "shape": [1, 1], "data": [999]}
    mask = ids | {"name": "attention_mask", "data": [1]}

    status, body = await infer(http, "texts", {"inputs": [ids, mask]})

    assert status == 500
    assert "could not compute" in body["error"]
    assert (await infer(http, "digits", tensor()))[0] == 200


async def test_values_that_json_cannot_hold_are_an_error(http):
    sent = {"name": "x", "datatype": "FP32", "shape": [1], "data": [-1]}

    status, body = await infer(http, "root", {"inputs": [sent]})

    assert status == 500
    assert "not finite" in body["error"]


async def test_binary_bodies_are_refused(http):
    headers = {"Inference-Header-Content-Length": "10"}
    async with http.post("v2/models/digits/infer", data=b"{}", headers=headers) as answer:
        assert answer.status == 400
        assert "Binary tensors" in (await answer.json())["error"]


async def test_a_body_that_is_no_json_is_refused(http):
    async with http.post("v2/models/digits/infer", data=b"{") as answer:
        assert answer.status == 400
        assert "not JSON" in (await answer.json())["error"]


async def test_openais_client_gets_embeddings(http):
    base = str(http._base_url) + "v1"
    async with openai.AsyncOpenAI(base_url=base, api_key="none", max_retries=0) as client:
        found = await client.embeddings.create(model="texts", input=["a text", "another"])

    for text, one in zip(["a text", "another"], found.data, strict=True):
        expected = expected_vector(byte_tokenizer().encode(text).ids)
        np.testing.assert_allclose(one.embedding, expected, atol=1e-6)
    assert found.usage.prompt_tokens == 15
    assert found.model == "texts"


async def embed(http: aiohttp.ClientSession, **fields: object) -> tuple[int, dict]:
    async with http.post("v1/embeddings", json={"model": "texts"} | fields) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("sent", "count"),
    [("text", 1), (["one", "two"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)],
)
async def test_every_form_of_input_is_understood(http, sent: object, count: int):
    status, body = await embed(http, input=sent)

    assert status == 200
    assert [one["index"] for one in body["data"]] == [*range(count)]


async def test_base64_holds_the_same_numbers(http):
    _, plain = await embed(http, input="text")
    _, packed = await embed(http, input="text", encoding_format="base64")

    data = base64.b64decode(packed["data"][0]["embedding"])
    np.testing.assert_array_equal(
        np.frombuffer(data, "<f4"), np.array(plain["data"][0]["embedding"], np.float32)
    )


async def test_its_own_number_of_dimensions_may_be_asked_for(http):
    assert (await embed(http, input="text", dimensions=6))[0] == 200


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        pytest.param({"input": []}, 400, "input", id="nothing"),
        pytest.param({"input": [[]]}, 400, "input", id="no tokens"),
        pytest.param({"input": 5}, 400, "input", id="a number"),
        pytest.param({"input": ["a"] * 2049}, 400, "input", id="too many"),
        pytest.param({"input": "a", "dimensions": 5}, 400, "dimensions", id="dimensions"),
        pytest.param({"input": "a", "encoding_format": "hex"}, 400, "encoding_format", id="hex"),
        pytest.param({"input": "a", "model": "digits"}, 400, "model", id="a classifier"),
        pytest.param({"input": "a", "model": "nobody"}, 404, None, id="nobody"),
    ],
)
async def test_what_cannot_be_embedded_is_refused(
    http, fields: dict, status: int, param: str | None
):
    found, body = await embed(http, **fields)

    assert (found, body["error"]["param"]) == (status, param)
    assert json.dumps(body).count("Traceback") == 0
