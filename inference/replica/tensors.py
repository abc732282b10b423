"""The HTTP API of models that answer in one step: KServe's /v2, and OpenAI's embeddings."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from inference.engine.errors import EngineBusyError, EngineStoppedError
from inference.errors import ApiError
from inference.replica.body import read_body
from inference.replica.tensor_wire import describe, read_infer, write_infer
from inference.runtimes.runtime import RuntimeFailedError

if TYPE_CHECKING:  # the runtime takes long to import, and the port is open before it
    from inference.replica.embeddings import Embedded
    from inference.replica.tensor_model import TensorModel

_MOST_INPUTS = 2048
_BINARY_HEADER = "Inference-Header-Content-Length"

_Tokens = Annotated[list[int], Field(min_length=1, fail_fast=True)]


class EmbeddingRequest(BaseModel):
    """The body of /v1/embeddings."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    model: str
    input: (
        str
        | Annotated[list[str], Field(fail_fast=True)]
        | _Tokens
        | Annotated[list[_Tokens], Field(fail_fast=True)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1)

    @property
    def texts(self) -> Sequence[str | Sequence[int]]:
        """The inputs, each a text or its tokens."""
        if isinstance(self.input, str):
            return [self.input]
        if self.input and isinstance(self.input[0], int):
            return [[one for one in self.input if isinstance(one, int)]]
        return [one for one in self.input if not isinstance(one, int)]


class TensorApi:
    """The handlers; `find` returns a loaded model by name, or raises ApiError."""

    def __init__(self, find: "Callable[[str], TensorModel]") -> None:
        self._find = find

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, to be added to an application."""
        routes = [web.post("/v1/embeddings", self.embeddings)]
        for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            routes += [
                web.get(model, self.metadata),
                web.get(f"{model}/ready", self.ready),
                web.post(f"{model}/infer", self.infer),
            ]
        return routes

    async def metadata(self, http: web.Request) -> web.Response:
        """Say what a model takes and gives."""
        return web.json_response(describe(self._found(http)))

    async def ready(self, http: web.Request) -> web.Response:
        """Say that a model can be asked."""
        return web.json_response({"name": self._found(http).name, "ready": True})

    async def infer(self, http: web.Request) -> web.Response:
        """Compute a model's outputs."""
        if _BINARY_HEADER in http.headers:
            raise ApiError(400, "Binary tensors are not supported; send them as JSON.")
        model = self._found(http)
        request, arrays = await asyncio.to_thread(read_infer, await http.read(), model)
        with _faults(model):
            outputs = await model.infer(arrays)
        text = await asyncio.to_thread(write_infer, request, model, outputs)
        return web.Response(text=text, content_type="application/json")

    async def embeddings(self, http: web.Request) -> web.Response:
        """Turn texts into vectors."""
        ask = await read_body(EmbeddingRequest, http)
        model = self._find(ask.model)
        if model.embedder is None:
            message = f"The model {model.name!r} does not embed texts; see /v2/models."
            raise ApiError(400, message, param="model")
        if not 1 <= len(ask.texts) <= _MOST_INPUTS:
            message = f"Expected 1 to {_MOST_INPUTS} inputs, got {len(ask.texts)}."
            raise ApiError(400, message, param="input")
        with _faults(model):
            found = await model.embedder.embed(ask.texts)
        text = await asyncio.to_thread(_embeddings, ask, model, found)
        return web.Response(text=text, content_type="application/json")

    def _found(self, http: web.Request) -> "TensorModel":
        name, version = http.match_info["name"], http.match_info.get("version")
        model = self._find(name)
        if version in (None, str(model.version)):
            return model
        return self._find(f"{name}:{version}")


def _embeddings(ask: EmbeddingRequest, model: "TensorModel", found: "list[Embedded]") -> str:
    width = found[0].vector.size
    if ask.dimensions not in (None, width):
        raise ApiError(
            400, f"{model.name!r} has {width} dimensions; leave it out.", param="dimensions"
        )
    tokens = sum(one.tokens for one in found)
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(one, ask.encoding_format)}
        for index, one in enumerate(found)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    answer = {"object": "list", "data": data, "model": ask.model, "usage": usage}
    return json.dumps(answer, allow_nan=False)


def _vector(one: "Embedded", encoding: str) -> Any:
    if encoding == "float":
        return one.vector.tolist()
    return base64.b64encode(one.vector.astype(np.dtype("<f4")).tobytes()).decode()


@contextmanager
def _faults(model: "TensorModel") -> Iterator[None]:
    """Translate what stops a batch into HTTP."""
    try:
        yield
    except EngineBusyError as error:
        raise ApiError(
            429,
            f"The model {model.name!r} is full: {error}; retry in a moment.",
            kind="rate_limit_error",
            code="queue_full",
            retry_after=1,
        ) from error
    except EngineStoppedError as error:
        raise ApiError(
            503,
            f"The model {model.name!r} cannot answer: {error}.",
            kind="server_error",
            code="model_not_ready",
            retry_after=1,
        ) from error
    except RuntimeFailedError as error:
        raise ApiError(
            500, f"The model {model.name!r} could not compute this: {error}", kind="server_error"
        ) from error
