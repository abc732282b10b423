"""From the metrics store to the GPUs of a snapshot: the newest reading of each device."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dashboards.console.reading import rounded
from dashboards.console.sections import Gpu
from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.series import Selector
from telemetry.store import Reader

_MEBIBYTE = 1024.0**2
_SHOWN: tuple[tuple[Metric, float], ...] = (  # metric and the factor to its base unit
    (catalog.GPU_UTIL, 0.01),
    (catalog.GPU_FB_USED, _MEBIBYTE),
    (catalog.GPU_FB_FREE, _MEBIBYTE),
    (catalog.GPU_POWER, 1.0),
    (catalog.GPU_TEMPERATURE, 1.0),
)


@dataclass(frozen=True, slots=True)
class _Device:
    """What has been found of one device so far."""

    labels: Mapping[str, str]
    values: dict[str, float] = field(default_factory=dict)

    def get(self, metric: Metric) -> float | None:
        return rounded(self.values.get(metric.name, float("nan")))

    def as_gpu(self) -> Gpu:
        return Gpu(
            gpu=self.labels.get("gpu", "?"),
            uuid=self.labels.get("UUID", ""),
            name=self.labels.get("modelName", ""),
            host=self.labels.get("Hostname", ""),
            simulated=is_simulated(self.labels),
            utilization_ratio=self.get(catalog.GPU_UTIL),
            memory_used_bytes=self.get(catalog.GPU_FB_USED),
            memory_free_bytes=self.get(catalog.GPU_FB_FREE),
            power_watts=self.get(catalog.GPU_POWER),
            temperature_celsius=self.get(catalog.GPU_TEMPERATURE),
        )


def read_gpus(reader: Reader, *, now: float, within: float) -> tuple[Gpu, ...]:
    """Read the newest utilisation, memory, power and temperature of each device."""
    devices: dict[tuple[str, str, str], _Device] = {}
    for metric, factor in _SHOWN:
        for one in reader.latest(Selector(metric.name), at=now, within=within):
            key = (
                one.labels.get("Hostname", ""),
                one.labels.get("gpu", ""),
                one.labels.get("UUID", ""),
            )
            device = devices.setdefault(key, _Device(one.labels))
            device.values[metric.name] = one.value * factor
    return tuple(devices[key].as_gpu() for key in sorted(devices, key=_by_number))


def is_simulated(labels: Mapping[str, str]) -> bool:
    """Tell whether a reading says that no real device stands behind it."""
    return labels.get("simulated", "").lower() in {"true", "1", "yes"}


def _by_number(key: tuple[str, str, str]) -> tuple[str, int, str]:
    host, gpu, _ = key
    return (host, int(gpu) if gpu.isdecimal() else 0, gpu)
