"""Cached tensors and logits bound to ONNX Runtime once, and again only where they moved."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.runtimes.onnx_cache import Arrays, Cache, Place, Tensor
from inference.runtimes.onnx_session import Provider

_KEPT = 64


@dataclass(frozen=True, slots=True)
class Bound:
    """What is bound for one place in memory and one number of rows."""

    binding: Any
    logits: NDArray[np.float32]
    outputs: list[Tensor]
    is_on_host: bool
    fed: Arrays = field(default_factory=dict)  # what was bound last

    def feed(self, inputs: Arrays) -> None:
        """Bind what goes in, but for arrays that are bound already and were only written to."""
        for name, array in inputs.items():
            if self.fed.get(name) is not array or not self._is_read_in_place(array):
                self.binding.bind_cpu_input(name, array)
                self.fed[name] = array

    def _is_read_in_place(self, array: NDArray[Any]) -> bool:
        return self.is_on_host and array.flags.c_contiguous  # else binding has made a copy


class Bindings:
    """The bindings of a session, by place; a place that comes back is not bound anew."""

    def __init__(
        self, session: Any, provider: Provider, device: int, kind: np.dtype[Any], vocabulary: int
    ) -> None:
        self._session = session
        self._on = provider.value, device, kind
        self._is_on_host = provider is Provider.CPU
        self._logits = np.empty((0, vocabulary), np.float32)
        self._bound: OrderedDict[Place, Bound] = OrderedDict()

    def at(self, cache: Cache, place: Place, rows: int) -> Bound:
        """Return what is bound for a place; its logits are shared with every other."""
        if rows > len(self._logits):
            self._logits = np.empty((rows, self._logits.shape[1]), np.float32)
            self._bound.clear()
        bound = self._bound.get(place)
        if bound is None:
            bound = self._bound[place] = self._bind(cache, place, self._logits[:rows])
            if len(self._bound) > _KEPT:
                self._bound.popitem(last=False)
        self._bound.move_to_end(place)
        return bound

    def _bind(self, cache: Cache, place: Place, logits: NDArray[np.float32]) -> Bound:
        binding, outputs = self._session.io_binding(), cache.outputs(place)
        for one in cache.inputs(place):
            binding.bind_input(one.name, *self._on, one.shape, one.address)
        for one in outputs:
            binding.bind_output(one.name, *self._on, one.shape, one.address)
        address = logits.ctypes.data
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, address)
        return Bound(binding, logits, outputs, self._is_on_host)
