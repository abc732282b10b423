from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.gateway.routing.choice import Reason
from inference.gateway.routing.score import View, Weights, pick, predicted_seconds, suited_to
from inference.gateway.routing.want import Want
from tests.inference.gateway.routing.replicas import QUICK, candidate

WEIGHTS = Weights()
WANT = Want("tiny", input_tokens=200, output_tokens=100)


def chosen(candidates, want=WANT, *, weights=WEIGHTS, rng=None, **view):
    """Return the id and the reason of the choice."""
    rng = rng or np.random.default_rng(0)
    choice = pick(
        candidates,
        want,
        View(now=0.0, **view),
        weights=weights,
        draw=lambda n: int(rng.integers(n)),
    )
    return choice and (choice.record.id, choice.reason)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        pytest.param([], None, id="nobody"),
        pytest.param([candidate("a")], ("a", Reason.ONLY), id="the only one"),
        pytest.param([candidate("a"), candidate("b")], ("a", Reason.LOAD), id="ties go by order"),
        pytest.param(
            [candidate("a", in_flight=1), candidate("b")], ("b", Reason.LOAD), id="in flight"
        ),
        pytest.param([candidate("a", others=1), candidate("b")], ("b", Reason.LOAD), id="others'"),
        pytest.param(
            [candidate("a", waiting_tokens=2000), candidate("b", in_flight=1, others=1)],
            ("b", Reason.LOAD),
            id="prompts that wait",
        ),
        pytest.param(
            [candidate("a", sent_tokens=2000), candidate("b", in_flight=1, others=1)],
            ("b", Reason.LOAD),
            id="prompts sent since",
        ),
        pytest.param(
            [candidate("a", slots=2, in_flight=2), candidate("b", slots=8, in_flight=3)],
            ("b", Reason.LOAD),
            id="room in the batch",
        ),
        pytest.param(
            [candidate("a", kv_usage=0.9), candidate("b", kv_usage=0.1)],
            ("b", Reason.LOAD),
            id="KV blocks",
        ),
        pytest.param(
            [
                candidate("a", iteration=replace(QUICK, fixed=0.1)),
                candidate("b", iteration=QUICK, in_flight=3),
            ],
            ("b", Reason.LOAD),
            id="speed",
        ),
    ],
)
def test_the_replica_with_the_shortest_prediction_is_chosen(candidates, expected):
    assert chosen(candidates) == expected


@pytest.mark.parametrize(
    ("in_flight", "choices", "has_room"),
    [
        pytest.param(8, 1, True, id="one is spare"),
        pytest.param(9, 1, False, id="full"),
        pytest.param(7, 2, True, id="two fit"),
        pytest.param(8, 2, False, id="two do not"),
        pytest.param(0, 50, True, id="more than it ever has, but it is idle"),
    ],
)
def test_a_replica_gets_no_more_than_its_slots_and_a_few_spare(in_flight, choices, has_room):
    one = chosen([candidate(in_flight=in_flight)], replace(WANT, choices=choices))

    assert (one is not None) is has_room


@pytest.mark.parametrize(
    ("want", "expected"),
    [
        pytest.param(replace(WANT, version="v2"), "new", id="version"),
        pytest.param(replace(WANT, version="v3"), None, id="no such version"),
        pytest.param(replace(WANT, has_images=True), "sees", id="images"),
        pytest.param(replace(WANT, input_tokens=3000), "long", id="context"),
        pytest.param(replace(WANT, input_tokens=10**6), "a", id="context of none: let it decide"),
        pytest.param(WANT.avoiding("a"), "long", id="one that has failed it"),
    ],
)
def test_only_what_can_serve_a_request_is_chosen(want, expected):
    candidates = [
        candidate("a", context=1024, takes_images=False),
        candidate("long", context=4096, takes_images=False),
        candidate("new", context=1024, takes_images=False, optional={"version": "v2"}),
        candidate("sees", context=1024),
    ]
    one = chosen(candidates, want)

    assert (one and one[0]) == expected


def test_a_version_that_is_not_asked_for_may_be_any():
    assert chosen([candidate(optional={"version": "v2"})]) == ("a", Reason.ONLY)


def test_a_replica_that_is_passed_over_is_not_chosen():
    candidates = [candidate("a"), candidate("b")]

    assert chosen(candidates, passed_over={"a"}) == ("b", Reason.ONLY)
    assert chosen(candidates, passed_over={"a", "b"}) is None


# --- Prefixes


