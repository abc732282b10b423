import pytest

from inference.gateway.latency_meters import PROVIDER, LatencyMeters
from inference.gateway.timeline import Outcome, Stage, Timeline
from telemetry import catalog
from telemetry.publish import Metrics
from tests.inference.gateway.exchanges import answered_timeline


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def meters(metrics):
    return LatencyMeters(metrics)


def counts(metrics, metric):
    """Return the observations of a family, by the values of its labels."""
    return {
        tuple(one.labels.values()): one.value
        for one in metrics.samples(0.0)
        if one.name == f"{metric.name}_count" and one.value
    }


def exemplars(metrics, metric):
    return [
        one.exemplar
        for family in metrics.families()
        for one in family.samples
        if one.name == f"{metric.name}_bucket" and one.exemplar
    ]


def test_an_answer_is_observed_under_the_labels_of_the_conventions(metrics, meters):
    meters.finished("tiny", "chat", answered_timeline(), Outcome.ANSWERED)
    labels = ("tiny", "chat", PROVIDER)

    assert counts(metrics, catalog.TIME_TO_FIRST_TOKEN) == {labels: 1}
    assert counts(metrics, catalog.TIME_PER_OUTPUT_TOKEN) == {labels: 1}
    assert counts(metrics, catalog.REQUEST_DURATION) == {(*labels, ""): 1}
    assert counts(metrics, catalog.GATEWAY_STAGE) == {
        ("tiny", stage.value): 1 for stage in Stage if stage is not Stage.ENCODE
    }


def test_of_what_failed_only_the_duration_is_known(metrics, meters):
    meters.finished("tiny", "chat", answered_timeline(), Outcome.REPLICA_LOST)

    assert counts(metrics, catalog.REQUEST_DURATION) == {
        ("tiny", "chat", PROVIDER, "replica_lost"): 1
    }
    assert counts(metrics, catalog.TIME_TO_FIRST_TOKEN) == {}
    assert counts(metrics, catalog.GATEWAY_STAGE) == {}


def test_one_that_got_anothers_answer_has_latencies_but_no_stages(metrics, meters):
    shared = Timeline(0.0, first_token=0.3, last_token=0.5, flushed=0.6)
    meters.finished("tiny", "chat", shared, Outcome.ANSWERED)

    assert counts(metrics, catalog.TIME_TO_FIRST_TOKEN) == {("tiny", "chat", PROVIDER): 1}
    assert counts(metrics, catalog.GATEWAY_STAGE) == {}


def test_a_sampled_request_leaves_its_trace_at_every_latency(metrics, meters):
    exemplar = {"trace_id": "0af7651916cd43dd8448eb211c80319c"}
    meters.finished("tiny", "chat", answered_timeline(), Outcome.ANSWERED, exemplar)
    meters.gaps("tiny", exemplar)(0.02)

    for metric in (
        catalog.REQUEST_DURATION, catalog.TIME_TO_FIRST_TOKEN, catalog.TIME_PER_OUTPUT_TOKEN,
        catalog.GATEWAY_STAGE, catalog.INTER_TOKEN_LATENCY,
    ):  # fmt: skip
        found = exemplars(metrics, metric)
        assert found
        assert all(one.labels == exemplar for one in found)


def test_of_a_streams_gaps_those_longer_than_all_before_show_their_trace(metrics, meters):
    observe = meters.gaps("tiny", {"trace_id": "1"})
    for gap in (0.02, 0.002, 0.5, 0.03):
        observe(gap)

    assert counts(metrics, catalog.INTER_TOKEN_LATENCY) == {("tiny",): 4}
    assert [one.value for one in exemplars(metrics, catalog.INTER_TOKEN_LATENCY)] == [0.02, 0.5]


def test_one_that_is_not_sampled_leaves_none(metrics, meters):
    meters.finished("tiny", "chat", answered_timeline(), Outcome.ANSWERED)
    meters.gaps("tiny")(0.02)

    assert exemplars(metrics, catalog.REQUEST_DURATION) == []
    assert exemplars(metrics, catalog.INTER_TOKEN_LATENCY) == []
