"""transformers on torch: `generate` with a static batch, or its continuous batching."""

import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from worker import serve

PAGE = 256  # tokens, its default


class Transformers:
    """Two ways of `generate`, `static` and `dynamic` by their cache, and `generate_batch`.

    The latter is `continuous` as it sizes its cache by itself, `continuous-sized` with a cache
    no larger than the batch needs.
    """

    def __init__(self, folder: Path, variant: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        self._torch = torch
        self._variant = variant
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._random = torch.Generator().manual_seed(0)

    def decode(self, *, batch: int, context: int, steps: int) -> float:
        run = self._continuous if self._variant.startswith("continuous") else self._together
        return median(np.diff(run(self._prompts(batch, context), steps + 1)))

    def prefill(self, *, tokens: int) -> float:
        began = time.process_time()
        return self._together(self._prompts(1, tokens), 1)[0] - began

    def _prompts(self, batch: int, tokens: int) -> Any:
        return self._torch.randint(5, 2048, (batch, tokens), generator=self._random)

    def _together(self, prompts: Any, count: int) -> list[float]:
        """Return the process's CPU time after each token."""
        times = []

        def note(*_: Any, **__: Any) -> Any:
            times.append(time.process_time())
            return self._torch.zeros(len(prompts), dtype=self._torch.bool)

        with self._torch.inference_mode():
            self._model.generate(
                prompts,
                attention_mask=self._torch.ones_like(prompts),
                do_sample=False,
                min_new_tokens=count,
                max_new_tokens=count,
                cache_implementation="static" if self._variant == "static" else None,
                disable_compile=True,
                stopping_criteria=[note],
            )
        return times

    def _continuous(self, prompts: Any, count: int) -> list[float]:
        """Return wall time at each token of the last request to start: from there all decode."""
        from transformers import GenerationConfig
        from transformers.generation import ContinuousBatchingConfig

        config = None
        if self._variant == "continuous-sized":
            pages = len(prompts) * -(-(prompts.shape[1] + count) // PAGE)
            config = ContinuousBatchingConfig(num_blocks=pages + 2, max_batch_tokens=512)
        answers = self._model.generate_batch(
            prompts.tolist(),
            generation_config=GenerationConfig(
                do_sample=False, max_new_tokens=count, eos_token_id=-1, pad_token_id=0
            ),
            continuous_batching_config=config,
            record_timestamps=True,
        )
        lengths = [len(answer.generated_tokens) for answer in answers.values()]
        if lengths != [count] * len(prompts):
            raise RuntimeError(f"generate_batch gave {lengths} tokens, not {count} each")
        return max((answer.timestamps for answer in answers.values()), key=lambda times: times[0])


if __name__ == "__main__":
    serve(Transformers)