def test_a_cached_prefix_is_worth_the_seconds_that_it_saves():
    want, cached = replace(WANT, input_tokens=4000), {hash("b"): 1.0}
    warm = [candidate("a"), candidate("b", in_flight=1, waiting_tokens=500, iteration=QUICK)]
    hot = [candidate("a"), candidate("b", in_flight=5, waiting_tokens=2000, iteration=QUICK)]

    assert chosen(warm, want) == ("a", Reason.LOAD)
    assert chosen(warm, want, cached=cached) == ("b", Reason.PREFIX)
    assert chosen(hot, want, cached=cached) == ("a", Reason.LOAD)


def test_a_prefix_does_not_starve_others_however_many_share_it():
    candidates = [candidate(name) for name in "abcd"]
    want = replace(WANT, input_tokens=1000)
    for _ in range(24):
        id_, _ = chosen(candidates, want, cached={hash("a"): 1.0})
        one = next(one for one in candidates if one.record.id == id_)
        one.in_flight += 1

    assert all(one.in_flight >= 4 for one in candidates)
    assert candidates[0].in_flight == max(one.in_flight for one in candidates)


def test_a_prefix_that_only_another_fleet_holds_decides_nothing():
    assert chosen([candidate("a"), candidate("b")], cached={1: 1.0}) == ("a", Reason.LOAD)


def test_a_cached_prefix_is_worth_more_where_more_would_wait_for_it():
    """What a cached prefix saves, it saves all that run beside it too."""
    want = Want("tiny", input_tokens=4000, output_tokens=1)
    alone, together = candidate(in_flight=0), candidate(in_flight=3)
    cold = [predicted_seconds(one, want, weights=WEIGHTS) for one in (alone, together)]
    warm = [predicted_seconds(one, want, 1.0, weights=WEIGHTS) for one in (alone, together)]

    assert cold[1] - warm[1] == pytest.approx(4 * (cold[0] - warm[0]))


# --- Sessions


@pytest.mark.parametrize(
    ("home", "expected"),
    [
        pytest.param(candidate("b", in_flight=7), ("b", Reason.SESSION), id="busy"),
        pytest.param(candidate("b", in_flight=9), ("a", Reason.ONLY), id="full"),
        pytest.param(
            candidate("b", in_flight=1, waiting_tokens=20_000), ("a", Reason.LOAD), id="hot"
        ),
        pytest.param(candidate("b", is_fresh=False), ("a", Reason.LOAD), id="stale"),
        pytest.param(candidate("b", distance=1.0), ("b", Reason.SESSION), id="far away"),
    ],
)
def test_a_conversation_stays_while_its_replica_has_room_and_is_no_hot_spot(home, expected):
    assert chosen([candidate("a"), home], home="b") == expected


def test_a_conversation_whose_replica_is_gone_goes_on_elsewhere():
    assert chosen([candidate("a"), candidate("c")], home="b") == ("a", Reason.LOAD)


# --- Regions


def test_the_nearest_region_serves_until_it_has_no_room():
    near = [candidate(name, in_flight=8) for name in "ab"]
    far, farther = candidate("c", distance=0.1), candidate("d", distance=0.2)
    fleet = [farther, far, *near]

    assert chosen(fleet) == ("a", Reason.LOAD)
    near[0].in_flight = near[1].in_flight = 9
    assert chosen(fleet) == ("c", Reason.SPILL)
    far.in_flight = 9
    assert chosen(fleet) == ("d", Reason.SPILL)


def test_a_far_replica_is_no_spill_where_no_near_one_could_serve():
    fleet = [candidate("a"), candidate("b", distance=0.1, optional={"version": "v2"})]

    assert chosen(fleet, replace(WANT, version="v2")) == ("b", Reason.ONLY)


# --- Devices


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [pytest.param(4095 - 100, "slice", id="short"), pytest.param(4096 - 100, "whole", id="long")],
)
def test_long_requests_go_to_whole_gpus_and_short_ones_to_parts(tokens, expected):
    fleet = [
        candidate("slice", optional={"device": "mig"}),
        candidate("whole", optional={"device": "gpu"}),
    ]

    assert chosen(fleet, replace(WANT, input_tokens=tokens))[0] == expected
    assert chosen(fleet[::-1], replace(WANT, input_tokens=tokens))[0] == expected


# --- Stale loads


def test_a_stale_load_means_saturated():
    assert chosen([candidate("a", is_fresh=False), candidate("b", in_flight=8)])[0] == "b"


def test_where_all_loads_are_stale_the_lesser_of_two_is_taken():
    fleet = [candidate(name, in_flight=n, is_fresh=False) for n, name in enumerate("abcd")]
    rng = np.random.default_rng(0)
    ids = {chosen(fleet, rng=rng) for _ in range(200)}

    assert ids == {(name, Reason.TWO_CHOICES) for name in "abc"}


