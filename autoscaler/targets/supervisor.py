"""The supervisor: sees local replicas, adopts strangers, buries the dead, enforces deadlines."""

import asyncio
from dataclasses import dataclass, replace

from autoscaler.observation import Fleet
from autoscaler.targets.backoff import Backoff
from autoscaler.targets.outcomes import Outcomes
from autoscaler.targets.replica_client import Health, ReplicaClient, ReplicaClientError
from autoscaler.targets.replica_log import ReplicaLogs
from autoscaler.targets.supervised import Deadlines, Fate, Supervised
from telemetry.clock import Clock
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable, ReplicaRecord, is_alive


@dataclass(frozen=True, slots=True)
class _Survey:
    """What the process table and the kernel say, read in one go."""

    strangers: tuple[ReplicaRecord, ...]  # alive, and not supervised yet
    exited: dict[str, str]  # the supervised that are gone, with their last words


class Supervisor:
    """The replica processes of one model on this machine, by id."""

    def __init__(
        self,
        *,
        model: str,
        table: ProcessTable,
        client: ReplicaClient,
        logs: ReplicaLogs,
        outcomes: Outcomes,
        clock: Clock,
        deadlines: Deadlines,
        backoff: Backoff,
    ) -> None:
        self.replicas: dict[str, Supervised] = {}
        self._model = model
        self._table = table
        self._client = client
        self._logs = logs
        self._outcomes = outcomes
        self._clock = clock
        self._deadlines = deadlines
        self._backoff = backoff

    async def observe(self) -> Fleet:
        """Adopt, ask, bury and enforce deadlines; return the fleet as it then stands."""
        survey = await asyncio.to_thread(self._survey)
        self._adopt(survey)
        buried = self._bury(survey)
        await self._ask_all()
        self._see_leavers_off()
        condemned = self._condemn_overdue()
        self._back_off(buried + condemned)
        lost = [replace(one.seen(), state=ReplicaState.FAILED) for one in buried]
        return Fleet((*lost, *(one.seen() for one in self.replicas.values())))

    def _survey(self) -> _Survey:
        """Read table, kernel and logs (blocking), and forget the records of the dead."""
        records = {one.id: one for one in self._table.records() if one.model == self._model}
        for name, one in self.replicas.items():
            one.record = records.pop(name, one.record)
        exited = {
            name: self._logs.last_words(name)
            for name, one in self.replicas.items()
            if one.has_exited()
        }
        living = [record for record in records.values() if is_alive(record)]
        # A replica that names its version was started by hand, for a rollout: that is not ours.
        strangers = tuple(record for record in living if not record.version)
        stale = records.keys() - {record.id for record in living}
        for name in (*exited, *stale):
            self._table.remove(name)
        self._logs.trim(in_use=self.replicas.keys() | records.keys())
        return _Survey(strangers, exited)

    def _adopt(self, survey: _Survey) -> None:
        """Take over replicas that an earlier daemon, or somebody else, started."""
        for record in survey.strangers:
            self.replicas[record.id] = Supervised(
                id=record.id,
                pid=record.pid,
                is_child=False,
                met=self._clock.monotonic(),
                met_at=self._clock.now(),
                record=record,
            )

    def _bury(self, survey: _Survey) -> list[Supervised]:
        """Let the dead go; return those that nobody had asked to leave."""
        lost = []
        for name, last_words in survey.exited.items():
            one = self.replicas.pop(name)
            if one.fate is Fate.WANTED and not one.is_leaving:
                self._outcomes.failed(one, cause="its process ended", last_words=last_words)
                lost.append(one)
        return lost

    async def _ask_all(self) -> None:
        """Ask every replica for its health, all at once."""
        async with asyncio.TaskGroup() as group:
            for one in self.replicas.values():
                if one.fate is not Fate.CONDEMNED:
                    group.create_task(self._ask(one))

    async def _ask(self, one: Supervised) -> None:
        was_ready, is_first_answer = one.was_ready, one.answered is None
        health = await self._health(one.seen().url)
        now = self._clock.monotonic()
        one.heard(health, now=now)
        if one.is_child and one.was_ready and not was_ready:
            self._outcomes.ready(one, now=now)
        if not one.is_child and is_first_answer and one.answered is not None:
            self._outcomes.adopted(one)

    async def _health(self, url: str | None) -> Health | None:
        if url is None:
            return None
        try:
            return await self._client.health(url)
        except ReplicaClientError:
            return None  # silence is judged by how long it lasts

    def _see_leavers_off(self) -> None:
        """Stop what has drained, and kill what has had its time."""
        now = self._clock.monotonic()
        for one in self.replicas.values():
            if one.fate is Fate.WANTED and one.is_leaving:  # somebody else drains it
                one.let_go(kill_after=now + self._deadlines.drain_seconds)
            if one.kill_after is not None and now > one.kill_after:
                one.kill()
            elif one.fate is Fate.LEAVING and one.is_idle:
                one.tell()

    def _condemn_overdue(self) -> list[Supervised]:
        """Kill, and return, what never gets ready and what has fallen silent."""
        now = self._clock.monotonic()
        overdue = [
            one
            for one in self.replicas.values()
            if one.fate is Fate.WANTED and one.is_overdue(self._deadlines, now=now)
        ]
        for one in overdue:
            self._outcomes.failed(one, cause=self._lateness(one), last_words="")
            one.fate, one.kill_after = Fate.CONDEMNED, now
            one.kill()
        return overdue

    def _back_off(self, lost: list[Supervised]) -> None:
        if lost:
            now = self._clock.monotonic()
            self._backoff.failed(now, started=max(one.met for one in lost))

    def _lateness(self, one: Supervised) -> str:
        if one.was_ready:
            return f"no answer to /health for {self._deadlines.silent_seconds:g} s"
        return f"not ready after {self._deadlines.start_seconds:g} s"
