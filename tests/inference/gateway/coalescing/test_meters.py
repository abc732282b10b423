from inference.gateway.coalescing.meters import CoalescingMeters
from inference.gateway.coalescing.seat import Source
from inference.gateway.timeline import Usage
from telemetry.publish import Metrics


def values(metrics):
    return {(one.name, one.labels.get("source")): one.value for one in metrics.samples(0.0)}


def test_a_model_has_its_series_before_anything_is_shared():
    metrics = Metrics()
    CoalescingMeters(metrics).introduce("m")

    counted = values(metrics)
    assert counted["warmfront_gateway_coalesced_total", "flight"] == 0
    assert counted["warmfront_gateway_saved_tokens_total", "cache"] == 0
    assert ("warmfront_gateway_coalesced_total", "own") not in counted


def test_what_is_shared_is_counted_with_the_tokens_that_it_saves():
    metrics = Metrics()
    meters = CoalescingMeters(metrics)
    meters.shared("m", Source.CACHE, Usage(5, 7))
    meters.shared("m", Source.CACHE, None)
    meters.cached(123)

    counted = values(metrics)
    assert counted["warmfront_gateway_coalesced_total", "cache"] == 2
    assert counted["warmfront_gateway_saved_tokens_total", "cache"] == 12
    assert counted["warmfront_gateway_cache_bytes", None] == 123
