import pytest

from telemetry.clock import ManualClock
from telemetry.sqlite_store import SqliteStore
from telemetry.store import StoreUnavailableError


class Unavailable:
    """A store that cannot be asked."""

    def latest(self, selector, *, at, within):
        raise StoreUnavailableError("the disk is gone")

    def gauge(self, selector, window):
        raise StoreUnavailableError("the disk is gone")

    def increase(self, selector, window):
        raise StoreUnavailableError("the disk is gone")


class Switch:
    """A reader that can be cut off and connected again."""

    def __init__(self, reader):
        self.reader = reader

    def latest(self, selector, *, at, within):
        return self.reader.latest(selector, at=at, within=within)

    def gauge(self, selector, window):
        return self.reader.gauge(selector, window)

    def increase(self, selector, window):
        return self.reader.increase(selector, window)


@pytest.fixture
def clock():
    return ManualClock(1_000_000.0)


@pytest.fixture
def store(tmp_path, clock):
    store = SqliteStore(tmp_path / "metrics.sqlite", retention_seconds=86_400.0, clock=clock)
    yield store
    store.close()


@pytest.fixture
def unavailable():
    return Unavailable()


@pytest.fixture
def switch(store):
    return Switch(store)
