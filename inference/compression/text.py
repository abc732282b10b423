"""The user's text as windows of tokens: what a model is judged, calibrated and taught by."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.compression.errors import CompressionError
from inference.models.tokenizer import Tokenizer

_FEWEST_WINDOWS = 2


def read_windows(path: Path, tokenizer: Tokenizer, *, length: int) -> NDArray[np.int64]:
    """Cut a text file into windows of `length` tokens, shaped (windows, length).

    The rest that fills no window is left out.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CompressionError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    tokens = np.array(tokenizer.encode(text), np.int64)
    count = len(tokens) // length
    if count < _FEWEST_WINDOWS:
        raise CompressionError(
            f"{path}: {len(tokens)} tokens are too few; {_FEWEST_WINDOWS * length} or more of "
            "text like what the model is used for are needed"
        )
    return tokens[: count * length].reshape(count, length)


def split(
    windows: NDArray[np.int64], *, judged: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return windows to learn from and, spread evenly over the text, at most `judged` others."""
    count = min(judged, len(windows) // 2)
    chosen = np.linspace(0, len(windows) - 1, count).astype(int)
    others = np.setdiff1d(np.arange(len(windows)), chosen)
    return windows[others], windows[chosen]
