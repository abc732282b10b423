from hypothesis import given, settings
from hypothesis import strategies as st

from inference.gateway.routing.sessions import Sessions


def test_a_conversation_is_recalled_with_its_replica_and_version():
    sessions = Sessions(10, seconds=60.0)
    sessions.remember("tiny", "s", ("a", "v2"), 0.0)

    home = sessions.recall("tiny", "s", 1.0)
    assert (home.replica, home.version) == ("a", "v2")
    assert sessions.recall("other", "s", 1.0) is None


def test_a_silent_conversation_is_forgotten_and_a_lively_one_is_not():
    sessions = Sessions(10, seconds=60.0)
    sessions.remember("tiny", "silent", ("a", ""), 0.0)
    sessions.remember("tiny", "lively", ("a", ""), 0.0)
    sessions.remember("tiny", "lively", ("b", ""), 59.0)

    assert sessions.recall("tiny", "silent", 59.9).replica == "a"
    assert sessions.recall("tiny", "silent", 60.0) is None
    assert sessions.recall("tiny", "lively", 118.9).replica == "b"
    assert len(sessions) == 1


@settings(deadline=None)
@given(st.lists(st.text("abcdefgh", min_size=1, max_size=2)))
def test_the_latest_conversations_are_kept_within_the_bound(names):
    sessions = Sessions(3, seconds=60.0)
    for now, name in enumerate(names):
        sessions.remember("tiny", name, (name, ""), now * 0.001)

    latest = list(dict.fromkeys(reversed(names)))
    assert len(sessions) == min(len(latest), 3)
    assert all(sessions.recall("tiny", name, 1.0).replica == name for name in latest[:3])
