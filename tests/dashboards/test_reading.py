import numpy as np
import pytest

from dashboards.console.devices import is_simulated, read_gpus
from dashboards.console.latency import read_latency
from dashboards.console.reading import (
    newest,
    read_capacity,
    read_demand,
    read_replicas,
    read_signals,
    read_targets,
    read_traffic,
)
from telemetry import catalog
from telemetry.series import Sample, Window


@pytest.fixture
def window(world):
    return Window.ending(world.now, step=world.step, points=120)


def test_demand_is_arrivals_per_second_with_its_gap(busy_stack, window, world):
    demand = read_demand(busy_stack.store, busy_stack.model, window, within=30)

    rate = np.array([np.nan if value is None else value for value in demand.rate])
    quiet = (window.times > world.now - 880) & (window.times < world.now - 790)
    assert np.isnan(rate[quiet]).all()
    expected = np.array([world.expected_demand(at) for at in window.times])
    assert np.nanmean(np.abs(rate - expected)) < 2.0
    assert demand.now == demand.rate[-1]


def test_the_forecast_for_now_comes_with_its_band(busy_stack, window):
    demand = read_demand(busy_stack.store, busy_stack.model, window, within=30)

    assert demand.low_now < demand.expected_now < demand.high_now
    assert demand.coverage == {"0.9": 0.91}
    assert len(demand.past.low) == window.size


def test_quantile_labels_may_be_written_in_any_way(young_stack, window, world):
    labels = {"model": young_stack.model, "quantile": "0.50"}
    odd = {"model": young_stack.model, "quantile": "median"}
    name = catalog.FORECAST.name
    at = window.end
    young_stack.store.write([Sample(name, labels, at, 3.0), Sample(name, odd, at, 9.0)])

    demand = read_demand(young_stack.store, young_stack.model, window, within=30)

    assert demand.expected_now == 3.0


def test_another_models_demand_is_not_ours(busy_stack, window):
    demand = read_demand(busy_stack.store, "another", window, within=30)

    assert demand.now is None
    assert set(demand.rate) == {None}


def test_a_state_that_the_newest_page_no_longer_names_has_no_replicas(young_stack, world):
    def page(at, **states):
        labels = {"model": young_stack.model}
        name = catalog.REPLICAS.name
        rows = states.items()
        young_stack.store.write(
            Sample(name, {**labels, "state": state}, at, count) for state, count in rows
        )

    page(world.now + 1, serving=1, starting=1)
    page(world.now + 2, serving=2)
    window = Window.ending(world.now + 2, step=1.0, points=10)

    replicas = read_replicas(
        young_stack.store, young_stack.model, window, now=world.now + 2, within=30
    )

    assert replicas.now == {"serving": 2}
    assert 1.0 in replicas.by_state["starting"]


def test_replicas_and_what_was_wanted_are_read_over_time(busy_stack, window, world):
    replicas = read_replicas(busy_stack.store, busy_stack.model, window, now=world.now, within=30)

    assert replicas.now == {"serving": 3, "standby": 1, "starting": 0}
    assert replicas.wanted_now == {"serving": 3, "standby": 1}
    assert {"serving", "standby", "starting"} == set(replicas.by_state)
    assert None in replicas.by_state["serving"]


def test_latencies_are_percentiles_of_each_steps_requests(busy_stack, window):
    latency = read_latency(busy_stack.store, busy_stack.model, window)

    assert 0.08 < latency.ttft.p50_now < latency.ttft.p95_now < 0.7
    assert 0.01 < latency.tpot.p50_now < latency.tpot.p95_now < 0.1


def test_without_answers_there_is_no_latency(young_stack, window):
    latency = read_latency(young_stack.store, young_stack.model, window)

    assert latency.ttft.p95_now is None
    assert latency.ttft.p95 == (None,) * window.size


def test_traffic_is_tokens_per_second_and_what_waits(busy_stack, window, world):
    traffic = read_traffic(busy_stack.store, busy_stack.model, window, now=world.now, within=30)

    assert 400 < traffic.output_tokens_per_second_now < 1500
    assert traffic.in_flight_now == traffic.in_flight[-1]
    assert traffic.held_now == 0


def test_capacity_and_lead_times_are_read(busy_stack, world):
    capacity = read_capacity(busy_stack.store, busy_stack.model, now=world.now, within=30)

    assert capacity.requests_per_second == 5.2
    assert capacity.lead_seconds == {"start": 3.4, "wake": 0.12}


def test_a_signal_is_read_with_its_band_and_its_abnormal_past(busy_stack, window, world):
    signals = read_signals(busy_stack.store, busy_stack.model, window, now=world.now, within=30)

    demand, ttft = signals
    assert (demand.name, ttft.name) == ("demand", "ttft_p95")
    assert ttft.active_now is False
    assert 1.0 in ttft.active
    assert (ttft.low_now, ttft.high_now) == (0.05, 0.42)


def test_a_target_is_up_or_down(busy_stack, world):
    targets = read_targets(busy_stack.store, now=world.now, within=30)

    assert [(one.job, one.up) for one in targets] == [("exporter", True), ("gateway", True)]


def test_gpus_are_read_in_base_units_and_say_that_they_are_simulated(busy_stack, world):
    first, second = read_gpus(busy_stack.store, now=world.now, within=30)

    assert (first.gpu, second.gpu) == ("0", "1")
    assert first.simulated
    assert 0 < first.utilization_ratio <= 1
    assert first.memory_used_bytes == pytest.approx(42_130 * 2**20, rel=1e-5)
    assert first.power_watts > 100


def test_devices_are_ordered_by_number_and_silence_is_not_now(young_stack, world):
    name = catalog.GPU_UTIL.name
    for gpu, age in (("10", 1), ("9", 1), ("3", 300)):
        labels = {"gpu": gpu, "UUID": f"u{gpu}", "Hostname": "a", "simulated": "false"}
        young_stack.store.write([Sample(name, labels, world.now - age, 50.0)])

    shown = read_gpus(young_stack.store, now=world.now - 0.5, within=30)

    assert [gpu.gpu for gpu in shown] == ["9", "10"]
    assert shown[0].memory_used_bytes is None


@pytest.mark.parametrize(
    ("label", "simulated"), [("true", True), ("1", True), ("false", False), ("0", False)]
)
def test_a_device_is_simulated_where_its_label_says_so(label, simulated):
    assert simulated == is_simulated({"simulated": label})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param((1.0, 2.0), 2.0, id="the last"),
        pytest.param((1.0, None), 1.0, id="one before while the last is collected"),
        pytest.param((1.0, None, None), None, id="no older one"),
        pytest.param((), None, id="nothing"),
    ],
)
def test_now_is_the_newest_of_the_last_two_points(values, expected):
    assert expected == newest(values)
