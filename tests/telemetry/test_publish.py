import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from telemetry import catalog
from telemetry.catalog import CATALOG, Kind, Metric
from telemetry.publish import Metrics, parse_page
from telemetry.series import Sample


def parsed(text, **options):
    return parse_page(text, at=1.0, extra_labels={}, **options)


# --- publishing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metric",
    [metric for metric in CATALOG.values() if not metric.name.startswith("DCGM")],
    ids=lambda metric: metric.name,
)
def test_every_entry_is_published_under_its_name_help_and_kind(metric):
    metrics = Metrics()
    family = getattr(metrics, metric.kind)(metric)
    labels = dict.fromkeys(metric.labels, "x")
    child = family.labels(**labels) if labels else family
    child.observe(1) if metric.kind is Kind.HISTOGRAM else child.inc()
    page = metrics.render()[0].decode()

    assert f"# HELP {metric.name} {metric.help}\n" in page
    assert f"# TYPE {metric.name} {metric.kind}\n" in page
    names = {sample.name for sample in metrics.samples(1.0)}
    ends = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
    assert names == {f"{metric.name}{end}" for end in ends}


def test_a_histogram_has_the_buckets_of_the_catalogue():
    metrics = Metrics()
    metrics.histogram(catalog.GATEWAY_STAGE).labels("tiny", "queue").observe(0.03)
    buckets = {
        float(sample.labels["le"]): sample.value
        for sample in metrics.samples(1.0)
        if sample.name.endswith("_bucket")
    }

    assert set(buckets) == {*catalog.GATEWAY_STAGE.buckets, math.inf}
    assert (buckets[0.02], buckets[0.04]) == (0, 1)


def test_a_family_is_made_once():
    metrics = Metrics()

    assert metrics.gauge(catalog.REPLICAS) is metrics.gauge(catalog.REPLICAS)
    assert Metrics().gauge(catalog.REPLICAS) is not metrics.gauge(catalog.REPLICAS)


@pytest.mark.parametrize(
    ("kind", "metric", "message"),
    [
        pytest.param(
            "gauge", Metric("new", "N.", Kind.GAUGE, "1"), "not in the catalogue", id="unknown"
        ),
        pytest.param(
            "gauge",
            Metric("warmfront_replicas", "Other.", Kind.GAUGE, "1"),
            "not in the catalogue",
            id="other meaning",
        ),
        pytest.param("gauge", catalog.REPLICA_STARTS, "is a counter, not a gauge", id="kind"),
        pytest.param("histogram", catalog.REPLICAS, "is a gauge, not a histogram", id="kind 2"),
        pytest.param("counter", catalog.GPU_ENERGY, "counted by a device", id="device"),
    ],
)
def test_what_the_catalogue_does_not_say_is_refused(kind, metric, message):
    with pytest.raises(ValueError, match=message):
        getattr(Metrics(), kind)(metric)


def test_replacing_forgets_the_series_that_vanished():
    metrics = Metrics()
    metrics.replace(catalog.REPLICAS, [({"model": "m", "state": "serving"}, 2)])
    metrics.replace(catalog.REPLICAS, [({"state": "standby", "model": "m"}, 1)])

    assert metrics.samples(5.0) == [
        Sample("warmfront_replicas", {"model": "m", "state": "standby"}, 5.0, 1.0)
    ]


def test_replacing_with_other_labels_changes_nothing():
    metrics = Metrics()
    metrics.replace(catalog.REPLICAS, [({"model": "m", "state": "serving"}, 2)])

    with pytest.raises(ValueError, match=r"has the labels \['model', 'state'\], got \['model'\]"):
        metrics.replace(catalog.REPLICAS, [({"model": "m"}, 1)])
    assert [sample.value for sample in metrics.samples(5.0)] == [2]


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        pytest.param("", "text/plain; version=0.0.4", "\n", id="text"),
        pytest.param("text/html,*/*;q=0.1", "text/plain; version=0.0.4", "\n", id="a browser"),
        pytest.param(
            "application/openmetrics-text; version=1.0.0",
            "application/openmetrics-text; version=1.0.0",
            "# EOF\n",
            id="OpenMetrics",
        ),
    ],
)
def test_the_page_is_in_the_format_that_was_asked_for(accept, content_type, end):
    metrics = Metrics()
    metrics.counter(catalog.GATEWAY_KEEPALIVES).labels("tiny").inc()
    page, said = metrics.render(accept)

    assert said.startswith(content_type)
    assert page.decode().endswith(end)
    assert 'warmfront_gateway_keepalives_total{model="tiny"} 1.0' in page.decode()


