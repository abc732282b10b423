import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.gateway.routing.affinity import BLOCK_BYTES, PrefixIndex, prefix_of

BLOCK = b"x" * BLOCK_BYTES


def test_a_prompt_shorter_than_a_block_has_no_prefix():
    assert prefix_of([BLOCK[:-1]]) == ()
    assert len(prefix_of([BLOCK])) == 1


def test_how_a_prompt_comes_in_pieces_does_not_matter():
    text = bytes(range(256)) * 5

    assert prefix_of([text]) == prefix_of([text[:100], b"", text[100:]])


def test_longer_beginnings_have_other_hashes_though_their_blocks_are_equal():
    assert len(set(prefix_of([BLOCK * 8]))) == 8


def test_a_huge_prompt_is_hashed_in_a_bounded_number_of_pieces():
    assert len(prefix_of([BLOCK * 4096])) == 18


def test_a_huge_prompt_is_not_read_to_its_end():
    def pieces():
        yield b"x" * 2**20
        raise AssertionError("read on")

    assert prefix_of(pieces()) == prefix_of([b"x" * 2**21])


@settings(deadline=None)
@given(st.binary(max_size=3000), st.binary(max_size=3000), st.binary(max_size=3000))
def test_prompts_share_hashes_exactly_as_far_as_they_share_blocks(common, one, other):
    first, second = common + one, common + other
    hashes = list(zip(prefix_of([first]), prefix_of([second]), strict=False))
    ends = [BLOCK_BYTES * n for n in range(1, 9)] + [3072, 4096, 6144]

    for end, (a, b) in zip(ends, hashes, strict=False):
        assert (a == b) == (first[:end] == second[:end])


def test_a_replica_has_the_share_of_a_prompt_that_it_was_sent():
    index = PrefixIndex(100)
    index.note(prefix_of([BLOCK * 4]), 1)
    index.note(prefix_of([BLOCK * 2]), 2)
    index.note(prefix_of([b"y" * BLOCK_BYTES]), 3)

    assert index.shares(prefix_of([BLOCK * 8])) == {1: 0.5, 2: 0.25}
    assert index.shares(prefix_of([BLOCK * 4])) == {1: 1.0, 2: 0.5}
    assert index.shares(()) == {}


def test_what_is_longest_unused_is_forgotten():
    index = PrefixIndex(2)
    index.note((1,), 1)
    index.note((2,), 1)
    index.note((1,), 1)
    index.note((3,), 1)

    assert index.shares((1,)) == {1: 1.0}
    assert index.shares((2,)) == {}


def test_a_prefix_that_all_share_keeps_its_latest_holders():
    index = PrefixIndex(10)
    for holder in range(40):
        index.note((1,), holder)
    index.note((1,), 25)

    assert list(index.shares((1,))) == [*range(24, 25), *range(26, 40), 25]


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(0, 50), max_size=5), st.integers(0, 50))))
def test_the_index_stays_within_its_bound(notes):
    index = PrefixIndex(8)
    for prefix, holder in notes:
        index.note(tuple(prefix), holder)

        assert len(index) <= 8


@pytest.mark.parametrize("length", [1, 5, 18])
def test_a_share_is_from_0_to_1(length):
    index, prefix = PrefixIndex(100), tuple(range(length))
    for known in range(length + 1):
        index.note(prefix[:known], known)

    shares = index.shares(prefix)
    assert all(0 < share <= 1 for share in shares.values())
    assert sorted(shares, key=shares.__getitem__) == list(range(1, length + 1))[-16:]
