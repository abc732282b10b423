import ctypes
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from exporter.reading import Reading
from exporter.sources.choose import choose_source, open_gpus
from exporter.sources.source import SourceError


class NoDevices:
    name = "simulated"

    def read(self) -> Sequence[Reading]:
        return ()


def test_gpus_are_preferred_and_the_log_says_so(nvml: ctypes.CDLL) -> None:
    with capture_logs() as logs:
        source = choose_source(NoDevices)

    assert source.name == "nvml"
    assert [line["event"] for line in logs] == ["GPUs are real"]


@pytest.mark.parametrize(
    ("devices", "driver", "why"),
    [
        pytest.param(2, 0, "no NVIDIA driver", id="no driver"),
        pytest.param(0, 1, "lists no GPU", id="a driver without a GPU"),
    ],
)
def test_without_a_gpu_the_machine_is_simulated_and_the_log_says_why(
    nvml: ctypes.CDLL, devices: int, driver: int, why: str
) -> None:
    nvml.fake_set_count(devices)
    nvml.fake_set_driver_loaded(driver)
    with capture_logs() as logs:
        source = choose_source(NoDevices)

    assert source.name == "simulated"
    assert logs[0]["event"] == "GPUs are simulated"
    assert why in logs[0]["why"]


def test_a_driver_without_a_gpu_is_an_error_to_who_wants_gpus(nvml: ctypes.CDLL) -> None:
    nvml.fake_set_count(0)

    with pytest.raises(SourceError, match="lists no GPU"):
        open_gpus()
