"""This process as the system sees it: its age and memory, and giving back what is free."""

import ctypes
import os
import sys
import time
from pathlib import Path

import psutil

_STARTED = 19  # field of /proc/self/stat after the name: clock ticks since the machine began


def age_seconds() -> float | None:
    """Return how long ago this process began, to a hundredth; None where nobody says.

    Not by wall clocks: those tell when the machine began to the second only.
    """
    if sys.platform != "linux":
        return None
    after_name = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2]
    started = int(after_name.split()[_STARTED]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM."""
    return int(psutil.Process().memory_info().rss)


def give_back_free_memory() -> None:
    """Return freed memory to the system, where the C library would keep it for later."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's only
        if trim is not None:
            trim(0)
