"""What one device said in one collection, in base units: the value every source produces."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a device is: what its labels are made of."""

    index: int
    uuid: str
    name: str
    pci_bus_id: str
    device: str
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """One device at one moment; None is a missing value, never zero.

    A device that did not answer is not `up` and says nothing else.
    """

    identity: Identity
    up: bool = True
    utilization_ratio: float | None = None
    memory_copy_ratio: float | None = None
    memory_used_bytes: float | None = None
    memory_free_bytes: float | None = None
    power_watts: float | None = None
    energy_joules: float | None = None
    temperature_celsius: float | None = None
    sm_clock_hertz: float | None = None
    memory_clock_hertz: float | None = None
    pcie_replays: float | None = None
    nvlink_bytes: float | None = None

    @classmethod
    def down(cls, identity: Identity) -> "Reading":
        """Return the reading of a device that did not answer."""
        return cls(identity, up=False)
