from inference.gateway.tenancy.meters import Refusal, TenancyMeters
from telemetry.publish import Metrics


def test_refusals_are_there_from_the_start():
    metrics = Metrics()
    TenancyMeters(metrics).refused(Refusal.UNKNOWN)
    counts = {
        one.labels["reason"]: one.value
        for one in metrics.samples(0.0)
        if one.name == "warmfront_gateway_unauthorized_total"
    }

    assert counts == {"missing": 0, "unknown": 1, "expired": 0, "revoked": 0, "scope": 0}
