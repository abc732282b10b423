from autoscaler.explain import explain, listing
from autoscaler.ledger import Entry
from autoscaler.plan import Reason

ENTRY = Entry(
    at=1_790_000_000.0,
    model="tiny",
    serving=3,
    standby=1,
    reason=Reason.DEMAND_FORECAST,
    numbers={"demand": 4.2, "backlog": 0.0, "capacity": 5.0, "lead_wake": 0.25},
    fleet={"serving": 2, "starting": 1},
    sentence="3 serving and 1 on standby (now 2 serving): because.",
)


def test_a_decision_is_told_with_its_time_reason_sentence_and_numbers():
    lines = explain(ENTRY).split("\n")

    assert lines[0] == "2026-09-21 14:13:20 UTC  tiny  [demand_forecast]"
    assert lines[1] == "3 serving and 1 on standby (now 2 serving): because."
    assert _number(lines, "now") == "4.2 req/s"
    assert _number(lines, "wakes within") == "0.25 s"


def test_what_was_not_known_is_said_to_be_unknown():
    assert _number(explain(ENTRY).split("\n"), "starts within") == "unknown"


def test_decisions_are_listed_one_a_line():
    header, line = listing([ENTRY]).split("\n")

    assert header.split() == ["time", "(UTC)", "serving", "standby", "req/s", "reason"]
    assert line.split("  ")[0] == "2026-09-21 14:13:20"
    assert "2 -> 3" in line
    assert "0 -> 1" in line
    assert line.endswith("4.2  demand_forecast")


def _number(lines, label):
    (line,) = [line for line in lines if line.startswith(f"  {label} ")]
    return line.removeprefix(f"  {label} ").strip()
