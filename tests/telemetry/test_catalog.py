import re

import pytest

from telemetry import catalog
from telemetry.catalog import CATALOG, Kind, Metric

OURS = [metric for metric in CATALOG.values() if not metric.name.startswith("DCGM_FI_")]
DEVICE = [metric for metric in CATALOG.values() if metric.name.startswith("DCGM_FI_")]

# Units that stand at the end of the name; the rest count things that the name says itself.
SUFFIX_OF_UNIT = {"seconds": "_seconds", "bytes": "_bytes", "ratio": "_ratio"}
SCALED_UNITS = re.compile(r"_(ms|milliseconds|minutes|hours|mb|kb|mib|percent|pct)(_|$)")


def by_name(metric):
    return metric.name


@pytest.mark.parametrize("metric", OURS, ids=by_name)
def test_names_say_their_base_unit(metric):
    stem = metric.name.removesuffix("_total")

    assert re.fullmatch(r"(warmfront|gen_ai)_[a-z0-9_]+", metric.name)
    assert not SCALED_UNITS.search(metric.name)
    if metric.unit in SUFFIX_OF_UNIT:
        assert stem.endswith(SUFFIX_OF_UNIT[metric.unit])
    for unit, suffix in SUFFIX_OF_UNIT.items():
        assert not stem.endswith(suffix) or metric.unit == unit


@pytest.mark.parametrize("metric", OURS, ids=by_name)
def test_counters_and_only_counters_end_in_total(metric):
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)


@pytest.mark.parametrize("metric", DEVICE, ids=by_name)
def test_device_metrics_carry_the_labels_that_dcgm_gives_them(metric):
    assert re.fullmatch(r"DCGM_FI_DEV_[A-Z_]+", metric.name)
    assert {"gpu", "UUID", "device", "modelName", "Hostname"} <= set(metric.labels)


@pytest.mark.parametrize("metric", CATALOG.values(), ids=by_name)
def test_help_is_a_sentence_and_labels_are_distinct(metric):
    assert re.fullmatch(r"[A-Z0-9].*\.", metric.help)
    assert len(set(metric.labels)) == len(metric.labels)
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", label) for label in metric.labels)
    assert not set(metric.labels) & {"le", "__name__"}


@pytest.mark.parametrize("metric", CATALOG.values(), ids=by_name)
def test_buckets_rise(metric):
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_no_name_is_given_twice():
    entries = [value for value in vars(catalog).values() if isinstance(value, Metric)]

    assert len(entries) == len({metric.name for metric in entries}) == len(CATALOG)


def test_no_name_is_a_series_of_a_histogram():
    histograms = [metric.name for metric in CATALOG.values() if metric.kind is Kind.HISTOGRAM]
    taken = {f"{name}{end}" for name in histograms for end in ("_bucket", "_sum", "_count")}

    assert not taken & set(CATALOG)


@pytest.mark.parametrize(
    ("kind", "buckets"),
    [
        pytest.param(Kind.HISTOGRAM, (), id="histogram without buckets"),
        pytest.param(Kind.GAUGE, (1.0,), id="gauge with buckets"),
    ],
)
def test_buckets_belong_to_histograms(kind, buckets):
    with pytest.raises(ValueError, match="histograms have buckets"):
        Metric("m", "M.", kind, "seconds", (), buckets)
