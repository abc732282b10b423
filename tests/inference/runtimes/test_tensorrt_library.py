"""How an engine is opened and called, in the words of the library's Python binding."""

from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import pytest

from inference.runtimes.engines import Tensor
from inference.runtimes.host_device import HostDevice
from inference.runtimes.runtime import RuntimeFailedError
from inference.runtimes.tensorrt_library import TensorRTLibrary

TENSORS = {"tokens": Tensor(512, (2, 1)), "logits": Tensor(1024, (2, 8))}


class Severity(IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3


class Logger:
    Severity = Severity


class Binding:
    """Notes what is called, in order, and answers as it is told to."""

    __name__ = "tensorrt"
    __version__ = "11.4"
    ILogger = Logger
    TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")
    EngineStat = SimpleNamespace(TOTAL_WEIGHTS_SIZE="weights")
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="ours")

    def __init__(self, **refused: bool) -> None:
        self.refused = refused
        self.calls: list[tuple[Any, ...]] = []
        self.told: Any = None

    def Runtime(self, logger: Any) -> "Binding":  # noqa: N802 - the binding's own name
        self.told = logger
        return self

    def _answer(self, name: str, *arguments: Any) -> bool:
        self.calls.append((name, *arguments))
        if self.refused.get(name):
            self.told.log(Severity.ERROR, f"{name} went wrong")
        return not self.refused.get(name)

    def deserialize_cuda_engine(self, plan: bytes) -> "Binding | None":
        return self if self._answer("deserialize", plan) else None

    def create_execution_context(self, how: object) -> "Binding | None":
        return self if self._answer("context", how) else None

    def get_engine_stat(self, what: str) -> int:
        return {"weights": 70}[what]

    device_memory_size_v2 = 30

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "tokens" else "out"

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        return self._answer("profile", profile, stream)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        return self._answer("shape", name, shape)

    def set_tensor_address(self, name: str, address: int) -> bool:
        return self._answer("address", name, address)

    def set_device_memory(self, address: int, size: int) -> None:
        self._answer("memory", address, size)

    def execute_async_v3(self, stream: int) -> bool:
        return self._answer("execute", stream)


def test_a_call_has_its_profile_before_its_shapes_and_all_it_needs_before_it_runs():
    binding = Binding()
    engine = TensorRTLibrary(binding).open(b"plan", HostDevice(), None)
    engine.prepare(1, TENSORS, 4096).enqueue()

    assert binding.calls == [
        ("deserialize", b"plan"),
        ("context", "ours"),
        ("profile", 1, 0),
        ("shape", "tokens", (2, 1)),
        ("address", "tokens", 512),
        ("address", "logits", 1024),
        ("memory", 4096, 30),
        ("execute", 0),
    ]
    assert (engine.weights_bytes, engine.scratch_bytes) == (70, 30)
    assert engine.kernels() is None


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ("deserialize", "tensorrt 11.4 refuses the engine: deserialize went wrong"),
        ("context", "no execution context: context went wrong"),
        ("profile", "profile 0 cannot be chosen: profile went wrong"),
        ("shape", r"tokens cannot be \(2, 1\): shape went wrong"),
        ("address", "tokens cannot lie at 512: address went wrong"),
        ("execute", "the engine does not run: execute went wrong"),
    ],
)
def test_what_the_library_refuses_is_an_error_with_its_reason(refused: str, message: str):
    library = TensorRTLibrary(Binding(**{refused: True}))

    with pytest.raises(RuntimeFailedError, match=message):
        library.open(b"plan", HostDevice(), None).prepare(0, TENSORS, 4096).enqueue()
