import pytest

from autoscaler.observation import Fleet, Replica
from autoscaler.plan import Plan, Policy, Reason, Wanted, sentence
from telemetry.lifecycle import ReplicaState

NUMBERS = {
    "demand": 4.0,
    "backlog": 3.0,
    "forecast_soon": 11.2,
    "forecast_later": 12.9,
    "quantile": 0.95,
    "capacity": 5.0,
    "per_replica": 4.0,
    "utilisation": 0.8,
    "minimum": 1.0,
    "maximum": 4.0,
    "hold_seconds": 120.0,
    "wanted_serving": 2.0,
    "wanted_ready": 3.0,
    "held_serving": 5.0,
    "held_ready": 6.0,
}


def plan(reason, numbers=NUMBERS):
    return Plan(0.0, "m", serving=3, standby=1, reason=reason, numbers=numbers)


def test_the_sentence_says_what_is_wanted_what_there_is_and_why():
    fleet = Fleet((Replica("a", ReplicaState.SERVING, 0.0, 1, None),))

    assert sentence(plan(Reason.DEMAND_FORECAST), fleet) == (
        "3 serving and 1 on standby (now 1 serving): up to 11.2 req/s are forecast until a "
        "replica can wake, 12.9 until one can start (quantile 0.95), and one replica is "
        "planned to take 4 req/s."
    )


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("numbers", [NUMBERS, {}], ids=["all known", "nothing known"])
def test_every_reason_makes_a_sentence_even_where_numbers_are_unknown(reason, numbers):
    said = sentence(plan(reason, numbers), Fleet())

    assert said.startswith("3 serving and 1 on standby (now 0 serving): ")
    assert said.endswith(".")


@pytest.mark.parametrize(
    "fields",
    [
        {"minimum": -1},
        {"minimum": 5, "maximum": 4},
        {"minimum": 0, "maximum": 0},
        {"standby": -1},
        {"quantile": 1.0},
        {"utilisation": 0.0},
        {"hold_seconds": -1.0},
        {"tick_seconds": 0.0},
        {"backlog_seconds": 0.0},
    ],
    ids=str,
)
def test_a_policy_that_cannot_be_kept_is_refused(fields):
    with pytest.raises(ValueError, match="expected"):
        Policy(**fields)


def test_raising_keeps_the_reason_where_nothing_is_raised():
    wanted = Wanted(0.0, 2, 3, Reason.DEMAND_FORECAST)

    assert wanted.raised(2, 3, Reason.FLOOR) is wanted
    assert wanted.raised(4, 0, Reason.FLOOR) == Wanted(0.0, 4, 4, Reason.FLOOR)
