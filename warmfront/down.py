"""Stop the replicas that a killed daemon left running."""

import psutil
from rich.console import Console

from telemetry.process_table import ProcessTable, ReplicaRecord, is_alive
from warmfront.config import Config
from warmfront.state_dir import claimed, prepare


def down(config: Config, out: Console) -> int:
    """Ask every replica left in the process table to drain and stop, and see that it does.

    While a daemon works on the folder there is nothing left over: then claiming it fails, with
    a message that names the daemon.
    """
    state = prepare(config.state_dir)
    with claimed(state):
        table = ProcessTable(state.replicas)
        left = [record for record in table.records() if is_alive(record)]
        stubborn = _stop([psutil.Process(one.pid) for one in left], config.replica.drain_seconds)
        for record in table.records():
            table.remove(record.id)
        out.print(_report(left, stubborn))
    return 0


def _stop(processes: list[psutil.Process], drain_seconds: float) -> int:
    """Terminate, wait for the drain, kill what is left; return how many had to be killed."""
    for process in processes:
        process.terminate()
    _gone, alive = psutil.wait_procs(processes, timeout=drain_seconds + 2.0)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5.0)
    return len(alive)


def _report(left: list[ReplicaRecord], stubborn: int) -> str:
    if not left:
        return "Nothing was running."
    names = ", ".join(record.id for record in left)
    killed = f" ({stubborn} had to be killed)" if stubborn else ""
    return f"Stopped {names}{killed}."
