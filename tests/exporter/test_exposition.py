import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter import exposition, names
from exporter.reading import Identity, Reading
from telemetry import catalog
from telemetry.catalog import CATALOG
from telemetry.series import Sample

HOSTILE = 'A "quoted"\\name\nwith everything'
FULL = Reading(
    Identity(0, "GPU-1", HOSTILE, "00000000:3B:00.0", "nvidia0"),
    utilization_ratio=0.618,
    memory_copy_ratio=0.0,
    memory_used_bytes=3 * 2**20,
    memory_free_bytes=5 * 2**20,
    power_watts=351.25,
    energy_joules=5.5,
    temperature_celsius=56,
    sm_clock_hertz=1980e6,
    memory_clock_hertz=2619e6,
    pcie_replays=3,
    nvlink_bytes=7e6,
)


def page(*readings: Reading) -> str:
    return exposition.render(names.samples(readings, hostname="node-1", at=0.0))


def values(text: str) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_value_is_under_its_dcgm_name_and_unit() -> None:
    assert values(page(FULL)) == {
        "warmfront_gpu_up": 1.0,
        "DCGM_FI_DEV_GPU_UTIL": 61.8,
        "DCGM_FI_DEV_MEM_COPY_UTIL": 0.0,
        "DCGM_FI_DEV_FB_USED": 3.0,
        "DCGM_FI_DEV_FB_FREE": 5.0,
        "DCGM_FI_DEV_POWER_USAGE": 351.25,
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": 5500.0,
        "DCGM_FI_DEV_GPU_TEMP": 56.0,
        "DCGM_FI_DEV_SM_CLOCK": 1980.0,
        "DCGM_FI_DEV_MEM_CLOCK": 2619.0,
        "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": 3.0,
        "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL": 7.0,
    }


def test_a_parser_reads_hostile_labels_back() -> None:
    families = {family.name: family for family in text_string_to_metric_families(page(FULL))}
    labels = families["DCGM_FI_DEV_GPU_UTIL"].samples[0].labels

    assert labels == {
        "gpu": "0",
        "UUID": "GPU-1",
        "pci_bus_id": "00000000:3B:00.0",
        "device": "nvidia0",
        "modelName": HOSTILE,
        "Hostname": "node-1",
        "simulated": "false",
    }


def test_labels_are_those_of_the_catalogue() -> None:
    for sample in names.samples([FULL], hostname="node-1", at=0.0):
        assert tuple(sample.labels) == CATALOG[sample.name].labels


def test_a_missing_value_has_no_line() -> None:
    assert values(page(Reading(FULL.identity, power_watts=0.0))) == {
        "warmfront_gpu_up": 1.0,
        "DCGM_FI_DEV_POWER_USAGE": 0.0,
    }


def test_a_device_that_did_not_answer_is_named_and_down() -> None:
    assert values(page(Reading.down(FULL.identity))) == {"warmfront_gpu_up": 0.0}


def test_each_family_is_declared_once() -> None:
    other = Reading(Identity(1, "GPU-2", "b", "", "nvidia1"), power_watts=1.0)
    text = page(FULL, other)

    assert text.count("# TYPE DCGM_FI_DEV_POWER_USAGE ") == 1
    assert text.count("\nDCGM_FI_DEV_POWER_USAGE{") == 2


def test_no_samples_is_an_empty_page() -> None:
    assert exposition.render([]) == ""


def test_a_counter_with_its_suffix_is_declared_as_one() -> None:
    name = catalog.GPU_COLLECT_ERRORS.name
    text = exposition.render([Sample(name, {"source": "nvml"}, 0.0, 2.0)])

    assert f"# TYPE {name} counter" in text
    assert values(text) == {name: 2.0}


@pytest.mark.prometheus
def test_promtool_reads_the_page() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=page(FULL).encode(),
        capture_output=True,
        check=False,
        timeout=20,
    )
    complaints = checked.stderr.decode().splitlines()

    # 3 means that the page was read and the names could be nicer: they are DCGM's own.
    assert checked.returncode in {0, 3}, complaints
    assert all("camelCase" in line or "type 'counter'" in line for line in complaints), complaints
