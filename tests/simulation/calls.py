"""The calls of job functions as they really happened, wherever: entered, called, returned, or died with the process."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from engine.nouns import Run


@dataclass(slots=True, eq=False)
class Entry:
    """One run that was let through the gate of a process."""

    process: Any
    run_id: UUID
    job_id: UUID
    attempt: int
    trigger: str
    slot: int
    is_forced: bool
    entered_at: int
    ahead: int
    """By how much the wall clock was wrong then."""
    called_at: int | None = None
    end: str | None = None
    ended_at: int | None = None

    @property
    def is_going(self) -> bool:
        """Whether its function may still be running somewhere."""
        return self.end is None and not self.process.is_dead

    @property
    def key(self) -> tuple[Any, ...]:
        """What may start once only."""
        if self.trigger == "schedule":
            return self.job_id, self.slot, self.attempt
        return self.run_id, self.attempt


@dataclass(slots=True)
class Calls:
    """All entries of one seed."""

    by_run: dict[UUID, list[Entry]] = field(default_factory=dict)
    by_key: dict[tuple[Any, ...], list[Entry]] = field(default_factory=dict)
    by_process: dict[Any, list[Entry]] = field(default_factory=dict)
    going: list[Entry] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        self.by_run.setdefault(entry.run_id, []).append(entry)
        self.by_key.setdefault(entry.key, []).append(entry)
        self.by_process.setdefault(entry.process, []).append(entry)
        self.going = self.going_on
        self.going.append(entry)

    @property
    def going_on(self) -> list[Entry]:
        """Those that have not ended."""
        return [each for each in self.going if each.is_going]

    def of(self, run_id: UUID, attempt: int) -> list[Entry]:
        """Those of one attempt of a run."""
        return [each for each in self.by_run.get(run_id, ()) if each.attempt == attempt]

    def latest(self, process: Any, run_id: UUID, attempt: int) -> Entry | None:
        """That of this process."""
        return next((each for each in reversed(self.of(run_id, attempt)) if each.process is process), None)


def entry_of(process: Any, run: Run, *, slot: int, is_forced: bool, at: int) -> Entry:
    """The entry of a run that its gate has just let in."""
    return Entry(
        process=process,
        run_id=run.id,
        job_id=run.job_id,
        attempt=run.attempt,
        trigger=run.trigger.value,
        slot=slot,
        is_forced=is_forced,
        entered_at=at,
        ahead=process.world.ahead,
    )
