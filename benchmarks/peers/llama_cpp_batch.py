"""llama.cpp through llama-cpp-python's bindings: one llama_decode per step for all sequences."""

import ctypes
import time
from pathlib import Path
from typing import Any

import numpy as np
from worker import serve

UBATCH = 512


class LlamaCpp:
    """Variants: `F32` and `Q8_0`, the weights' format; keys and values are F16, its default."""

    def __init__(self, folder: Path, variant: str) -> None:
        import llama_cpp
        from gguf_file import write_gguf

        path = folder.with_name(f"model-{variant}.gguf")
        if not path.exists():
            write_gguf(folder, path, variant)
        self._library = llama_cpp
        self._random = np.random.default_rng(0)
        llama_cpp.llama_backend_init()
        settings = llama_cpp.llama_model_default_params()
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), settings)
        if not self._model:
            raise RuntimeError(f"llama.cpp cannot load {path}")

    def decode(self, *, batch: int, context: int, steps: int) -> float:
        run = self._context(batch, context + steps + 2)
        for sequence in range(batch):
            self._compute(run, [(sequence, at) for at in range(context)])
        began = time.process_time()
        for step in range(steps):
            places = [(sequence, context + step) for sequence in range(batch)]
            self._compute(run, places, every=True)
            for row in range(batch):
                self._likeliest(run, row)
        seconds = (time.process_time() - began) / steps
        self._library.llama_free(run)
        return seconds

    def prefill(self, *, tokens: int) -> float:
        run = self._context(1, tokens + 2)
        began = time.process_time()
        self._compute(run, [(0, at) for at in range(tokens)])
        self._likeliest(run, tokens - 1)
        seconds = time.process_time() - began
        self._library.llama_free(run)
        return seconds

    def _context(self, batch: int, length: int) -> Any:
        settings = self._library.llama_context_default_params()
        settings.n_ctx = batch * -(-length // 256) * 256
        settings.n_seq_max = batch
        settings.n_batch = settings.n_ubatch = UBATCH
        settings.n_threads = settings.n_threads_batch = 1
        settings.kv_unified = False
        return self._library.llama_init_from_model(self._model, settings)

    def _compute(self, run: Any, places: list[tuple[int, int]], *, every: bool = False) -> None:
        batch = self._library.llama_batch_init(len(places), 0, 1)
        tokens = self._random.integers(5, 2048, len(places))
        batch.n_tokens = len(places)
        for row, ((sequence, position), token) in enumerate(zip(places, tokens, strict=True)):
            batch.token[row] = int(token)
            batch.pos[row] = position
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = sequence
            batch.logits[row] = every or row == len(places) - 1
        if self._library.llama_decode(run, batch):
            raise RuntimeError("llama_decode failed")
        self._library.llama_batch_free(batch)

    def _likeliest(self, run: Any, row: int) -> int:
        pointer = self._library.llama_get_logits_ith(run, row)
        address = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float))
        return int(np.ctypeslib.as_array(address, (2048,)).argmax())


if __name__ == "__main__":
    serve(LlamaCpp)
