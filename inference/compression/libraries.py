"""The heavy libraries that only some ways to make a model smaller need."""

import importlib
from typing import Any

from inference.compression.errors import CompressionError


def library(name: str) -> Any:
    """Import a module of an optional library, or say what to install."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise CompressionError(
            f"{package} is needed for this and is not installed ({error}): "
            "pip install 'warmfront[compress]'"
        ) from error
