"""A replica's own life: which state it is in, and the record that tells everyone else."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import psutil
import structlog

from telemetry.clock import Clock
from telemetry.lifecycle import ReplicaState, can_move
from telemetry.process_table import ProcessTable, ReplicaRecord

_log = structlog.get_logger(__name__)


class IllegalMoveError(ValueError):
    """A replica cannot go from its state to that one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What stays the same over a replica's life."""

    id: str
    model: str
    host: str
    slots: int  # until the models that are loaded say otherwise
    region: str = ""
    version: str = ""
    device: str = ""


class Lifecycle:
    """The state of this process's replica; every change is written to the process table.

    Records are a few hundred bytes on a local disk: they are written where the state changes,
    so that no two writes can overtake each other.
    """

    def __init__(self, identity: Identity, table: ProcessTable, clock: Clock) -> None:
        self.identity = identity
        self.state = ReplicaState.ABSENT
        self.since = clock.now()
        self.slots = identity.slots
        self.models: tuple[str, ...] = ()
        self._table = table
        self._clock = clock
        self._port = 0

    def announce(self, port: int) -> None:
        """Enter `starting`, reachable on `port`; a table that cannot be written is an OSError."""
        self._port = port
        self.state, self.since = ReplicaState.STARTING, self._clock.now()
        self._table.put(self._record())

    def move(self, after: ReplicaState) -> None:
        """Enter a state; entering the present one again changes nothing."""
        before = self.state
        if after is before:
            return
        if not can_move(before, after):
            raise IllegalMoveError(f"A replica cannot go from {before} to {after}.")
        self.state, self.since = after, self._clock.now()
        _log.info("state changed", before=before.value, after=after.value)
        self._write()

    def resize(self, slots: int) -> None:
        """Announce how many requests fit into the batches of all models."""
        if slots != self.slots:
            self.slots = slots
            self._write()

    def name_models(self, models: Iterable[str]) -> None:
        """Announce every name that a model in memory is found by."""
        before, self.models = self.models, tuple(models)
        if self.models != before and self._port:
            self._write()

    def withdraw(self) -> None:
        """Leave the process table."""
        self._port = 0  # nothing may write it again
        self._table.remove(self.identity.id)

    def _write(self) -> None:
        try:
            self._table.put(self._record())
        except OSError as error:
            # The replica goes on: the next change writes again.
            _log.error("process table not written", error=str(error))

    def _record(self) -> ReplicaRecord:
        process = psutil.Process()
        return ReplicaRecord(
            id=self.identity.id,
            model=self.identity.model,
            state=self.state,
            pid=os.getpid(),
            pid_started=process.create_time(),
            host=self.identity.host,
            port=self._port,
            slots=self.slots,
            since=self.since,
            models=self.models,
            region=self.identity.region,
            version=self.identity.version,
            device=self.identity.device,
        )
