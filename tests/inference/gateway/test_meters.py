import shutil
import subprocess
from functools import partial

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from inference.gateway.completion import Operation
from inference.gateway.meters import Meters
from inference.gateway.objectives import Objective, Objectives
from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Outcome, Phase, Stage, Timeline
from telemetry import catalog
from telemetry.catalog import CATALOG
from telemetry.publish import Metrics
from tests.inference.gateway.exchanges import exchange

TRACE = "0af7651916cd43dd8448eb211c80319c"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def meters(metrics):
    made = Meters(metrics, objectives=Objectives())
    made.introduce("tiny")
    return made


@pytest.fixture
def value(metrics):
    """Look up one series by its family and the values of its labels."""

    def look_up(metric, *labels, end=""):
        for one in metrics.samples(0.0):
            if one.name == metric.name + end and tuple(one.labels.values()) == labels:
                return one.value
        return None

    return look_up


# --- from the start -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        (catalog.GATEWAY_ARRIVALS, [(priority.value, "") for priority in Priority]),
        (catalog.GATEWAY_IN_FLIGHT, [()]),
        (catalog.GATEWAY_COLD_START_HITS, [()]),
        (catalog.GATEWAY_INPUT_TOKENS, [()]),
        (catalog.GATEWAY_OUTPUT_TOKENS, [()]),
        (catalog.GATEWAY_KEEPALIVES, [()]),
        (catalog.GATEWAY_REQUESTS, [("200",), ("429",), ("499",), ("502",), ("503",)]),
        (catalog.GATEWAY_RETRIES, [("busy",), ("refused",), ("lost",)]),
        (catalog.GATEWAY_HEDGES, [("won",), ("lost",), ("failed",), ("denied",)]),
        (catalog.GATEWAY_DISCONNECTS, [(phase.value,) for phase in Phase]),
        (
            catalog.GATEWAY_OBJECTIVES,
            [
                (priority.value, target, result)
                for priority in Priority
                for target in ("ttft", "tpot")
                for result in ("met", "missed")
            ],
        ),
    ],
    ids=lambda one: one.name if hasattr(one, "name") else "",
)
def test_counts_of_a_known_model_exist_from_the_start_at_zero(meters, value, metric, labels):
    assert [value(metric, "tiny", *one) for one in labels] == [0] * len(labels)


def test_latencies_of_a_known_model_exist_from_the_start_at_zero(meters, value):
    count = partial(value, end="_count")
    for operation in ("chat", "text_completion"):
        labels = ("tiny", operation, "warmfront")
        assert count(catalog.TIME_TO_FIRST_TOKEN, *labels) == 0
        assert count(catalog.TIME_PER_OUTPUT_TOKEN, *labels) == 0
        for outcome in Outcome:
            assert count(catalog.REQUEST_DURATION, *labels, outcome.value) == 0
    assert count(catalog.INTER_TOKEN_LATENCY, "tiny") == 0
    for stage in Stage:
        assert count(catalog.GATEWAY_STAGE, "tiny", stage.value) == 0


def test_drains_are_told_from_the_start(meters, value):
    assert value(catalog.GATEWAY_DRAINED, "finished") == 0
    assert value(catalog.GATEWAY_DRAINED, "killed") == 0


def test_finishing_adds_no_series_that_was_not_there(metrics, meters):
    meters.introduce_tenant("acme")
    before = {(one.name, *one.labels.values()) for one in metrics.samples(0.0)}
    meters.finished(exchange(), was_short=False)

    assert {(one.name, *one.labels.values()) for one in metrics.samples(0.0)} == before


# --- as requests come and go ----------------------------------------------------------------


def test_an_answered_request_is_counted_once_everywhere(meters, value):
    meters.arrived("tiny", Priority.STANDARD)
    meters.finished(exchange(), was_short=True)

    assert value(catalog.GATEWAY_ARRIVALS, "tiny", "standard", "") == 1
    assert value(catalog.GATEWAY_REQUESTS, "tiny", "200") == 1
    assert value(catalog.GATEWAY_INPUT_TOKENS, "tiny") == 5
    assert value(catalog.GATEWAY_OUTPUT_TOKENS, "tiny") == 10
    assert value(catalog.TENANT_REQUESTS, "acme", "answered") == 1
    assert value(catalog.GATEWAY_OBJECTIVES, "tiny", "standard", "ttft", "met") == 1
    assert value(catalog.GATEWAY_OBJECTIVES, "tiny", "standard", "tpot", "met") == 1
    assert value(catalog.GATEWAY_COLD_START_HITS, "tiny") == 0


def test_embeddings_have_series_of_their_own_once_they_are_asked_for(meters, value):
    meters.finished(exchange(operation=Operation.EMBEDDINGS), was_short=False)

    labels = ("tiny", "embeddings", "warmfront", "")
    assert value(catalog.REQUEST_DURATION, *labels, end="_count") == 1


def test_requests_in_flight_are_those_that_were_not_left_yet(meters, value):
    with meters.in_flight("tiny"), meters.in_flight("tiny"):
        assert value(catalog.GATEWAY_IN_FLIGHT, "tiny") == 2
    assert value(catalog.GATEWAY_IN_FLIGHT, "tiny") == 0


