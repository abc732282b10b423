"""A loaded model, whatever it answers with: started, put to sleep, woken, stopped."""

from collections.abc import Mapping
from typing import Protocol

from inference.replica.metrics import ModelGauges
from inference.replica.models import Found
from inference.runtimes.runtime import SleepLevel


class Hosted(Found, Protocol):
    """One version of one model in memory. All methods belong to one event loop."""

    def start(self) -> None:
        """Take requests from here on."""
        ...

    def standing(self) -> ModelGauges:
        """Return where the model stands now."""
        ...

    async def idle(self) -> None:
        """Wait until no request is in flight."""
        ...

    async def failed(self) -> str:
        """Wait until the model can answer nothing more, and return why; never, if stopped."""
        ...

    async def sleep(self, level: SleepLevel) -> None:
        """Give up memory, while no request is in flight."""
        ...

    async def wake(self) -> Mapping[str, float]:
        """Take requests again; return the seconds of each phase."""
        ...

    async def stop(self) -> None:
        """End; requests in flight end in an error."""
        ...
