"""A process that writes batches of 50 series and says which one is committed.

Usage: sqlite_writer.py PATH COUNT|endless [NAME] [LARGEST_FILE]
"""

import itertools
import resource
import sys
from pathlib import Path

from telemetry.clock import ManualClock
from telemetry.series import Sample
from telemetry.sqlite_store import SqliteStore
from telemetry.store import StoreUnavailableError

path, count, name, largest = [*sys.argv[1:], *["batch", "0"][len(sys.argv) - 3 :]]
if int(largest):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), int(largest)))
store = SqliteStore(Path(path), retention_seconds=1e9, clock=ManualClock(0.0))
for batch in itertools.count() if count == "endless" else range(int(count)):
    try:
        store.write(Sample(name, {"i": str(i)}, float(batch), float(batch)) for i in range(50))
    except StoreUnavailableError:
        sys.exit(3)
    sys.stdout.write(f"{batch}\n")
    sys.stdout.flush()
