from inference.gateway.admission.dispatch import grants
from inference.gateway.admission.waiting import Waiting
from inference.gateway.routing.choice import Choice, Reason
from inference.gateway.routing.want import Want
from tests.inference.gateway.admission.entries import entry_of
from tests.inference.gateway.admission.fake_roster import record_of


class Room:
    """So many free slots, and what takes images."""

    def __init__(self, free, *, image_slots=0):
        self.free = free
        self.image_slots = image_slots
        self.asked = []

    def offer(self, want):
        self.asked.append(want)
        if want.choices > (self.image_slots if want.has_images else self.free):
            return None
        return Choice(record_of(0, 8), Reason.LOAD)

    def has_room(self):
        return self.free > 0


def line_of(*wants):
    waiting = Waiting(ageing_seconds=30.0)
    entries = [entry_of(1.0, at=float(n), want=want) for n, want in enumerate(wants)]
    for one in entries:
        waiting.schedule(one)
        waiting.add(one)
    return waiting, entries


def granted(waiting, room, *, lookahead=32, is_idle=False, **more):
    taken = []
    for entry, _ in grants(
        waiting, room.offer, lookahead=lookahead, is_idle=is_idle, has_room=room.has_room, **more
    ):
        room.free -= entry.want.choices
        taken.append(entry)
    for one in taken:
        waiting.remove(one, is_served=True)
    return taken


def test_room_goes_to_those_in_front():
    waiting, entries = line_of(*[Want("m")] * 5)

    assert granted(waiting, Room(3)) == entries[:3]


def test_who_cannot_use_the_room_does_not_hold_up_others():
    waiting, entries = line_of(*[Want("m", has_images=True)] * 3, Want("m"))
    room = Room(1)

    assert granted(waiting, room) == entries[3:]
    assert len(room.asked) == 2  # who wants the same is not asked for again


def test_only_so_many_are_looked_at():
    waiting, _ = line_of(*[Want("m", has_images=True)] * 5, Want("m"))

    assert granted(waiting, Room(1), lookahead=4) == []
    assert len(granted(waiting, Room(1), lookahead=5)) == 1


def test_one_that_needs_less_is_asked_for():
    waiting, _ = line_of(Want("m", input_tokens=9000), Want("m", input_tokens=10))
    room = Room(0)
    room.has_room = lambda: True
    granted(waiting, room)

    assert [one.input_tokens for one in room.asked] == [9000, 10]


def test_who_is_about_to_leave_gets_nothing():
    waiting, entries = line_of(*[Want("m")] * 3)

    assert granted(waiting, Room(1), is_gone=lambda one: one is entries[0]) == entries[1:2]


def test_a_wide_request_that_was_overtaken_often_makes_its_like_wait():
    waiting, entries = line_of(Want("m", choices=4), *[Want("m")] * 40)
    rounds = 0
    while granted(waiting, Room(1)):
        rounds += 1

    assert rounds == 16
    assert granted(waiting, Room(4)) == entries[:1]


def test_it_does_not_make_those_wait_who_need_other_replicas():
    waiting, entries = line_of(Want("m", choices=4), *[Want("m", has_images=True)] * 40)
    entries[0].overtaken = 1000

    assert granted(waiting, Room(1, image_slots=1)) == entries[1:]


def test_one_that_fits_nowhere_never_makes_others_wait():
    waiting, entries = line_of(Want("m", choices=99), *[Want("m")] * 40)
    entries[0].overtaken = 1000

    assert granted(waiting, Room(1), is_idle=True) == entries[1:2]
    assert granted(waiting, Room(1)) == entries[2:3]
