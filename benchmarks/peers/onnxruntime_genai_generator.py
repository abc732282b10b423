"""onnxruntime-genai: its own model builder's graph, its Generator with a static batch.

Its continuous batching (`Engine`) needs paged attention, which it has on CUDA only.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from worker import serve


class Genai:
    """Variants: the builder's precisions, `fp32` or `int4`."""

    def __init__(self, folder: Path, variant: str) -> None:
        import onnxruntime_genai

        self._library = onnxruntime_genai
        built = folder.with_name(f"genai-{variant}")
        if not built.exists():
            _build(folder, built, variant)
        config = onnxruntime_genai.Config(str(built))
        config.overlay('{"model": {"decoder": {"session_options": {"intra_op_num_threads": 1}}}}')
        self._model = onnxruntime_genai.Model(config)
        self._random = np.random.default_rng(0)

    def decode(self, *, batch: int, context: int, steps: int) -> float:
        generator = self._generator(batch, context + steps + 2)
        generator.append_tokens(self._prompts(batch, context))
        generator.generate_next_token()
        began = time.process_time()
        for _ in range(steps):
            generator.generate_next_token()
        return (time.process_time() - began) / steps

    def prefill(self, *, tokens: int) -> float:
        generator = self._generator(1, tokens + 2)
        prompt = self._prompts(1, tokens)
        began = time.process_time()
        generator.append_tokens(prompt)
        generator.generate_next_token()
        return time.process_time() - began

    def _generator(self, batch: int, length: int) -> Any:
        parameters = self._library.GeneratorParams(self._model)
        parameters.set_search_options(
            batch_size=batch, min_length=length, max_length=length, do_sample=False
        )
        return self._library.Generator(self._model, parameters)

    def _prompts(self, batch: int, tokens: int) -> np.ndarray:
        return self._random.integers(5, 2048, (batch, tokens)).astype(np.int32)


def _build(folder: Path, built: Path, precision: str) -> None:
    subprocess.run(
        [
            sys.executable, "-m", "onnxruntime_genai.models.builder",
            "-i", str(folder), "-o", str(built), "-p", precision, "-e", "cpu",
        ],
        check=True,
    )  # fmt: skip


if __name__ == "__main__":
    serve(Genai)
