import json

import pytest

from inference.gateway.rollout.evidence import VersionEvidence
from inference.gateway.rollout.file import RolloutFile
from inference.gateway.rollout.latencies import Latencies
from inference.gateway.rollout.plan import Strategy
from inference.gateway.rollout.rollout import Move, Phase, State
from inference.gateway.rollout.running import Kept
from inference.gateway.rollout.verdict import Reason, measure
from tests.inference.gateway.rollout.conftest import PROBES, evidence_of, plan_of, seen

NUMBERS = measure(plan_of(), evidence_of(seen(10), seen(10, 1)))
KEPT = Kept(
    plan=plan_of(strategy=Strategy.CANARY, probes=PROBES, max_ttft_ratio=None),
    state=State(5.0, Phase.SHIFTING, 1, Reason.TOO_EARLY, 7.0, is_paused=True),
    stable=VersionEvidence(3, 1, Latencies({400: 2})),
    moves=(Move(5.0, Phase.SHIFTING, 1, 0.5, Reason.HEALTHY, NUMBERS),),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "rollouts.json"


def test_what_is_written_is_read_again(path):
    RolloutFile(path).write([KEPT])

    assert RolloutFile(path).read() == (KEPT,)
    assert list(path.parent.iterdir()) == [path]


def test_no_file_is_no_rollouts(path):
    assert RolloutFile(path).read() == ()


def test_a_half_written_draft_is_never_read(path):
    RolloutFile(path).write([KEPT])
    path.with_name(".rollouts.json.tmp").write_text('{"format": 1, "roll')

    assert RolloutFile(path).read() == (KEPT,)


def spoilt(change):
    def apply(text):
        page = json.loads(text)
        change(page)
        return json.dumps(page)

    return apply


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda text: text[:-20], id="cut off"),
        pytest.param(lambda text: "", id="empty"),
        pytest.param(spoilt(lambda page: page.update(format=2)), id="of another format"),
        pytest.param(
            spoilt(lambda page: page["rollouts"][0]["state"].update(step=7)), id="no such step"
        ),
        pytest.param(
            spoilt(lambda page: page["rollouts"].append(page["rollouts"][0])), id="one twice"
        ),
        pytest.param(
            spoilt(lambda page: page["rollouts"][0]["plan"].update(canary="v1")), id="no plan"
        ),
    ],
)
def test_a_file_that_makes_no_sense_is_set_aside(path, spoil):
    RolloutFile(path).write([KEPT])
    path.write_text(spoil(path.read_text()))

    assert RolloutFile(path).read() == ()
    assert not path.exists()
    assert path.with_name("rollouts.json.broken").exists()
