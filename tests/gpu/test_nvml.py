"""NVML on a real GPU: what the fake library cannot prove."""

import pytest

from exporter.sources.choose import open_gpus
from exporter.sources.source import Source, SourceError

pytestmark = pytest.mark.gpu


@pytest.fixture
def gpus() -> Source:
    try:
        return open_gpus()
    except SourceError as error:
        pytest.skip(f"no GPU here: {error}")


def test_every_device_names_itself_and_reports_the_essentials(gpus: Source):
    readings = gpus.read()

    assert readings
    for reading in readings:
        assert reading.identity.uuid.startswith("GPU-")
        assert not reading.identity.simulated
        assert reading.utilization_ratio is not None
        assert reading.memory_used_bytes is not None
        assert reading.power_watts is not None


def test_energy_only_grows(gpus: Source):
    first, second = gpus.read(), gpus.read()

    for before, after in zip(first, second, strict=True):
        if before.energy_joules is not None and after.energy_joules is not None:
            assert after.energy_joules >= before.energy_joules
