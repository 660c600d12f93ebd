"""What only the API reads: no rule of the engine goes by it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from engine.backfills import BackfillProgress
from engine.calendars import Calendar
from engine.captured_log import CapturedLog
from engine.job_listing import JobFilter, JobOrder, JobPosition
from engine.nodes import NodeRecord
from engine.nouns import Job, Run, RunState
from store import backfill_rows, calendar_rows, job_listing, job_rows, log_rows, node_rows, run_rows
from store.prompt_reads import PromptReads


class Views:
    """Reads, each a transaction. From any thread; raises StoreUnavailable."""

    def __init__(
        self, reading: Callable[[], AbstractContextManager[Connection]], prompt: PromptReads | None = None
    ) -> None:
        self._reading = reading
        self.at_once = None if prompt is None else Views(prompt.reading)
        """The same for whoever must not wait: to be asked for one thing by its key. Raises WouldWait instead."""

    def job(self, job_id: UUID) -> Job | None:
        """The job of this id."""
        with self._reading() as connection:
            return job_rows.find_job(connection, job_id)

    def run(self, run_id: UUID) -> Run | None:
        """The run of this id."""
        with self._reading() as connection:
            return run_rows.find_run(connection, run_id)

    def jobs_page(self, *, after: tuple[datetime, UUID] | None, limit: int) -> list[Job]:
        """Jobs in the order of `(created_at, id)`, from the one after `after` on."""
        with self._reading() as connection:
            return job_rows.page_of_jobs(connection, after, limit)

    def listed_jobs(
        self, wanted: JobFilter, order: JobOrder, *, after: JobPosition | None, limit: int
    ) -> tuple[list[Job], int]:
        """The first jobs of the kind behind this position, and how many there are of it in all."""
        with self._reading() as connection:
            page = job_listing.page_of_listing(connection, wanted, order, after, limit)
            return page, job_listing.count_of_listing(connection, wanted)

    def runs_page(
        self, *, job_id: UUID | None, state: RunState | None, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[Run]:
        """Runs in the reverse order of `(scheduled_for, id)`, from the one before `before` on."""
        with self._reading() as connection:
            return run_rows.page_of_runs(connection, job_id=job_id, state=state, before=before, limit=limit)

    def run_log(self, run_id: UUID) -> CapturedLog | None:
        """What is kept of what a run printed and logged; None if that is nothing."""
        with self._reading() as connection:
            return log_rows.find_log(connection, run_id)

    def has_runs(self, job_id: UUID) -> bool:
        """Whether there is history of a job, which may be deleted."""
        with self._reading() as connection:
            return run_rows.has_runs(connection, job_id)

    def calendar(self, name: str) -> Calendar | None:
        """The calendar of this name."""
        with self._reading() as connection:
            return calendar_rows.find_calendar(connection, name)

    def all_calendars(self) -> list[Calendar]:
        """Every calendar, by name."""
        with self._reading() as connection:
            return calendar_rows.all_calendars(connection)

    def latest_nodes(self, *, limit: int) -> list[NodeRecord]:
        """The nodes that are live, and then those that were seen last."""
        with self._reading() as connection:
            return node_rows.latest_nodes(connection, limit)

    def backfill(self, backfill_id: UUID) -> BackfillProgress | None:
        """The backfill of this id, and how far it has come."""
        with self._reading() as connection:
            return backfill_rows.find_backfill(connection, backfill_id)

    def backfills_of(self, job_id: UUID, *, limit: int) -> list[BackfillProgress]:
        """The newest backfills of a job, which may be deleted."""
        with self._reading() as connection:
            return backfill_rows.backfills_of_job(connection, job_id, limit)

    def runs_of_backfill(self, backfill_id: UUID, *, limit: int) -> list[Run]:
        """Its runs, the latest slot first."""
        with self._reading() as connection:
            return backfill_rows.runs_of_backfill(connection, backfill_id, limit)