def test_two_choices_keep_the_load_even():
    """The longest of n lines is log log n / log 2 + O(1) above the mean: Azar et al., 1994."""
    fleet = [candidate(str(n), slots=2000, is_fresh=False) for n in range(16)]
    by_id = {one.record.id: one for one in fleet}
    rng = np.random.default_rng(5)
    for _ in range(10_000):
        by_id[chosen(fleet, rng=rng)[0]].in_flight += 1

    loads = [one.in_flight for one in fleet]
    assert sum(loads) == 10_000
    assert max(loads) - 10_000 / 16 <= 4


def test_two_choices_compare_by_size():
    fleet = [
        candidate("small", slots=2, in_flight=2, is_fresh=False),
        candidate("large", slots=8, in_flight=4, is_fresh=False),
    ]
    rng = np.random.default_rng(0)

    assert {chosen(fleet, rng=rng)[0] for _ in range(20)} == {"large"}


# --- Rules that hold for any fleet

NAMES = st.sampled_from("abcdefgh")
CANDIDATES = st.lists(
    st.builds(
        candidate,
        NAMES,
        in_flight=st.integers(0, 12),
        distance=st.sampled_from([0.0, 0.1, 0.2]),
        is_fresh=st.booleans(),
        optional=st.fixed_dictionaries(
            {
                "version": st.sampled_from(["", "v2"]),
                "device": st.sampled_from(["", "cpu", "gpu", "mig"]),
            }
        ),
        slots=st.integers(1, 12),
        others=st.integers(0, 20),
        waiting_tokens=st.integers(0, 10_000),
        kv_usage=st.floats(0, 1),
        context=st.sampled_from([512, 4096, float("inf")]),
        takes_images=st.booleans(),
    ),
    unique_by=lambda one: one.record.id,
    max_size=8,
)
WANTS = st.builds(
    Want,
    st.just("tiny"),
    input_tokens=st.integers(0, 5000),
    output_tokens=st.integers(0, 500),
    choices=st.integers(1, 4),
    has_images=st.booleans(),
    version=st.sampled_from([None, "", "v2"]),
    avoid=st.frozensets(NAMES, max_size=3),
)
VIEWS = st.fixed_dictionaries(
    {
        "passed_over": st.frozensets(NAMES, max_size=3),
        "home": st.none() | NAMES,
        "cached": st.dictionaries(
            st.sampled_from([hash(name) for name in "abcdefgh"]), st.floats(0, 1)
        ),
    }
)


@settings(deadline=None)
@given(CANDIDATES, WANTS, VIEWS, st.integers(0, 9))
def test_what_is_chosen_could_serve_and_is_chosen_wherever_one_could(fleet, want, view, seed):
    one = chosen(fleet, want, rng=np.random.default_rng(seed), **view)
    right = [other for other in fleet if want.version in {None, other.record.version}]
    sees = any(other.takes_images for other in right)
    able = {
        other.record.id: other
        for other in right
        if (other.takes_images or not want.has_images or not sees)
        and (other.in_flight == 0 or other.in_flight + want.choices <= other.limit)
        and other.record.id not in want.avoid | view["passed_over"]
    }
    fits = any(want.tokens <= other.context for other in suited_to(fleet, want))
    if fits:
        able = {id_: other for id_, other in able.items() if want.tokens <= other.context}

    assert (one is not None) == bool(able)
    assert one is None or one[0] in able


@settings(deadline=None)
@given(CANDIDATES, WANTS, VIEWS)
def test_no_farther_region_is_chosen_while_a_nearer_one_has_room(fleet, want, view):
    one = chosen(fleet, want, **view)
    if one is None or one[1] is Reason.SESSION:
        return
    by_id = {other.record.id: other for other in fleet}
    shut = want.avoid | view["passed_over"]
    roomy = [
        other
        for other in suited_to(fleet, want)
        if other.has_room(want.choices) and other.record.id not in shut
    ]
    fresh = [other for other in roomy if other.fresh_until > 0] or roomy

    assert by_id[one[0]].distance == min(other.distance for other in fresh)
    assert (one[1] is Reason.SPILL) == any(
        other.distance < by_id[one[0]].distance for other in suited_to(fleet, want)
    )


@settings(deadline=None)
@given(CANDIDATES, WANTS, st.floats(0, 1))
def test_a_prediction_is_positive_and_a_cached_prefix_never_makes_it_longer(fleet, want, cached):
    for one in fleet:
        cold = predicted_seconds(one, want, weights=WEIGHTS)

        assert 0 < predicted_seconds(one, want, cached, weights=WEIGHTS) <= cold
