"""A process table that cannot be read is counted, and routing goes on by its last reading."""

from inference.gateway.meters import Meters
from inference.gateway.refresh import Refresher
from inference.gateway.roster import Roster
from telemetry.catalog import GATEWAY_ROSTER_ERRORS
from telemetry.clock import ManualClock
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ReplicaRecord
from telemetry.publish import Metrics

SERVING = ReplicaRecord(
    id="r1", model="tiny", state=ReplicaState.SERVING, pid=1, pid_started=0.0,
    host="127.0.0.1", port=1, slots=8, since=0.0,
)  # fmt: skip


class BreakingTable:
    """A table that can be made unreadable."""

    is_broken = False

    def records(self):
        if self.is_broken:
            raise PermissionError("not yours")
        return [SERVING]


async def test_the_last_reading_holds_while_the_table_cannot_be_read():
    metrics, table = Metrics(), BreakingTable()
    roster = Roster([], clock=ManualClock(), shun_seconds=1.0)
    meters = Meters(metrics, ttft_objective_seconds=1.0)
    refresher = Refresher(table, roster, meters, seconds=1.0)
    await refresher.refresh()

    table.is_broken = True
    await refresher.refresh()
    await refresher.refresh()

    assert roster.serving("tiny") == 1
    assert metrics.counter(GATEWAY_ROSTER_ERRORS)._value.get() == 2
