from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inference.engine.kv_cache import BlockPool, KvAccount

NAMES = [bytes([n]) for n in range(12)]


def test_the_last_block_may_be_partly_filled():
    pool = BlockPool(9, block_size=16)

    assert [pool.blocks_for(tokens) for tokens in (0, 1, 16, 17)] == [0, 1, 1, 2]


def test_the_null_block_is_never_given_out():
    pool = BlockPool(5, block_size=16)

    assert sorted(pool.allocate(4)) == [1, 2, 3, 4]
    assert pool.available == 0
    assert pool.usage == 1.0
    assert pool.capacity == 64


def test_more_than_is_available_cannot_be_taken_and_nothing_is():
    pool = BlockPool(4, block_size=16)

    with pytest.raises(ValueError, match="4 blocks asked for, 3 available"):
        pool.allocate(4)
    assert pool.available == 3


def test_a_block_cannot_be_released_twice():
    pool = BlockPool(4, block_size=16)
    blocks = pool.allocate(2)
    pool.release(blocks, held=0)

    with pytest.raises(ValueError, match="not used"):
        pool.release(blocks, held=0)


@pytest.mark.parametrize("block", [0, -1, 4])
def test_only_blocks_that_were_given_out_can_be_released_or_shared(block: int):
    pool = BlockPool(4, block_size=16)

    with pytest.raises(ValueError, match="not used"):
        pool.release([block], held=0)
    with pytest.raises(ValueError, match="neither used nor cached"):
        pool.share([block])


@pytest.mark.parametrize(("blocks", "size"), [(1, 16), (4, 0)])
def test_a_pool_needs_a_block_beside_the_null_block(blocks: int, size: int):
    with pytest.raises(ValueError, match="2 or more blocks"):
        BlockPool(blocks, block_size=size)


def cached(pool: BlockPool, *names: bytes) -> list[int]:
    """Leave full blocks of these names in the cache."""
    blocks = pool.allocate(len(names))
    pool.fill(len(names) * pool.block_size)
    for block, name in zip(blocks, names, strict=True):
        pool.name(block, name)
    pool.release(blocks, held=len(names) * pool.block_size)
    return blocks


def test_a_named_block_can_be_found_and_shared_after_its_user_left():
    pool = BlockPool(9, block_size=4)
    blocks = cached(pool, b"a", b"b")

    assert pool.find([b"a", b"b", b"c"]) == blocks
    pool.share(blocks)
    assert pool.account().used == 2
    assert pool.account().held_tokens == 8


def test_only_an_unbroken_beginning_is_found():
    pool = BlockPool(9, block_size=4)
    first, _ = cached(pool, b"a", b"b")

    assert pool.find([b"a", b"x", b"b"]) == [first]
    assert pool.find([b"b", b"a"]) != []
    assert pool.find([b"x", b"a"]) == []


def test_free_blocks_go_before_cached_ones_and_the_longest_unused_before_later_ones():
    pool = BlockPool(1 + 4, block_size=4)
    (old,) = cached(pool, b"old")
    (young,) = cached(pool, b"young")
    pool.share([old])
    pool.release([old], held=4)

    assert not {old, young} & set(pool.allocate(2))
    assert pool.allocate(1) == [young]
    assert pool.find([b"young"]) == []
    assert pool.find([b"old"]) == [old]


def test_the_end_of_a_chain_is_evicted_before_its_beginning():
    pool = BlockPool(1 + 3, block_size=4)
    first, second, third = cached(pool, b"a", b"b", b"c")

    assert pool.allocate(2) == [third, second]
    assert pool.find([b"a", b"b", b"c"]) == [first]


def test_two_blocks_of_one_content_keep_the_first_name():
    pool = BlockPool(9, block_size=4)
    one, other = pool.allocate(2)
    pool.name(one, b"same")
    pool.name(other, b"same")
    pool.release([one, other], held=0)

    assert pool.find([b"same"]) == [one]
    assert pool.account().cached == 1


