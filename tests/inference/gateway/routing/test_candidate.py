import pytest

from inference.gateway.routing.candidate import load_of
from tests.inference.gateway.routing.replicas import candidate, load, page, record


def told(one, **fields):
    one.take_load(load(**fields), at=0.0, fresh_until=2.0)
    return one


@pytest.mark.parametrize(
    ("running", "waiting", "others"),
    [
        pytest.param(3, 0, 0, id="all ours"),
        pytest.param(3, 2, 2, id="two of somebody else"),
        pytest.param(1, 0, 0, id="ours that it has not seen yet"),
    ],
)
def test_what_is_not_ours_is_others(running, waiting, others):
    one = candidate(in_flight=3)
    one.asked()

    assert told(one, running=running, waiting=waiting).others == others


def test_what_was_in_flight_at_any_moment_of_the_asking_may_be_on_the_page():
    one = candidate(in_flight=3)
    one.asked()
    with one.sending(2, tokens=0):
        pass

    assert told(one, running=6).others == 1


def test_a_prompt_counts_from_its_sending_to_its_end_or_to_the_next_asking():
    one = candidate()
    with one.sending(1, tokens=700):
        assert (one.in_flight, one.sent_tokens) == (1, 700)
    assert (one.in_flight, one.sent_tokens) == (0, 0)
    with one.sending(1, tokens=700):
        one.asked()
        assert (one.in_flight, one.sent_tokens) == (1, 0)
    assert (one.in_flight, one.sent_tokens) == (0, 0)


def test_slots_of_the_page_count_and_a_few_are_spare():
    assert (told(candidate(), slots=32).limit, candidate(slots=0).limit) == (36, 2)


@pytest.mark.parametrize(
    ("modalities", "expected"),
    [({"text"}, False), ({"text", "image"}, True), (set(), True)],
    ids=["text only", "images too", "not told"],
)
def test_images_go_where_they_are_seen_or_nobody_knows(modalities, expected):
    assert told(candidate(), modalities=frozenset(modalities)).takes_images is expected


def test_a_load_that_is_forgotten_leaves_what_is_in_flight():
    one = told(candidate(in_flight=3), running=9, waiting_tokens=7, kv_usage=0.5, context=10)
    one.forget_load(float("inf"))

    assert (one.in_flight, one.others, one.waiting_tokens, one.kv_usage) == (3, 0, 0, 0.0)
    assert one.context == float("inf")
    assert one.loaded_at is None


def test_a_page_may_know_a_model_by_the_replicas_own_name():
    one = page("tiny", running=1)

    assert load_of(one, "alias", record(model="tiny")) == load(running=1)
    assert load_of(one, "alias", record(model="other")) is None
