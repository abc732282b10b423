"""Reading a model folder to change it, and writing one so that it is there whole or not at all."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from inference.compression.errors import CompressionError
from inference.models.checkpoint import INDEX_FILE, SINGLE_FILE, decoder_name, read_tensors

REPORT_FILE = "compression.json"
_NOT_COPIED = (
    "*.safetensors",
    "*.bin",
    "*.gguf",
    "*.onnx",
    INDEX_FILE,
    REPORT_FILE,
    "*.py*",
    ".*",
)
_COPIED_FORMATS = ("F16", "BF16", "F32", "F64", "I64", "I32", "I16", "I8", "U8", "BOOL")
_MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def read_all(source: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield every tensor of a checkpoint as it is stored, what sees images included."""
    for _, name, array in read_tensors(source, formats=_COPIED_FORMATS):
        yield name, array


def is_matrix(stored_name: str) -> bool:
    """Whether a tensor is a matrix inside a layer of the decoder."""
    name = decoder_name(stored_name)
    return name.startswith("model.layers.") and name.endswith(
        tuple(f".{one}.weight" for one in _MATRICES)
    )


@contextmanager
def new_folder(target: Path, *, like: Path) -> Iterator[Path]:
    """Yield a folder with all of `like` but its weights; it becomes `target` if all goes well."""
    if target.exists():
        raise CompressionError(f"{target}: is there already; name a folder that is not")
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(like, partial, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        yield partial
        partial.rename(target)
    except OSError as error:
        where = error.filename or target
        raise CompressionError(
            f"{where}: cannot be written ({error.strerror or error})"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_weights(folder: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write a checkpoint of one file."""
    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    save_file(whole, folder / SINGLE_FILE, metadata={"format": "pt"})


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file for people to read."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