@pytest.mark.parametrize(
    ("priority", "objective"), [(Priority.INTERACTIVE, "missed"), (Priority.BATCH, "met")]
)
def test_each_class_is_held_against_its_own_objective(metrics, value, priority, objective):
    objectives = Objectives(interactive=Objective(0.4), batch=Objective(0.6))
    meters = Meters(metrics, objectives=objectives)
    meters.finished(exchange(priority=priority), was_short=False)

    assert value(catalog.GATEWAY_OBJECTIVES, "tiny", priority.value, "ttft", objective) == 1


@pytest.mark.parametrize(
    ("flushed", "outcome", "was_short", "hits"),
    [
        pytest.param(4.1, Outcome.DISCONNECTED, True, 1, id="late while capacity started"),
        pytest.param(3.9, Outcome.DISCONNECTED, True, 0, id="in time"),
        pytest.param(9.0, Outcome.DISCONNECTED, False, 0, id="late, and nothing started"),
        pytest.param(0.1, Outcome.NO_REPLICA, True, 1, id="turned away at once"),
        pytest.param(0.1, Outcome.NO_REPLICA, False, 0, id="turned away, and nothing started"),
    ],
)
def test_a_cold_start_hit_is_a_miss_while_capacity_was_starting(
    meters, value, *, flushed, outcome, was_short, hits
):
    ended = exchange(Timeline(0.0, flushed=flushed), outcome=outcome, status=503)
    meters.finished(ended, was_short=was_short)

    assert value(catalog.GATEWAY_COLD_START_HITS, "tiny") == hits


@pytest.mark.parametrize("phase", list(Phase), ids=str)
def test_a_client_that_leaves_is_counted_by_how_far_its_request_had_come(meters, value, phase):
    timeline = Timeline(0.0, queued=0.1, flushed=1.0)
    if phase is not Phase.IN_LINE:
        timeline.sent = 0.2
    if phase is Phase.AFTER_FIRST_TOKEN:
        timeline.token_arrived(0.3)
    meters.finished(exchange(timeline, outcome=Outcome.DISCONNECTED, status=499), was_short=False)

    assert {one: value(catalog.GATEWAY_DISCONNECTS, "tiny", one.value) for one in Phase} == {
        one: int(one is phase) for one in Phase
    }
    assert value(catalog.GATEWAY_REQUESTS, "tiny", "499") == 1


def test_what_happens_on_the_way_is_counted(meters, value):
    meters.retried("tiny", "lost")
    meters.hedged("tiny", "won")
    meters.kept_alive("tiny")
    meters.drained(finished=3, killed=1)

    assert value(catalog.GATEWAY_RETRIES, "tiny", "lost") == 1
    assert value(catalog.GATEWAY_HEDGES, "tiny", "won") == 1
    assert value(catalog.GATEWAY_KEEPALIVES, "tiny") == 1
    assert value(catalog.GATEWAY_DRAINED, "finished") == 3
    assert value(catalog.GATEWAY_DRAINED, "killed") == 1


def test_one_that_names_no_known_model_makes_no_series_of_its_own(meters, value):
    meters.refused(404, "acme")
    meters.refused(401)

    assert value(catalog.GATEWAY_REQUESTS, "other", "404") == 1
    assert value(catalog.GATEWAY_REQUESTS, "other", "401") == 1
    assert value(catalog.TENANT_REQUESTS, "acme", "rejected") == 1


# --- as others read the page ----------------------------------------------------------------


def populate(meters):
    """Let everything happen once; one request is sampled."""
    meters.finished(exchange(), was_short=False, exemplar={"trace_id": TRACE})
    for outcome in Outcome:
        meters.finished(exchange(outcome=outcome, status=503), was_short=True)
    meters.gaps("tiny", {"trace_id": TRACE})(0.02)
    meters.refused(404, "acme")
    meters.drained(finished=3, killed=1)


def test_open_metrics_lead_from_every_latency_to_a_trace(metrics, meters):
    populate(meters)
    body, content_type = metrics.render(OPEN_METRICS)
    traced = {
        family.name
        for family in text_string_to_metric_families(body.decode())
        for one in family.samples
        if one.exemplar and one.exemplar.labels == {"trace_id": TRACE}
    }

    assert content_type.startswith("application/openmetrics-text")
    assert traced == {
        name
        for name, metric in CATALOG.items()
        if metric.kind == "histogram" and name.startswith(("gen_ai", "warmfront_gateway"))
    }


def test_the_usual_page_has_no_exemplars(metrics, meters):
    populate(meters)

    assert TRACE not in metrics.render("text/plain")[0].decode()


@pytest.mark.prometheus
def test_promtool_finds_no_fault_with_the_page(metrics, meters):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool")
    populate(meters)
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=metrics.render()[0],
        capture_output=True,
        check=False,
        timeout=20,
    )

    assert checked.stderr.decode() == ""
    assert checked.returncode == 0
