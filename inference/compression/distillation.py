"""Distilling: a student with fewer layers learns to foresee a text as its teacher does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.compression.compress import Progress
from inference.compression.errors import CompressionError
from inference.compression.libraries import library
from inference.compression.output import read_all, write_json, write_weights
from inference.models.checkpoint import decoder_name
from inference.models.spec import ModelSpec, load_spec, read_json
from telemetry.clock import Clock, SystemClock

_LAYER = "model.layers."
_IMPLIED = "rotary_emb.inv_freq"  # by config.json; no parameter
_WARM_UP = 0.05  # share of the steps in which the learning rate rises
_LONGEST_STEP = 1.0  # norm of the gradient beyond which it is shortened
_REPORTED = 10  # steps whose loss is averaged for the report


@dataclass(frozen=True, slots=True)
class Distill:
    """Teaches a student that begins as some of the teacher's layers, spread evenly.

    Its loss is half what the teacher's distribution over the next token says (Kullback-Leibler
    divergence), half what the text says (cross-entropy). The same seed and steps give the same
    student on the same machine; with a limit in minutes, as many steps as fit are taken.
    """

    layers: int
    steps: int = 1000
    minutes: float | None = None
    batch: int = 8  # windows per step
    learning_rate: float = 5e-4
    seed: int = 0
    clock: Clock = field(default_factory=SystemClock)

    @property
    def method(self) -> str:
        """Name the student's depth."""
        return f"distil to {self.layers} layers"

    def check(self, spec: ModelSpec) -> None:
        """Refuse models that see, and students that are no smaller."""
        if spec.image_token is not None:
            raise CompressionError(
                "a model that sees images cannot be distilled here: a text says nothing of what "
                "it sees; quantise it instead"
            )
        if not 0 < self.layers < spec.layers:
            raise CompressionError(
                f"expected a student of 1 to {spec.layers - 1} layers, got {self.layers}"
            )
        if self.steps < 1 or self.batch < 1 or self.learning_rate <= 0:
            raise CompressionError("steps, batch and learning rate must be above 0")
        library("torch")
        library("transformers")

    def write(
        self, source: Path, target: Path, windows: NDArray[np.int64], progress: Progress
    ) -> Mapping[str, Any]:
        """Write the student once it has learnt, in the number formats of the teacher."""
        teacher_layers = load_spec(source).layers
        kept = spread(teacher_layers, self.layers)
        config = student_config(read_json(source / "config.json"), kept)
        tensors = dict(_student_tensors(source, kept))
        write_json(target / "config.json", config)
        write_weights(target, tensors)
        teacher, student = _opened(source), _opened(target)
        losses = list(self._learn(teacher, student, windows, progress))
        learnt = student.state_dict()
        write_weights(target, {name: _array(learnt, name, one) for name, one in tensors.items()})
        return {
            "teacher_layers": kept,
            "steps": len(losses),
            "seed": self.seed,
            "loss_at_first": float(np.mean(losses[:_REPORTED])),
            "loss_at_last": float(np.mean(losses[-_REPORTED:])),
        }

    def _learn(
        self, teacher: Any, student: Any, windows: NDArray[np.int64], progress: Progress
    ) -> Iterator[float]:
        """Yield the loss of each step."""
        torch = library("torch")
        optimiser = torch.optim.AdamW(student.parameters(), lr=self.learning_rate)
        rng = np.random.default_rng(self.seed)
        began, done = self.clock.monotonic(), 0.0
        teacher.eval()
        student.train()
        for step in range(self.steps):
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate * _warmth(done)
            chosen = rng.choice(len(windows), min(self.batch, len(windows)), replace=False)
            loss = _loss(torch, teacher, student, torch.from_numpy(windows[chosen]))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), _LONGEST_STEP)
            optimiser.step()
            yield float(loss.detach())
            done = self._done(step + 1, self.clock.monotonic() - began)
            progress("teaching the student", done)
            if done >= 1:
                return

    def _done(self, steps: int, seconds: float) -> float:
        """Return how much of the lesson is over, by steps or by time."""
        by_time = 0.0 if self.minutes is None else seconds / (60 * self.minutes)
        return min(1.0, max(steps / self.steps, by_time))


def spread(teacher: int, student: int) -> list[int]:
    """Return which of the teacher's layers a student begins as: first, last and evenly between."""
    return [round(float(at)) for at in np.linspace(0, teacher - 1, student)]


def student_config(config: Mapping[str, Any], kept: list[int]) -> dict[str, Any]:
    """Return a teacher's config.json with some of its layers only."""
    changed = {**config, "num_hidden_layers": len(kept)}
    if config.get("layer_types"):
        changed["layer_types"] = [config["layer_types"][layer] for layer in kept]
    if "max_window_layers" in config:
        full = int(config["max_window_layers"])
        changed["max_window_layers"] = sum(layer < full for layer in kept)
    return changed


def _student_tensors(source: Path, kept: list[int]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the teacher's tensors as the student's, its layers numbered anew."""
    for stored, array in read_all(source):
        name = decoder_name(stored)
        if name.endswith(_IMPLIED):
            continue
        if not name.startswith(_LAYER):
            yield name, array
            continue
        layer, _, rest = name.removeprefix(_LAYER).partition(".")
        for new, old in enumerate(kept):
            if old == int(layer):
                yield f"{_LAYER}{new}.{rest}", array


def _opened(folder: Path) -> Any:
    torch, transformers = library("torch"), library("transformers")
    transformers.utils.logging.disable_progress_bar()
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    except Exception as error:  # the library's exceptions share no base
        raise CompressionError(f"{folder}: transformers cannot load the model: {error}") from error


def _warmth(done: float) -> float:
    """Return the share of the learning rate: up at first, then down to a tenth in a line."""
    return min((done + 0.002) / _WARM_UP, 1.0) * (1.0 - 0.9 * done)


def _loss(torch: Any, teacher: Any, student: Any, tokens: Any) -> Any:
    functional = torch.nn.functional
    with torch.no_grad():
        wanted = functional.log_softmax(teacher(tokens).logits[:, :-1].flatten(0, 1), dim=-1)
    found = functional.log_softmax(student(tokens).logits[:, :-1].flatten(0, 1), dim=-1)
    divergence = functional.kl_div(found, wanted, log_target=True, reduction="batchmean")
    surprise = functional.nll_loss(found, tokens[:, 1:].flatten())
    return (divergence + surprise) / 2


def _array(learnt: Mapping[str, Any], name: str, like: NDArray[Any]) -> NDArray[Any]:
    """Return a tensor of the student in the format in which the teacher keeps its own."""
    if name not in learnt:
        raise CompressionError(f"transformers knows no tensor {name} in this model: not distilled")
    array: NDArray[Any] = learnt[name].detach().numpy().astype(like.dtype)
    return array
