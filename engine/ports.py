"""What the engine needs from a store and from a clock: one verb is one transaction, values in, values out.

Every store verb may be called from any thread and raises StoreUnavailable when the database does not do as asked.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from threading import Condition
from typing import Protocol
from uuid import UUID

from engine.backfills import Backfill, BackfillEnding, BackfillProgress
from engine.calendars import Calendar
from engine.nodes import Claimant, Load, NodeRecord
from engine.nouns import (
    Advance,
    Assignment,
    CallOver,
    Dropping,
    DueHint,
    EndedPause,
    Finished,
    Job,
    Outcome,
    Pause,
    Run,
    RunState,
    WaitingStart,
)
from engine.past import Around, CrowdedJob, Entry, KeptPause, Position, Uptime
from engine.reason_codes import ReasonCode

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

    def adjust(self, ask: Callable[[], datetime | None]) -> None:
        """Go by the clock that `ask` reads, where that is another one than this machine's; raises what it raises."""
        ...


class Store(Protocol):
    """The memory of the engine."""

    def add_job(self, job: Job) -> None:
        """Keep a new job. Raises UnknownCalendar, decided in the same transaction."""
        ...

    def add_jobs(self, jobs: Sequence[Job]) -> None:
        """Keep new jobs that list no calendars, all of them or none."""
        ...

    def job(self, job_id: UUID) -> Job | None:
        """The job of this id."""
        ...

    def jobs_by_id(self, job_ids: Collection[UUID]) -> list[Job]:
        """Those of the jobs that exist, in any order."""
        ...

    def replace_job(
        self,
        job: Job,
        *,
        expected_version: int,
        dropped: Run | None,
        keeps_status: bool = False,
        ended_pause: EndedPause | None = None,
    ) -> bool:
        """Write `job` over the stored one if that is still at `expected_version`, with the row of a slot it drops.

        `ended_pause` goes into the history of pauses. A job that is active by a new status has no bad streak any more.

        Raises UnknownCalendar if it lists one that is not there at this moment.

        `last_run_at`, `run_count` and `created_at` are left as stored, and with `keeps_status` the status too: runs
        change them without a new version, so what the caller read may be old.
        """
        ...

    def delete_job(
        self, job_id: UUID, *, at: datetime, dropping: Dropping | None = None, at_version: int | None = None
    ) -> bool:
        """Delete the job, keeping its runs, of which those that wait are cancelled.

        False if there was none, or none at the version of `dropping`.
        """
        ...

    def delete_all_jobs(
        self, *, at: datetime, droppings: Collection[Dropping] = (), may_be_silent: bool = True
    ) -> list[UUID] | None:
        """Delete every job likewise, with those of the rows that still fit; returns the ids of the jobs.

        None, and nothing is deleted, if some job that is due has no fitting row and that may not be.
        """
        ...

    def jobs_per_function(self) -> dict[str, int]:
        """How many jobs name each function."""
        ...

    def job_ids_of(self, function_names: Collection[str], *, after: UUID | None, limit: int) -> list[UUID]:
        """Jobs that name one of the functions, in the order of their ids, from the one after `after` on."""
        ...

    def scheduled_jobs(self) -> int:
        """How many jobs have a next slot."""
        ...

    def due_hints(self) -> Iterator[DueHint]:
        """When each scheduled job is due, in any order, read in bounded pieces."""
        ...

    def due_hints_until(self, instant: datetime, *, limit: int | None = None) -> Iterator[DueHint]:
        """Jobs whose pause ends up to the instant, and then those due up to it, the earliest first; `limit` of each."""
        ...

    def local_job_ids(self, *, after: UUID | None, limit: int) -> list[UUID]:
        """Scheduled jobs whose next slot depends on the rules of a time zone, or that list a calendar, by their ids."""
        ...

    def overdue_job_ids(self, *, due_before: datetime, after: UUID | None, limit: int) -> list[UUID]:
        """Scheduled jobs due at or before the instant, in the order of their ids, from the one after `after` on."""
        ...

    def advance(
        self, advances: Sequence[Advance], *, ended: Collection[UUID] = (), by: Claimant | None = None
    ) -> dict[UUID, Run | None]:
        """Apply each advance whose job is still at its version, all in one transaction (law 3).

        `by` is the node whose runs they are; nothing is applied, and NodeLost raised, if that is not live on record.
        Then, where the database's clock counts, a job that is not due by that is left out; one that is claimed ahead,
        if the node's clock is ahead of that.

        Returns what was recorded by job id; a job that is missing there was not ours to move. A run is recorded as
        `skipped` or `queued` instead of `running` if the job's overlap policy or its concurrency key says so, by the
        runs on record at this moment; those by a claim in `ended` no longer count: they are over, and only their
        outcome is not written yet. With `cancel_running` the runs that wait are ended, and those that are running get a
        `cancel_reason`: to end them is the caller's. A run that is recorded as `running` or `queued` counts for its
        job's `max_runs`; with the last one the job is completed, whatever `next_run_at` says.
        """
        ...

    def take_back(self, claims: Sequence[tuple[Assignment, int]]) -> set[UUID]:
        """Undo claims of slots that have not started, as if they had never been; returns the ids of their runs.

        Each comes with the job as it was before, and the version that the claim made: a job that has moved on since
        stays as it is, and so does its run.
        """
        ...

    def add_manual_run(
        self, run: Run, *, ended: Collection[UUID] = (), by: Claimant | None = None, is_forced: bool = False
    ) -> UUID | None:
        """Keep a manual run of a job that exists (else JobNotFound), and make its start the job's `last_run_at`.

        Raises NodeLost likewise.

        Keeps nothing and returns the id of the run in the way if a slot could not start now either, unless forced.
        """
        ...

    def waiting_hints(self) -> Iterator[DueHint]:
        """Each run that waits and when it may start, in any order, read in bounded pieces."""
        ...

    def waiting_hints_due(self, *, since: datetime, until: datetime, limit: int) -> list[DueHint]:
        """Runs that wait and may start, or began to wait, after `since` and up to `until`; those of backfills retry."""
        ...

    def waiting_hints_of(self, job_id: UUID) -> list[DueHint]:
        """The same of one job, in the order of its slots."""
        ...

    def waiting_runs(self, run_ids: Collection[UUID]) -> list[tuple[Run, Job]]:
        """Those of the runs that wait, each with its job."""
        ...

    def start_waiting(
        self, starts: Sequence[WaitingStart], *, ended: Collection[UUID] = (), by: Claimant | None = None
    ) -> dict[UUID, Run]:
        """Make `running` what waits and has room, decided as in `advance`; returns these, and the others as they wait.

        A run that is missing there does not wait any more, or its job is not at the version given. Raises NodeLost
        likewise.
        """
        ...

    def end_waiting(
        self,
        run_ids: Collection[UUID],
        state: RunState,
        *,
        at: datetime,
        reason: str,
        code: ReasonCode | None = None,
    ) -> int:
        """End those of the runs that wait; returns how many did."""
        ...

    def ask_to_end(self, run_id: UUID, *, reason: str) -> bool:
        """Write down that a run is to end; False if it is not running."""
        ...

    def run(self, run_id: UUID) -> Run | None:
        """The run of this id."""
        ...

    def claims_on_record(self, claims: Mapping[UUID, UUID]) -> set[UUID]:
        """Of the claims, by the ids of their runs, those by which a run is running now: whether a claim was written."""
        ...

    def runs_to_end(self, node: UUID) -> list[tuple[UUID, str]]:
        """The running runs of the node that somebody asked to end, each with the reason."""
        ...

    def finish(self, outcomes: Sequence[Outcome], *, overs: Sequence[CallOver] = ()) -> Finished:
        """Record the end of each run that is still running, and what it makes of its job's status and `last_run_at`.

        `overs` are the stuck runs that are so no more. A run that was not running any more stays as it is (law 6).
        """
        ...

    def abandoned_runs(self, *, limit: int) -> list[Run]:
        """The first of the runs on record as running, by their ids, whose node is not live."""
        ...

    def running_runs(self, node: UUID) -> list[Run]:
        """All runs on record as running on the node."""
        ...

    def clear_stuck(self) -> int:
        """What stuck runs of nodes that are not live had called is gone with its process; how many there were."""
        ...

    def global_pause(self) -> Pause | None:
        """The pause of everything that is in force."""
        ...

    def begin_global_pause(self, pause: Pause) -> None:
        """Keep a pause of everything; one that is in force ends with it."""
        ...

    def end_global_pause(self, at: datetime, *, only: Pause | None = None) -> bool:
        """End the pause of everything that is in force, if there is one, and if it is this one; says whether it did."""
        ...

    def node_started(self, record: NodeRecord) -> None:
        """Keep a node that has come."""
        ...

    def node_seen(self, node: UUID, at: datetime, load: Load) -> bool:
        """It is still there; False if it is not live on record."""
        ...

    def node_back(self, record: NodeRecord) -> bool:
        """Keep it as live again after it was lost; False while a run of its life before is on record as running."""
        ...

    def lose_node(self, node: UUID, *, beats: int, at: datetime) -> bool:
        """Declare a live node lost, if it has not moved since it was seen with so many beats; says whether it did."""
        ...

    def time(self) -> datetime | None:
        """The instant of the database's clock, if all nodes are to go by that; None if they share a machine's."""
        ...

    def gone_nodes(self, nodes: Collection[UUID]) -> set[UUID]:
        """Those of the nodes whose process is certainly gone, as far as the store can tell by other means than rows."""
        ...

    def live_nodes(self) -> list[NodeRecord]:
        """The nodes that have neither stopped nor been declared lost."""
        ...

    def node_stopped(self, node: UUID, at: datetime, *, since: datetime) -> bool:
        """It is seen for the last time, and has claimed nothing since `since`; False if it is not on record."""
        ...

    def uptimes(self, *, around: datetime) -> list[Uptime]:
        """That of the node which came at or before the instant and was there for longest, and of the first after it."""
        ...

    def pauses_over(self, job_id: UUID, *, at: datetime) -> list[KeptPause]:
        """The ended pauses of the job, and the pauses of everything, in force at the instant, the latest first."""
        ...

    def runs_around(self, job_id: UUID, *, first: datetime, end: datetime) -> Around:
        """The runs of a job, which may be deleted, from `first` on and before `end`, and the slots beside them."""
        ...

    def history_page(self, *, job_id: UUID | None, until: Position, after: Position | None, limit: int) -> list[Entry]:
        """Runs of a job, or of all, oldest first, from the one after `after` to `until`, which may be one."""
        ...

    def crowded_jobs(self, *, newest: int, after: UUID | None, limit: int) -> tuple[list[CrowdedJob], UUID | None]:
        """Of the next `limit` jobs after `after`, by their ids, those with more than `newest` runs.

        And the last one that was looked at; None in its place if there are no more.
        """
        ...

    def forget_runs(self, run_ids: Collection[UUID]) -> int:
        """Delete those of the runs that are over and not stuck, with their logs; returns how many that were."""
        ...

    def forget_pauses(self, *, ended_before: datetime, limit: int) -> int:
        """Delete pauses that ended before the instant; returns how many."""
        ...

    def forget_nodes(self, *, seen_before: datetime, keep: int, limit: int) -> int:
        """Delete nodes last seen before the instant, but never the newest `keep`; returns how many."""
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

    def add_backfill(self, backfill: Backfill, runs: Sequence[Run]) -> None:
        """Keep a backfill with its runs, which wait. Raises JobNotFound and TooManyBackfills."""
        ...

    def cancel_backfill(
        self, backfill_id: UUID, *, at: datetime, reason: str
    ) -> tuple[BackfillEnding, BackfillProgress]:
        """End those of its runs that wait, and write down of those that are running that they are to end.

        Returns that, and how it stands after it. Raises BackfillNotFound and BackfillIsOver.
        """
        ...

    def check(self) -> None:
        """Ask the database for anything at all; raises StoreUnavailable if it does not answer."""
        ...
