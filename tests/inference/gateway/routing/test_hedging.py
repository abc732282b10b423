import pytest

from inference.gateway.routing.hedging import HedgeSettings, Hedging

ON = HedgeSettings(is_on=True, share=0.05)


def seen(times, settings=ON, *, streams=True):
    hedging = Hedging(settings)
    for seconds in times:
        hedging.observe("tiny", streams=streams, seconds=seconds)
    return hedging


def test_a_first_byte_is_late_beyond_the_p95_of_recent_ones():
    hedging = seen(range(1, 101))

    assert hedging.delay("tiny", streams=True) == 92  # as of the 96th, the last renewal


@pytest.mark.parametrize(("number", "is_known"), [(63, False), (64, True)])
def test_what_is_late_is_unknown_until_enough_was_seen(number, is_known):
    assert (seen([1.0] * number).delay("tiny", streams=True) is not None) is is_known


def test_streams_and_whole_answers_have_times_of_their_own():
    hedging = seen([1.0] * 64, streams=True)

    assert hedging.delay("tiny", streams=False) is None
    assert hedging.delay("other", streams=True) is None


def test_old_times_give_way():
    assert seen([100.0] * 300 + [1.0] * 256).delay("tiny", streams=True) == 1.0


def test_it_is_off_by_default():
    hedging = seen([1.0] * 200, settings=None)

    assert hedging.delay("tiny", streams=True) is None
    assert not hedging.may_hedge("tiny")


def test_hedges_are_a_share_of_the_requests():
    hedging = seen([1.0] * 80, HedgeSettings(is_on=True, share=1 / 16))

    assert [hedging.may_hedge("tiny") for _ in range(6)] == [True] * 5 + [False]
    assert not hedging.may_hedge("other")


def test_a_quiet_time_saves_up_no_storm():
    hedging = seen([1.0] * 100_000)

    assert sum(hedging.may_hedge("tiny") for _ in range(100)) == 10


@pytest.mark.parametrize("setting", ["share", "quantile"])
def test_settings_that_make_no_sense_are_refused(setting):
    with pytest.raises(ValueError, match=f"hedge_{setting} must be from 0 to 1, got 2"):
        HedgeSettings(**{setting: 2.0})
