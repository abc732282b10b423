"""NVIDIA GPUs through NVML: the only place that knows `pynvml`."""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import pynvml

from exporter.reading import Identity, Reading
from exporter.sources.source import DriverNotFoundError, SourceError

_MEGAHERTZ = 1e6
_KIBIBYTE = 1024
_ALL_LINKS = 0xFFFFFFFF  # scopeId that sums a field over every NVLink of the device

# The device has no such value; it is well otherwise.
_MISSING = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_NO_DATA,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
    }
)

_UNION_MEMBERS = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
}


class NvmlSource:
    """Every NVIDIA GPU that the driver lists; reconnects after the driver was away."""

    name = "nvml"

    def __init__(self) -> None:
        """Connect to the driver, or say why there is none."""
        self._connected = False
        self._identities: dict[int, Identity] = {}
        self._connect()

    def read(self) -> Sequence[Reading]:
        """Ask every GPU once; a lost GPU is a reading that is not up."""
        self._connect()
        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            self.close()
            raise SourceError(f"the NVIDIA driver stopped answering: {error}") from error
        return [self._read_device(index) for index in range(count)]

    def close(self) -> None:
        """Let go of the driver; closing twice is fine."""
        if not self._connected:
            return
        self._connected = False
        self._identities.clear()
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError:
            return  # the driver went first

    def _connect(self) -> None:
        if self._connected:
            return
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise DriverNotFoundError(
                f"no NVIDIA driver answers on this machine ({error}): install the driver, and "
                "in a container pass the GPUs through (for example `--gpus all`)"
            ) from error
        self._connected = True

    def _read_device(self, index: int) -> Reading:
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            if index not in self._identities:
                self._identities[index] = _identify(handle, index)
            return _measure(handle, self._identities[index])
        except pynvml.NVMLError:
            return Reading.down(self._identities.get(index, _unknown(index)))


def _unknown(index: int) -> Identity:
    return Identity(index, uuid="", name="", pci_bus_id="", device=f"nvidia{index}")


def _identify(handle: Any, index: int) -> Identity:
    minor = _ask(lambda: pynvml.nvmlDeviceGetMinorNumber(handle))
    return Identity(
        index,
        uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        pci_bus_id=_text(pynvml.nvmlDeviceGetPciInfo(handle).busId),
        device=f"nvidia{index if minor is None else int(minor)}",
    )


def _measure(handle: Any, identity: Identity) -> Reading:
    utilization = _ask(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle))
    memory = _memory(handle)
    return Reading(
        identity,
        utilization_ratio=None if utilization is None else utilization.gpu / 100,
        memory_copy_ratio=None if utilization is None else utilization.memory / 100,
        memory_used_bytes=None if memory is None else float(memory.used),
        memory_free_bytes=None if memory is None else float(memory.free),
        power_watts=_scaled(_ask(lambda: pynvml.nvmlDeviceGetPowerUsage(handle)), 1e-3),
        energy_joules=_scaled(
            _ask(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)), 1e-3
        ),
        temperature_celsius=_temperature(handle),
        sm_clock_hertz=_clock(handle, pynvml.NVML_CLOCK_SM),
        memory_clock_hertz=_clock(handle, pynvml.NVML_CLOCK_MEM),
        pcie_replays=_scaled(_ask(lambda: pynvml.nvmlDeviceGetPcieReplayCounter(handle)), 1.0),
        nvlink_bytes=_nvlink_bytes(handle),
    )


def _memory(handle: Any) -> Any:
    # The first version of the call counts what the driver reserved as used; older drivers
    # have no other.
    newest = _ask(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2))
    if newest is None:
        return _ask(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
    return newest


def _temperature(handle: Any) -> float | None:
    sensor = pynvml.NVML_TEMPERATURE_GPU
    newest = _ask(lambda: pynvml.nvmlDeviceGetTemperatureV(handle, sensor))
    if newest is None:
        newest = _ask(lambda: pynvml.nvmlDeviceGetTemperature(handle, sensor))
    return _scaled(newest, 1.0)


def _clock(handle: Any, kind: int) -> float | None:
    return _scaled(_ask(lambda: pynvml.nvmlDeviceGetClockInfo(handle, kind)), _MEGAHERTZ)


def _nvlink_bytes(handle: Any) -> float | None:
    """Sum both directions over all links; a device without links has no such value."""
    fields = [
        (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, _ALL_LINKS),
        (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, _ALL_LINKS),
    ]
    answers = _ask(lambda: pynvml.nvmlDeviceGetFieldValues(handle, fields))
    if answers is None:
        return None
    directions = [_field(answer) for answer in answers]
    known = [kibibytes for kibibytes in directions if kibibytes is not None]
    return sum(known) * _KIBIBYTE if len(known) == len(fields) else None


def _field(answer: Any) -> float | None:
    member = _UNION_MEMBERS.get(answer.valueType)
    if answer.nvmlReturn != pynvml.NVML_SUCCESS or member is None:
        return None
    value = getattr(answer.value, member)
    # All ones is how NVML writes "not available" into an unsigned counter.
    if member in {"uiVal", "ulVal", "ullVal"} and value in {
        ctypes.c_uint(-1).value,
        ctypes.c_ulonglong(-1).value,
    }:
        return None
    return float(value)


def _ask(call: Callable[[], Any]) -> Any:
    """Return what NVML answers, or None where this device has no such value."""
    try:
        return call()
    except pynvml.NVMLError as error:
        if error.value in _MISSING:
            return None
        raise


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
