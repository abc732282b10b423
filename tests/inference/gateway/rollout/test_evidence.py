from inference.gateway.rollout.evidence import ProbeRound, Tally, VersionEvidence
from tests.inference.gateway.rollout.conftest import DROPPED, PASSED, seen


def test_a_tally_counts_requests_failures_and_first_tokens():
    tally = Tally()
    tally.count(ttft=0.1, failed=False)
    tally.count(ttft=None, failed=True)
    tally.count(ttft=0.2, failed=True)  # it broke off later
    told = tally.evidence()

    assert (told.requests, told.failures, told.ttft.count) == (3, 2, 2)


def test_a_tally_goes_on_from_what_was_kept():
    tally = Tally.of(seen(10, 2))
    tally.count(ttft=None, failed=True)

    assert tally.evidence().failures == 3
    assert tally.evidence().requests == 11


def test_a_snapshot_does_not_change_afterwards():
    tally = Tally()
    before = tally.evidence()
    tally.count(ttft=0.1, failed=False)

    assert before == VersionEvidence()


def test_nothing_seen_has_no_share_of_failures():
    assert VersionEvidence().failed_share is None
    assert seen(10, 1).failed_share == 0.1


def test_quality_is_of_the_probes_that_both_answered():
    assert PASSED.qualities == (1.0, 1.0)
    assert DROPPED.qualities == (1.0, 0.5)
    assert ProbeRound((True, False, None), (None, True, False)).qualities == (0.0, 1.0)
    assert ProbeRound((True,), (None,)).qualities is None
