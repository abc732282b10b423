"""Sessions: which replica, and which version of the model, a conversation is with."""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Home:
    """Where a conversation is held."""

    replica: str
    version: str
    until: float  # forgotten from then on, monotonic seconds


class Sessions:
    """The homes of the latest conversations, by model and session."""

    def __init__(self, capacity: int, *, seconds: float) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._homes: OrderedDict[tuple[str, str], Home] = OrderedDict()  # oldest first

    def __len__(self) -> int:
        return len(self._homes)

    def remember(self, model: str, session: str, home: tuple[str, str], now: float) -> None:
        """Note the (replica, version) that a conversation is with from now on."""
        replica, version = home
        self._homes[model, session] = Home(replica, version, now + self._seconds)
        self._homes.move_to_end((model, session))
        if len(self._homes) > self._capacity:
            self._homes.popitem(last=False)

    def recall(self, model: str, session: str, now: float) -> Home | None:
        """Return where the conversation is held, unless it has been silent for too long."""
        home = self._homes.get((model, session))
        if home is None or now < home.until:
            return home
        del self._homes[model, session]
        return None
