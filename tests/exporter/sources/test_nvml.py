import ctypes
from collections.abc import Callable

import pynvml
import pytest

from exporter.reading import Identity
from exporter.sources.nvml import NvmlSource
from exporter.sources.source import DriverNotFoundError, SourceError

MEBIBYTE = 1 << 20


def test_every_gpu_is_read_in_base_units(nvml: ctypes.CDLL) -> None:
    first, second = NvmlSource().read()

    assert first.identity == Identity(
        0, "GPU-fake-0", 'Fake "H100"', "00000000:3B:00.0", "nvidia4"
    )
    assert second.identity.pci_bus_id == "00000000:3C:00.0"
    assert first.up
    assert first.utilization_ratio == pytest.approx(0.61)
    assert first.memory_copy_ratio == 0.0
    assert first.memory_used_bytes == 10240 * MEBIBYTE
    assert first.memory_free_bytes == (81920 - 2048 - 10240) * MEBIBYTE
    assert first.power_watts == pytest.approx(351.25)
    assert first.energy_joules == pytest.approx(5000000.001)
    assert first.temperature_celsius == 56
    assert first.sm_clock_hertz == 1980e6
    assert first.memory_clock_hertz == 2619e6
    assert first.pcie_replays == 3
    assert first.nvlink_bytes == 2 * 1000000 * 1024


def test_a_driver_of_old_is_asked_the_old_way(load_nvml: Callable[..., ctypes.CDLL]) -> None:
    load_nvml("-DOLD_DRIVER")
    reading = NvmlSource().read()[0]

    assert reading.memory_used_bytes == 12288 * MEBIBYTE
    assert reading.temperature_celsius == 55
    assert reading.nvlink_bytes is None


def test_what_a_gpu_does_not_support_is_missing_not_zero(nvml: ctypes.CDLL) -> None:
    nvml.fake_set_energy(0)
    nvml.fake_set_links(0)
    reading = NvmlSource().read()[0]

    assert reading.up
    assert reading.energy_joules is None
    assert reading.nvlink_bytes is None
    assert reading.power_watts is not None


def test_a_lost_gpu_blanks_itself_only_and_keeps_its_name(nvml: ctypes.CDLL) -> None:
    source = NvmlSource()
    before = source.read()
    nvml.fake_lose(1)
    first, second = source.read()

    assert first.up
    assert second.identity == before[1].identity
    assert not second.up
    assert second.utilization_ratio is None


def test_a_gpu_lost_from_the_start_is_down_and_comes_back(nvml: ctypes.CDLL) -> None:
    nvml.fake_lose(0)
    source = NvmlSource()
    lost = source.read()[0]
    nvml.fake_lose(-1)
    found = source.read()[0]

    assert not lost.up
    assert lost.identity.uuid == ""
    assert found.up
    assert found.identity.uuid == "GPU-fake-0"


def test_without_a_driver_the_error_says_what_to_do(nvml: ctypes.CDLL) -> None:
    nvml.fake_set_driver_loaded(0)

    with pytest.raises(DriverNotFoundError, match="install the driver"):
        NvmlSource()


def test_a_driver_that_goes_away_is_an_error_until_it_returns(nvml: ctypes.CDLL) -> None:
    source = NvmlSource()
    nvml.fake_set_driver_loaded(0)
    with pytest.raises(SourceError, match="stopped answering"):
        source.read()
    with pytest.raises(DriverNotFoundError):
        source.read()
    nvml.fake_set_driver_loaded(1)

    assert [reading.up for reading in source.read()] == [True, True]


def test_closing_twice_is_fine(nvml: ctypes.CDLL) -> None:
    before = pynvml._nvmlLib_refcount
    source = NvmlSource()
    source.close()
    source.close()

    assert pynvml._nvmlLib_refcount == before
