import pytest

from inference.gateway.routing.shortage import Shortage


def short_between(begun, ended):
    shortage = Shortage()
    shortage.note(is_short=False, now=0.0)
    shortage.note(is_short=True, now=begun)
    shortage.note(is_short=False, now=ended)
    return shortage


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        pytest.param(0.0, 9.9, False, id="before"),
        pytest.param(0.0, 10.0, True, id="until it begins"),
        pytest.param(12.0, 13.0, True, id="within"),
        pytest.param(5.0, 30.0, True, id="around"),
        pytest.param(20.0, 30.0, True, id="from its end"),
        pytest.param(20.1, 30.0, False, id="after"),
    ],
)
def test_a_past_shortage_touches_only_waits_that_overlap_it(since, until, expected):
    assert short_between(10.0, 20.0).overlaps(since, until) is expected


def test_a_lasting_shortage_touches_every_wait_that_ends_after_it_began():
    shortage = Shortage()
    shortage.note(is_short=True, now=10.0)

    assert shortage.overlaps(50.0, 60.0)
    assert not shortage.overlaps(0.0, 9.0)


def test_an_earlier_shortage_is_not_forgotten_for_a_later_one():
    shortage = short_between(10.0, 20.0)
    shortage.note(is_short=True, now=100.0)

    assert shortage.overlaps(15.0, 16.0)
    assert not shortage.overlaps(30.0, 40.0)


def test_never_short_is_never_short():
    assert not Shortage().overlaps(0.0, 100.0)
