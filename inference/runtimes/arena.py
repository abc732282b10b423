"""One stretch of memory that is cut anew for every call: its inputs, then its outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.runtimes.device import Device

ALIGNMENT = 256


@dataclass(frozen=True, slots=True)
class Slice:
    """An array within an arena."""

    shape: tuple[int, ...]
    kind: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes, rounded up to what keeps the next slice aligned."""
        exact = int(np.prod(self.shape)) * self.kind.itemsize
        return -(-max(exact, 1) // ALIGNMENT) * ALIGNMENT


def total(slices: Mapping[str, Slice]) -> int:
    """Return the bytes of several arrays side by side."""
    return sum(one.size for one in slices.values())


class Arena:
    """Memory on the device, and memory of the host beside it to copy from and to."""

    def __init__(self, device: Device, size: int, *, host: bool) -> None:
        self._device = device
        self.size = size
        self.address = device.allocate(size)
        self.host = device.host_bytes(size if host else 0)

    def cut(self, slices: Mapping[str, Slice]) -> dict[str, int]:
        """Return where each of these arrays lies on the device."""
        addresses, at = {}, self.address
        for name, one in slices.items():
            addresses[name] = at
            at += one.size
        return addresses

    def views(self, slices: Mapping[str, Slice]) -> dict[str, NDArray[Any]]:
        """Return the same arrays in the host's memory."""
        views, at = {}, 0
        for name, one in slices.items():
            exact = int(np.prod(one.shape)) * one.kind.itemsize
            views[name] = self.host[at : at + exact].view(one.kind).reshape(one.shape)
            at += one.size
        return views

    def release(self) -> None:
        """Free both."""
        self._device.release(self.address)
        self._device.release_host(self.host)
