"""Tensors as JSON, as the Open Inference Protocol (KServe v2) writes them: bodies <-> arrays."""

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from inference.api import parse_body
from inference.errors import ApiError

if TYPE_CHECKING:  # the runtime takes long to import, and the port is open before it
    from inference.replica.tensor_model import TensorModel
    from inference.runtimes.onnx_graph import Arrays, TensorSpec

# What NumPy may read from JSON's numbers for each kind of element.
_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}


class _Schema(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class InferInput(_Schema):
    """One tensor of a request."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]  # nested as the shape is, or flat


class InferOutput(_Schema):
    """One tensor that the answer is to hold."""

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class InferRequest(_Schema):
    """The body of an infer request."""

    id: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: list[InferInput] = Field(min_length=1, fail_fast=True)
    outputs: Annotated[list[InferOutput], Field(fail_fast=True)] | None = None


def read_infer(body: bytes, model: "TensorModel") -> "tuple[InferRequest, Arrays]":
    """Read a request's tensors; ApiError 400 names the one that does not fit the model."""
    request = parse_body(InferRequest, body)
    _refuse_binary(request)
    sent = {one.name: one for one in request.inputs}
    if len(sent) < len(request.inputs):
        raise _wrong("an input is sent twice")
    _check_names("input", [*sent], model.inputs)
    missing = [one.name for one in model.inputs if one.name not in sent]
    if missing:
        raise _wrong(f"the input {missing[0]!r} is missing")
    _check_names("output", [one.name for one in request.outputs or []], model.outputs)
    arrays = {spec.name: _array(sent[spec.name], spec) for spec in model.inputs}
    rows = {name: len(array) for name, array in arrays.items()}
    if len({*rows.values()}) != 1:
        raise _wrong(f"the inputs differ in their number of rows: {rows}")
    return request, arrays


def write_infer(request: InferRequest, model: "TensorModel", outputs: "Arrays") -> str:
    """Return the answer to a request, with the outputs that it asks for, or all."""
    wanted = {one.name for one in request.outputs or []}
    specs = [one for one in model.outputs if not wanted or one.name in wanted]
    answer: dict[str, Any] = {
        "model_name": model.name,
        "model_version": str(model.version),
        "outputs": [_written(spec, outputs[spec.name]) for spec in specs],
    }
    if request.id is not None:
        answer["id"] = request.id
    try:
        return json.dumps(answer, allow_nan=False)
    except ValueError as error:
        raise ApiError(
            500,
            f"The model {model.name!r} answered with values that are not finite, which JSON "
            "cannot hold.",
            kind="server_error",
        ) from error


def describe(model: "TensorModel") -> dict[str, Any]:
    """Return what a model takes and gives; -1 is any length."""
    return {
        "name": model.name,
        "versions": [str(model.version)],
        "platform": "onnxruntime_onnx",
        "inputs": [_described(one) for one in model.inputs],
        "outputs": [_described(one) for one in model.outputs],
    }


def _described(spec: "TensorSpec") -> dict[str, Any]:
    shape = [-1 if length is None else length for length in spec.shape]
    return {"name": spec.name, "datatype": spec.datatype, "shape": shape}


def _refuse_binary(request: InferRequest) -> None:
    outputs = request.outputs or []
    asked = [request.parameters.get("binary_data_output")]
    asked += [one.parameters.get("binary_data") for one in outputs]
    if any(asked):
        raise _wrong("binary tensors are not supported; ask for JSON (binary_data false)")


def _check_names(side: str, names: Sequence[str], specs: "Sequence[TensorSpec]") -> None:
    known = [one.name for one in specs]
    for name in names:
        if name not in known:
            raise _wrong(f"the model has no {side} {name[:100]!r}, only {', '.join(known)}")


def _array(sent: InferInput, spec: "TensorSpec") -> NDArray[Any]:
    if sent.datatype != spec.datatype:
        raise _wrong(f"input {spec.name} is {spec.datatype}, not {sent.datatype[:100]!r}")
    if not spec.accepts(sent.shape) or min(sent.shape) < 0 or not sent.shape[0]:
        raise _wrong(
            f"input {spec.name} has shape {_described(spec)['shape']}, not {sent.shape[:16]}; "
            "-1 stands for 1 or more"
        )
    values = _values(sent, spec)
    if values.size != math.prod(sent.shape) or values.ndim not in (1, len(sent.shape)):
        raise _wrong(f"the data of input {spec.name} does not have the shape {sent.shape}")
    if values.ndim > 1 and values.shape != tuple(sent.shape):
        raise _wrong(f"the data of input {spec.name} is nested as {values.shape}")
    return values.reshape(sent.shape)


def _values(sent: InferInput, spec: "TensorSpec") -> NDArray[Any]:
    """Return the data as it is nested; what is no such number or string is refused."""
    kind = spec.dtype.kind
    try:
        found = np.array(sent.data, object if kind == "O" else None)
    except (ValueError, OverflowError) as error:
        raise _wrong(f"the data of input {spec.name} is ragged or out of range") from error
    if kind == "O":
        fits = all(isinstance(one, str) for one in found.flat)
    else:
        fits = not found.size or found.dtype.kind in _KINDS[kind]
    if not fits or not _is_in_range(found, spec.dtype):
        raise _wrong(f"the data of input {spec.name} is not all {spec.datatype}")
    return found.astype(spec.dtype)


def _is_in_range(found: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    if not found.size or dtype.kind not in "iuf":
        return True
    if dtype.kind == "f":
        finite = found[np.isfinite(found)]
        return bool(np.all(np.abs(finite) <= np.finfo(dtype).max))
    bounds = np.iinfo(dtype)
    return bounds.min <= int(found.min()) and int(found.max()) <= bounds.max


def _written(spec: "TensorSpec", array: NDArray[Any]) -> dict[str, Any]:
    return {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": list(array.shape),
        "data": array.ravel().tolist(),
    }


def _wrong(message: str) -> ApiError:
    return ApiError(400, f"{message[0].upper()}{message[1:]}.", param="inputs")
