"""Start one replica: `python -m inference.replica --id ... --model-dir ...`."""

import gc
import os
import sys
import threading


def run() -> int:
    """Run the replica of the command line; return its exit status."""
    gc.disable()  # until it is open: what a start makes, it keeps, and looking costs a tenth of it
    from inference.replica.command import main  # noqa: PLC0415 - imports are most of a start

    return main()


if __name__ == "__main__":
    status = run()
    if threading.active_count() > 1:
        # Python's own exit aborts where a library is at work in a daemon thread.
        os._exit(status)
    sys.exit(status)
