"""A device that is the host itself: its addresses are the process's own.

It stands in for a GPU where there is none, so that everything around the GPU's own work runs.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.runtimes.device import Append, BandCopy
from inference.runtimes.runtime import RuntimeFailedError

_ALIGNMENT = 256


class HostDevice:
    """Memory and a stream on the host; what is put on the stream runs at once."""

    def __init__(self, memory_bytes: int = 1 << 40) -> None:
        self.memory_bytes = memory_bytes
        self.stream = 0
        self._allocations: dict[int, NDArray[Any]] = {}
        self._recording: list[Callable[[], None]] | None = None

    def enter(self) -> None:
        """Do nothing: the host is current everywhere."""

    def free_bytes(self) -> int:
        """Return how much of `memory_bytes` is unallocated."""
        return self.memory_bytes - sum(block.nbytes for block in self._allocations.values())

    def allocate(self, size: int) -> int:
        """Return the address of `size` zeroed bytes, 256-byte aligned."""
        if size > self.free_bytes():
            raise RuntimeFailedError(f"out of memory: {size} bytes wanted")
        block = np.zeros(size + _ALIGNMENT, np.uint8)
        shift = -block.ctypes.data % _ALIGNMENT
        address = int(block.ctypes.data) + shift
        self._allocations[address] = block[shift : shift + size]
        return address

    def release(self, address: int) -> None:
        """Free what `allocate` returned."""
        del self._allocations[address]

    def host_bytes(self, size: int) -> NDArray[Any]:
        """Return `size` bytes of memory."""
        return np.zeros(size, np.uint8)

    def release_host(self, buffer: NDArray[Any]) -> None:
        """Do nothing: the array frees itself."""

    def copy_in(self, address: int, source: NDArray[Any]) -> None:
        """Copy from an array."""
        self.submit(lambda: _move(address, source.ctypes.data, source.nbytes))

    def copy_out(self, target: NDArray[Any], address: int) -> None:
        """Copy to an array."""
        self.submit(lambda: _move(target.ctypes.data, address, target.nbytes))

    def copy_bands(self, copy: BandCopy) -> None:
        """Copy bands within the memory."""

        def work() -> None:
            for band in range(copy.height):
                target = copy.target + band * copy.target_pitch
                _move(target, copy.source + band * copy.source_pitch, copy.width)

        self.submit(work)

    def append_kv(self, append: Append) -> None:
        """Write new keys and values into their pools."""
        self.submit(lambda: _append(append))

    def capture(self, work: Callable[[], None]) -> "_Recorded":
        """Record what `work` puts on the stream, without running it."""
        self._recording = []
        try:
            work()
            return _Recorded(self, self._recording)
        finally:
            self._recording = None

    def submit(self, work: Callable[[], None]) -> None:
        """Run work, or record it while capturing."""
        if self._recording is None:
            work()
        else:
            self._recording.append(work)

    def synchronize(self) -> None:
        """Do nothing: the stream is always empty."""

    def close(self) -> None:
        """Do nothing: the host stays."""


class _Recorded:
    """Work in the order in which it was recorded."""

    def __init__(self, device: HostDevice, steps: list[Callable[[], None]]) -> None:
        self._device = device
        self._steps = steps

    def launch(self) -> None:
        """Run it."""
        for step in self._steps:
            self._device.submit(step)

    def close(self) -> None:
        """Give up what it holds."""
        self._steps = []


def view(address: int, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
    """Return the array that lies at an address."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    flat = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
    array: NDArray[Any] = flat.view(kind).reshape(shape)
    return array


def _move(target: int, source: int, size: int) -> None:
    ctypes.memmove(target, source, size)


def _append(append: Append) -> None:
    pools, fresh = view(append.tables, (2, append.pools), np.uint64)
    slots = view(append.slots, (append.rows, append.tokens), np.int32)
    for pool, new in zip(pools.tolist(), fresh.tolist(), strict=True):
        kept = view(pool, (append.heads, append.head_slots, append.row_bytes), np.uint8)
        given = (append.rows, append.heads, append.tokens, append.row_bytes)
        kept[:, slots] = view(new, given, np.uint8).transpose(1, 0, 2, 3)
