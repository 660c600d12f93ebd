"""Nodes: the processes that run an engine, as they stand on record, and who of them is to be taken for dead."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    """What a process does: everything, only the API, or only the running of jobs."""

    ALL = "all"
    API = "api"
    WORKER = "worker"

    @property
    def runs_jobs(self) -> bool:
        """Whether it claims slots."""
        return self is not Role.API

    @property
    def serves_api(self) -> bool:
        """Whether it takes requests, beside those for its health."""
        return self is not Role.WORKER


@dataclass(frozen=True, slots=True)
class Presence:
    """What a node says of itself when it comes. `host` and `process_id` are for people: nothing goes by them."""

    role: Role = Role.ALL
    version: str = ""
    host: str = ""
    process_id: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """How many runs a node has, and how many it may have at once."""

    running_runs: int
    permits: int


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node on record.

    `beats` grows with each of its heartbeats and claims: who sees it stand still for long takes the node for dead.
    `stopped_at`: it said that it went. `lost_at`: others said so of it.
    """

    id: UUID
    presence: Presence
    started_at: datetime
    seen_at: datetime
    beats: int
    load: Load
    stopped_at: datetime | None = None
    lost_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        """Whether it is there, as far as is known."""
        return self.stopped_at is None and self.lost_at is None


@dataclass(frozen=True, slots=True)
class Claimant:
    """The node that claims, at this instant: the claim is refused if others have declared it lost."""

    node: UUID
    at: datetime


@dataclass(slots=True)
class _Pulse:
    beats: int
    since: float


class Neighbours:
    """What one node has seen of the others. Used by its heartbeat only.

    No clocks of two nodes are compared: a node is lapsed when its beats have stood still for `lease_seconds` of the
    observer's own monotonic clock, counted from when they were first seen to stand where they do. Who has not looked
    for longer than `gap_seconds`, frozen itself or without a database, begins to count anew: the others may have been
    as still as that for the same reason. One that is new counts half a lease at most of what it did not see itself.
    """

    def __init__(self, *, me: UUID, lease_seconds: float, gap_seconds: float) -> None:
        self._me = me
        self._lease_seconds = lease_seconds
        self._gap_seconds = gap_seconds
        self._looked_at: float | None = None
        self._pulses: dict[UUID, _Pulse] = {}

    @property
    def is_new(self) -> bool:
        """Whether it has not looked yet."""
        return self._looked_at is None

    def observe(self, live: list[NodeRecord], *, now: datetime | None, monotonic: float) -> list[NodeRecord]:
        """Look at the nodes that are on record as live; returns those that are lapsed.

        `now` is the instant by the database's clock, by which they were seen too: a clock of this machine may have been
        set forward since. None where there is none, or where it does not matter any more.
        """
        is_new, is_gap = self._looked_at is None, monotonic - (self._looked_at or 0.0) > self._gap_seconds
        if is_gap:
            self._pulses.clear()
        self._looked_at = monotonic
        others = [record for record in live if record.id != self._me]
        self._pulses = {record.id: self._pulse(record, monotonic) for record in others}
        if is_new and now is not None:
            for record in others:
                self._pulses[record.id].since -= self._silence(record, now)
        return [record for record in others if monotonic - self._pulses[record.id].since >= self._lease_seconds]

    def _silence(self, record: NodeRecord, now: datetime) -> float:
        return min(max((now - record.seen_at).total_seconds(), 0.0), self._lease_seconds / 2)

    def _pulse(self, record: NodeRecord, monotonic: float) -> _Pulse:
        known = self._pulses.get(record.id)
        return known if known is not None and known.beats == record.beats else _Pulse(record.beats, monotonic)
