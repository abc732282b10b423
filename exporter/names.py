"""Readings under the catalogue's names: DCGM's metrics, labels and units."""

from collections.abc import Callable, Iterable, Iterator

from exporter.reading import Identity, Reading
from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.series import Sample

_MEBIBYTE = 1024.0 * 1024.0
_MEGABYTE = 1e6
_MEGAHERTZ = 1e6

# (metric, the reading's field, how many of the metric's units make one base unit)
_FIELDS: tuple[tuple[Metric, Callable[[Reading], float | None], float], ...] = (
    (catalog.GPU_UTIL, lambda reading: reading.utilization_ratio, 100.0),
    (catalog.GPU_MEM_COPY_UTIL, lambda reading: reading.memory_copy_ratio, 100.0),
    (catalog.GPU_FB_USED, lambda reading: reading.memory_used_bytes, 1.0 / _MEBIBYTE),
    (catalog.GPU_FB_FREE, lambda reading: reading.memory_free_bytes, 1.0 / _MEBIBYTE),
    (catalog.GPU_POWER, lambda reading: reading.power_watts, 1.0),
    (catalog.GPU_ENERGY, lambda reading: reading.energy_joules, 1000.0),
    (catalog.GPU_TEMPERATURE, lambda reading: reading.temperature_celsius, 1.0),
    (catalog.GPU_SM_CLOCK, lambda reading: reading.sm_clock_hertz, 1.0 / _MEGAHERTZ),
    (catalog.GPU_MEM_CLOCK, lambda reading: reading.memory_clock_hertz, 1.0 / _MEGAHERTZ),
    (catalog.GPU_PCIE_REPLAY, lambda reading: reading.pcie_replays, 1.0),
    (catalog.GPU_NVLINK_BANDWIDTH, lambda reading: reading.nvlink_bytes, 1.0 / _MEGABYTE),
)


def samples(readings: Iterable[Reading], *, hostname: str, at: float) -> Iterator[Sample]:
    """Name every value that the readings have; what is missing has no sample."""
    for reading in readings:
        yield _up(reading, at)
        labels = _labels(reading.identity, hostname)
        for metric, field, scale in _FIELDS:
            value = field(reading)
            if value is not None:
                # Six decimals: 61.8 % is 61.8, not 61.800000000000004.
                yield Sample(metric.name, labels, at, round(value * scale, 6))


def _up(reading: Reading, at: float) -> Sample:
    identity = reading.identity
    labels = {
        "gpu": str(identity.index),
        "UUID": identity.uuid,
        "simulated": _flag(identity),
    }
    return Sample(catalog.GPU_UP.name, labels, at, float(reading.up))


def _labels(identity: Identity, hostname: str) -> dict[str, str]:
    return {
        "gpu": str(identity.index),
        "UUID": identity.uuid,
        "pci_bus_id": identity.pci_bus_id,
        "device": identity.device,
        "modelName": identity.name,
        "Hostname": hostname,
        "simulated": _flag(identity),
    }


def _flag(identity: Identity) -> str:
    return "true" if identity.simulated else "false"
