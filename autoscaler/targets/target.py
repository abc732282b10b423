"""A scaling target: where replicas live, and the seam through which plans become replicas."""

from typing import Protocol

from autoscaler.observation import Fleet
from autoscaler.plan import Plan


class ScalingTarget(Protocol):
    """A place where replicas can be seen, started, woken, put to standby and drained."""

    async def observe(self) -> Fleet:
        """Return every replica as it stands now."""
        ...

    async def apply(self, plan: Plan) -> None:
        """Set the fleet moving towards `plan` and return; the next observation shows progress."""
        ...