# --- parsing --------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_a_page_reads_back_as_what_was_published(accept):
    metrics = Metrics()
    metrics.gauge(catalog.REPLICAS).labels("m", 'a"b\\c\nd}{,=\u2028é #').set(-1.5e-9)
    metrics.histogram(catalog.AUTOSCALER_TICK).observe(0.2)
    metrics.counter(catalog.STORE_ERRORS).inc()

    assert parsed(metrics.render(accept)[0].decode()) == metrics.samples(1.0)


def test_labels_are_added_only_where_absent():
    (sample,) = parse_page('m{job="own"} 1', at=2.0, extra_labels={"job": "j", "instance": "i"})

    assert sample == Sample("m", {"job": "own", "instance": "i"}, 2.0, 1.0)


def test_only_names_with_a_prefix_are_kept_and_looked_at():
    text = "warmfront_a 1\npython_info{ 2\ngen_ai_b 3\n"

    assert [s.name for s in parsed(text, prefixes=("warmfront_", "gen_ai_"))] == [
        "warmfront_a",
        "gen_ai_b",
    ]


def test_a_counter_under_a_device_name_keeps_it():
    text = "# TYPE DCGM_FI_DEV_PCIE_REPLAY_COUNTER counter\nDCGM_FI_DEV_PCIE_REPLAY_COUNTER 3\n"

    assert parsed(text) == [Sample("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", {}, 1.0, 3.0)]


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        pytest.param("m 1", Sample("m", {}, 1.0, 1.0), id="bare"),
        pytest.param("  m\t 1 \r", Sample("m", {}, 1.0, 1.0), id="spaces"),
        pytest.param('m {a="b",} 1', Sample("m", {"a": "b"}, 1.0, 1.0), id="comma"),
        pytest.param("m{} 1", Sample("m", {}, 1.0, 1.0), id="empty braces"),
        pytest.param('m{ a = "b" }1', Sample("m", {"a": "b"}, 1.0, 1.0), id="loose"),
        pytest.param("m 1 1700000000000", Sample("m", {}, 1.0, 1.0), id="timestamp"),
        pytest.param(
            'm{a="b"} 1 # {trace_id="x"} 0.5', Sample("m", {"a": "b"}, 1.0, 1.0), id="exemplar"
        ),
        pytest.param("m -Inf", Sample("m", {}, 1.0, -math.inf), id="infinity"),
        pytest.param("m 1e3", Sample("m", {}, 1.0, 1000.0), id="exponent"),
    ],
)
def test_a_line_may_be_written_in_several_ways(line, sample):
    assert parsed(line) == [sample]


def test_comments_blanks_and_creation_times_are_no_samples():
    assert parsed("# HELP m M.\n\n# a comment\nm_created 1.7e9\n# EOF\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "<html>", "m", "m{", 'm{a="b" 1', "m one", "m 1_000", "m{a=b} 1", 'm{a="1",a="2"} 1',
        "1m 2", "m1", "m 1 2 3", "m 1 soon",
        'm{0a="b"} 1', "{} 1", 'm{a="b"} ', "m 0x10", 'm{"} 1', "\x00",
    ],
)  # fmt: skip
def test_what_is_no_page_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the parser has its own words for some
        parsed(text)


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from('m1{}"\\=, \tn.e_é\n'), max_size=40))
def test_any_text_is_read_as_the_reference_parser_does_or_refused(text):
    try:
        ours = parsed(text)
    except ValueError:
        return
    reference = [s for f in text_string_to_metric_families(text) for s in f.samples]

    assert [(s.name, s.labels) for s in ours] == [
        (s.name, s.labels) for s in reference if not s.name.endswith("_created")
    ]