def test_waste_is_the_room_in_used_blocks_that_holds_no_token():
    pool = BlockPool(9, block_size=16)
    blocks = pool.allocate(2)
    pool.fill(24)

    assert pool.account().waste == 0.25
    pool.release(blocks, held=24)
    assert pool.account().held_tokens == 0
    assert BlockPool(9, block_size=16).account().waste == 0.0


def test_room_that_is_shared_counts_once():
    pool = BlockPool(9, block_size=4)
    blocks = pool.allocate(2)
    pool.fill(8)
    pool.share(blocks)

    assert (pool.account().used, pool.account().shared) == (2, 2)
    assert pool.account().held_tokens == 8


def test_lost_memory_is_forgotten():
    pool = BlockPool(5, block_size=4)
    cached(pool, b"a", b"b")
    pool.forget()

    assert pool.find([b"a"]) == []
    assert pool.account().free == 4


def test_memory_in_use_cannot_be_forgotten():
    pool = BlockPool(5, block_size=4)
    pool.allocate(1)

    with pytest.raises(ValueError, match="1 blocks are still used"):
        pool.forget()


@dataclass
class User:
    """A sequence: some full blocks that it may share, then blocks of its own."""

    blocks: list[int]
    held: int


class PoolMachine(RuleBasedStateMachine):
    """Users come, share, fill and leave in any order; a plain model counts along."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(9, block_size=4)
        self.users: list[User] = []
        self.names: dict[int, bytes] = {}

    @rule(count=st.integers(1, 5))
    def allocate(self, count: int) -> None:
        if count > self.pool.available:
            with pytest.raises(ValueError, match="available"):
                self.pool.allocate(count)
            return
        blocks = self.pool.allocate(count)
        self.names = {block: name for block, name in self.names.items() if block not in blocks}
        self.users.append(User(blocks, 0))

    @precondition(lambda self: self.users)
    @rule(which=st.integers(0, 99), tokens=st.integers(1, 9))
    def fill(self, which: int, tokens: int) -> None:
        user = self.users[which % len(self.users)]
        tokens = min(tokens, 4 * len(user.blocks) - user.held)
        self.pool.fill(tokens)
        user.held += tokens

    @precondition(lambda self: self.users)
    @rule(which=st.integers(0, 99), index=st.integers(0, 4), name=st.sampled_from(NAMES))
    def name(self, which: int, index: int, name: bytes) -> None:
        user = self.users[which % len(self.users)]
        if index >= user.held // 4:
            return
        self.pool.name(user.blocks[index], name)
        if name not in self.names.values() and user.blocks[index] not in self.names:
            self.names[user.blocks[index]] = name

    @rule(name=st.sampled_from(NAMES))
    def share(self, name: bytes) -> None:
        blocks = self.pool.find([name])
        assert blocks == [block for block, one in self.names.items() if one == name]
        self.pool.share(blocks)
        if blocks:
            self.users.append(User(blocks, 4))

    @precondition(lambda self: self.users)
    @rule(which=st.integers(0, 99))
    def release(self, which: int) -> None:
        user = self.users.pop(which % len(self.users))
        self.pool.release(user.blocks, held=user.held)

    @invariant()
    def every_block_is_accounted_for(self) -> None:
        uses = Counter(block for user in self.users for block in user.blocks)
        held = {
            block: min(4, max(0, user.held - 4 * index))
            for user in self.users
            for index, block in enumerate(user.blocks)
        }
        cached = [block for block in self.names if not uses[block]]

        assert all(1 <= block < 9 for block in uses)
        assert self.pool.account() == KvAccount(
            blocks=8,
            used=len(uses),
            cached=len(cached),
            free=8 - len(uses) - len(cached),
            shared=sum(count > 1 for count in uses.values()),
            used_slots=4 * len(uses),
            held_tokens=sum(held.values()),
            queried_tokens=0,
            hit_tokens=0,
        )


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPool = PoolMachine.TestCase
