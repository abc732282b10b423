"""What a runtime asks of a device: memory, copies, one stream, and graphs of captured work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class BandCopy:
    """`height` bands of `width` bytes, each a pitch after the one before."""

    source: int  # address
    source_pitch: int  # bytes
    target: int
    target_pitch: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Append:
    """New keys and values, as a graph returns them, to be written into the pools of all layers.

    `tables` is the address of two tables of 64-bit addresses, `pools` long each: the pools
    [heads, head_slots, row_bytes], then the new rows of each [rows, heads, tokens, row_bytes].
    `slots` is the address of int32 [rows, tokens].
    """

    tables: int
    slots: int
    pools: int
    rows: int
    heads: int
    tokens: int
    head_slots: int
    row_bytes: int


class CapturedWork(Protocol):
    """Work that was recorded once and is launched with one call."""

    def launch(self) -> None:
        """Put it on the device's stream."""
        ...

    def close(self) -> None:
        """Give up what it holds."""
        ...


class Device(Protocol):
    """One device with one stream; whatever is put on the stream runs in order.

    Addresses are plain integers. Nothing is checked: an address is the caller's to get right.
    """

    @property
    def stream(self) -> int:
        """Handle of the stream, for libraries that enqueue on it themselves."""
        ...

    def enter(self) -> None:
        """Make the device current in this thread."""
        ...

    def free_bytes(self) -> int:
        """Return how much memory is unallocated."""
        ...

    def allocate(self, size: int) -> int:
        """Return the address of `size` zeroed bytes, 256-byte aligned."""
        ...

    def release(self, address: int) -> None:
        """Free what `allocate` returned, once the stream is done with it."""
        ...

    def host_bytes(self, size: int) -> NDArray[Any]:
        """Return `size` bytes of host memory that the device copies from and to directly."""
        ...

    def release_host(self, buffer: NDArray[Any]) -> None:
        """Free what `host_bytes` returned."""
        ...

    def copy_in(self, address: int, source: NDArray[Any]) -> None:
        """Put a copy from host memory on the stream."""
        ...

    def copy_out(self, target: NDArray[Any], address: int) -> None:
        """Put a copy to host memory on the stream."""
        ...

    def copy_bands(self, copy: BandCopy) -> None:
        """Put a copy within the device on the stream."""
        ...

    def append_kv(self, append: Append) -> None:
        """Put the writing of new keys and values on the stream."""
        ...

    def capture(self, work: Callable[[], None]) -> CapturedWork:
        """Record what `work` puts on the stream, without running it."""
        ...

    def synchronize(self) -> None:
        """Wait until the stream is empty."""
        ...

    def close(self) -> None:
        """Give the device up."""
        ...
