"""What the engine needs from a store and from a clock: one verb is one transaction, values in, values out.

Every store verb may be called from any thread and raises StoreUnavailable when the database does not do as asked.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime
from threading import Condition
from typing import Protocol
from uuid import UUID

from engine.calendars import Calendar
from engine.nouns import Advance, Dropping, DueHint, Job, Outcome, Run

Ids = Callable[[], UUID]
"""Makes a fresh id; a claim is known by its run's, so no two may ever be the same."""


class Clock(Protocol):
    """Only the clock tells time, only the clock waits (law 8)."""

    def now(self) -> datetime:
        """The wall clock's instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary zero."""
        ...

    def wait(self, condition: Condition, seconds: float) -> None:
        """Wait on `condition`, which the caller holds, for a notification or for `seconds` (capped)."""
        ...


class Store(Protocol):
    """The memory of the engine."""

    def add_job(self, job: Job) -> None:
        """Keep a new job. Raises UnknownCalendar, decided in the same transaction."""
        ...

    def job(self, job_id: UUID) -> Job | None:
        """The job of this id."""
        ...

    def jobs_by_id(self, job_ids: Collection[UUID]) -> list[Job]:
        """Those of the jobs that exist, in any order."""
        ...

    def replace_job(self, job: Job, *, expected_version: int, dropped: Run | None, keeps_status: bool = False) -> bool:
        """Write `job` over the stored one if that is still at `expected_version`, with the row of a slot it drops.

        Raises UnknownCalendar if it lists one that is not there at this moment.

        `last_run_at`, `run_count` and `created_at` are left as stored, and with `keeps_status` the status too: runs
        change them without a new version, so what the caller read may be old.
        """
        ...

    def delete_job(self, job_id: UUID, *, dropping: Dropping | None = None) -> bool:
        """Delete the job, keeping its runs; False if there was none, or none at the version of `dropping`."""
        ...

    def delete_all_jobs(self, *, droppings: Collection[Dropping] = ()) -> list[UUID]:
        """Delete every job, keeping the runs, with those of the rows that still fit; returns the ids of the jobs."""
        ...

    def jobs_per_function(self) -> dict[str, int]:
        """How many jobs name each function."""
        ...

    def job_ids_of(self, function_names: Collection[str], *, after: UUID | None, limit: int) -> list[UUID]:
        """Jobs that name one of the functions, in the order of their ids, from the one after `after` on."""
        ...

    def due_hints(self) -> Iterator[DueHint]:
        """When each scheduled job is due, in any order, read in bounded pieces."""
        ...

    def local_job_ids(self, *, after: UUID | None, limit: int) -> list[UUID]:
        """Scheduled jobs whose next slot depends on the rules of a time zone, or that list a calendar, by their ids."""
        ...

    def overdue_job_ids(self, *, due_before: datetime, after: UUID | None, limit: int) -> list[UUID]:
        """Scheduled jobs due at or before the instant, in the order of their ids, from the one after `after` on."""
        ...

    def advance(self, advances: Sequence[Advance], *, ended: Collection[UUID] = ()) -> dict[UUID, Run | None]:
        """Apply each advance whose job is still at its version, all in one transaction (law 3).

        Returns what was recorded by job id; a job that is missing there was not ours to move. A run is recorded as
        `skipped` instead of `running` while another run of its job is running; those in `ended` no longer count: they
        are over, and only their outcome is not written yet. A run that is recorded as `running` counts for its job's
        `max_runs`; with the last one the job is completed, whatever `next_run_at` says.
        """
        ...

    def add_manual_run(self, run: Run, *, ended: Collection[UUID] = ()) -> UUID | None:
        """Keep a manual run of a job that exists (else JobNotFound), and make its start the job's `last_run_at`.

        Keeps nothing and returns the id of the run in the way if the job has one running that is not in `ended`.
        """
        ...

    def running_run_ids(self, run_ids: Collection[UUID]) -> set[UUID]:
        """Those of the runs that are on record as running: what became of a claim whose answer was lost."""
        ...

    def finish(self, outcomes: Sequence[Outcome]) -> set[UUID]:
        """Record the end of each run that is still running, and what it makes of its job's status and `last_run_at`.

        Returns the ids of the runs that were not running any more: they are as they were (law 6).
        """
        ...

    def lose_running_runs(self, *, finished_at: datetime, reason: str) -> int:
        """Make every run on record as running `lost`, and its job `failed`; returns how many there were."""
        ...

    def calendars(self, names: Collection[str]) -> list[Calendar]:
        """Those of the calendars that exist, in any order."""
        ...

    def add_calendar(self, calendar: Calendar) -> None:
        """Keep a new calendar. Raises CalendarExists and TooManyCalendars."""
        ...

    def replace_calendar(self, calendar: Calendar) -> Calendar:
        """Write it over the stored one of this name, whose `created_at` stays; returns it as it is then.

        Raises CalendarNotFound.
        """
        ...

    def add_calendar_dates(self, name: str, dates: Collection[date], *, updated_at: datetime) -> Calendar:
        """Add the dates to those of the calendar; returns it as it is then.

        Raises CalendarNotFound, and TooManyDates if it would have more than MAX_CALENDAR_DATES.
        """
        ...

    def delete_calendar(self, name: str) -> None:
        """Delete a calendar that no job lists. Raises CalendarNotFound and CalendarInUse."""
        ...

    def job_ids_listing(self, calendar_name: str) -> list[UUID]:
        """The jobs that list the calendar."""
        ...

    def check(self) -> None:
        """Ask the database for anything at all; raises StoreUnavailable if it does not answer."""
        ...
