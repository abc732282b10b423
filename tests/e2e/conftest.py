"""A running stack for each test, and one for all tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Running, end, start, wait_for


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Running]:
    yield from _serving(tmp_path)


@pytest.fixture(scope="module")
def module_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from _serving(tmp_path_factory.mktemp("stack"))


def _serving(folder: Path) -> Iterator[Running]:
    running = start(folder)
    try:
        wait_for("a serving replica", running.serving)
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()
        running.kill()
        end(folder)
