"""What the console is fed besides the store: forecast, decisions, fleet and anomalies as rows."""

from collections.abc import Mapping
from typing import Any

from alerts.anomaly.anomaly import Anomaly
from alerts.anomaly.service import AnomalyService
from autoscaler.ledger import Entry, Ledger
from autoscaler.observation import Replica
from autoscaler.targets.local import LocalTarget
from dashboards.console.feeds import Feeds
from forecaster.live.service import ForecastService
from warmfront.decisions import changes

_LOOKED_THROUGH = 600  # entries of the ledger, for those that changed something


def feeds(
    forecasts: ForecastService, anomalies: AnomalyService, target: LocalTarget, ledger: Ledger
) -> Feeds:
    """Join the console to the parts that know."""
    return Feeds(
        forecast=forecasts.latest,
        decisions=lambda count: _decisions(ledger, count),
        fleet=lambda: [_replica_row(replica) for replica in target.fleet.replicas],
        anomalies=lambda: [_anomaly_row(one) for one in anomalies.latest() if one.active],
    )


def _decisions(ledger: Ledger, count: int) -> list[Mapping[str, Any]]:
    """Return the newest decisions that changed something, newest first."""
    newest = changes(ledger.last(_LOOKED_THROUGH))[-count:]
    return [_decision_row(entry) for entry in reversed(newest)]


def _decision_row(entry: Entry) -> Mapping[str, Any]:
    return {
        "at": entry.at,
        "reason": entry.reason.value,
        "sentence": entry.sentence,
        "serving": entry.serving,
        "standby": entry.standby,
        "numbers": entry.numbers,
    }


def _replica_row(replica: Replica) -> Mapping[str, Any]:
    return {
        "id": replica.id,
        "state": replica.state.value,
        "since": replica.since,
        "pid": replica.pid,
        "in_flight": replica.in_flight,
        "waiting": replica.waiting,
    }


def _anomaly_row(anomaly: Anomaly) -> Mapping[str, Any]:
    return {
        "at": anomaly.at if anomaly.since is None else anomaly.since,
        "signal": anomaly.signal,
        "sentence": (
            f"{anomaly.signal} is {anomaly.value:.3g} where {anomaly.low:.3g} to "
            f"{anomaly.high:.3g} is normal"
        ),
        "until": None,
    }
