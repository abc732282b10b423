import pytest

from autoscaler.traffic import Traffic, TrafficReader
from telemetry import catalog
from telemetry.series import Sample

NOW = 1_000_000.0


def scrapes(metric, values, *, every=1.0, end=NOW, **labels):
    """Readings of one series, the last of them at `end`."""
    first = end - every * (len(values) - 1)
    return [
        Sample(metric.name, {"model": "m", **labels}, first + every * turn, float(value))
        for turn, value in enumerate(values)
    ]


def arrivals(rate, *, seconds=30, end=NOW):
    return scrapes(catalog.GATEWAY_ARRIVALS, [rate * n for n in range(seconds + 1)], end=end)


def test_demand_is_the_mean_rate_of_arrivals(store):
    store.write(arrivals(4))

    assert TrafficReader(store, model="m").traffic(NOW).demand == pytest.approx(4.0)


def test_no_arrivals_at_a_living_gateway_is_a_demand_of_zero(store):
    store.write(arrivals(0))

    assert TrafficReader(store, model="m").traffic(NOW).demand == 0.0


@pytest.mark.parametrize(
    ("silent_for", "is_known"),
    [pytest.param(3.9, True, id="the quiet second"), pytest.param(4.1, False, id="the loud one")],
)
def test_a_gateway_that_falls_silent_makes_demand_unknown(store, silent_for, is_known):
    store.write(arrivals(4, end=NOW - silent_for))

    demand = TrafficReader(store, model="m", demand_window_seconds=10.0).traffic(NOW).demand

    assert (demand is not None) is is_known


def test_a_gap_does_not_dilute_the_rate(store):
    store.write(arrivals(4, end=NOW - 2.0))

    assert TrafficReader(store, model="m").traffic(NOW).demand == pytest.approx(4.0)


def test_a_gateway_that_has_only_just_started_is_not_diluted_either(store):
    store.write(arrivals(4, seconds=4))

    assert TrafficReader(store, model="m").traffic(NOW).demand == pytest.approx(4.0)


def test_a_restarted_gateway_counts_from_zero(store):
    store.write(scrapes(catalog.GATEWAY_ARRIVALS, [900, 904, 908, 912, 916, 4, 8, 12, 16]))

    demand = (
        TrafficReader(store, model="m", demand_window_seconds=8.0, steps=2).traffic(NOW).demand
    )

    assert demand == pytest.approx(4.0)


def test_other_models_do_not_count(store):
    store.write([*arrivals(4), *scrapes(catalog.GATEWAY_ARRIVALS, [0, 500], model="other")])

    assert TrafficReader(store, model="m").traffic(NOW).demand == pytest.approx(4.0)


def test_nothing_known_is_none_and_never_zero(store):
    assert TrafficReader(store, model="m").traffic(NOW) == Traffic(None, None, None, None)


def test_held_requests_are_the_newest_reading(store):
    store.write(scrapes(catalog.GATEWAY_HELD, [9, 3]))

    assert TrafficReader(store, model="m").traffic(NOW).held == 3


def test_held_requests_are_those_of_every_priority(store):
    store.write(
        [
            *scrapes(catalog.GATEWAY_HELD, [9, 3], priority="interactive"),
            *scrapes(catalog.GATEWAY_HELD, [9, 2], priority="batch"),
        ]
    )

    assert TrafficReader(store, model="m").traffic(NOW).held == 5


def test_sizes_are_means_over_answered_requests_and_last_until_newer_are_known(store):
    store.write(
        [
            *scrapes(catalog.GATEWAY_REQUESTS, [0, 4], code="200"),
            *scrapes(catalog.GATEWAY_REQUESTS, [0, 7], code="503"),
            *scrapes(catalog.GATEWAY_INPUT_TOKENS, [0, 200]),
            *scrapes(catalog.GATEWAY_OUTPUT_TOKENS, [0, 80]),
        ]
    )
    reader = TrafficReader(store, model="m")

    first, later = reader.traffic(NOW), reader.traffic(NOW + 10_000)

    assert (first.input_tokens, first.output_tokens) == (50.0, 20.0)
    assert (later.input_tokens, later.output_tokens) == (50.0, 20.0)


def test_an_unavailable_store_makes_demand_unknown_and_is_told_once(switch, unavailable, capsys):
    reader = TrafficReader(switch, model="m")
    switch.reader, connected = unavailable, switch.reader

    assert [reader.traffic(NOW).demand for _ in range(3)] == [None] * 3
    switch.reader = connected
    reader.traffic(NOW)

    out = capsys.readouterr().out
    assert out.count("the disk is gone") == 1
    assert out.count("metrics store is back") == 1
