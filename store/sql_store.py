"""The store: every verb of the engine and every read of the API, each one transaction, from any thread."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
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
from store import (
    backfill_rows,
    calendar_rows,
    claims,
    history_rows,
    job_rows,
    node_rows,
    outcomes,
    pause_rows,
    run_rows,
    taking_back,
    waiting_runs,
)
from store.changes import ChangeWatch
from store.database_clock import read_clock
from store.job_batches import find_jobs
from store.key_rows import StoredKeys
from store.locks import DatabaseLock
from store.transactions import Transactions
from store.views import Views

HINTS_PER_READ = 5_000
"""Due hints read in one transaction: a million jobs must not stand in memory, nor one read keep the log growing."""

BACKFILLS_PER_READ = 100
"""Backfills whose next runs are read in one transaction, with up to a thousand runs in each."""


class SqlStore:
    """Implements engine.ports.Store. Comes from open_store, which has made sure of the database."""

    def __init__(
        self, transactions: Transactions, *, lock: DatabaseLock, watch: ChangeWatch, close: Callable[[], None]
    ) -> None:
        self._transactions = transactions
        self._reading, self._writing, self._changing = transactions.reading, transactions.writing, transactions.changing
        self._lock, self._watch, self._close = lock, watch, close
        self.views, self.keys = Views(transactions.reading, transactions.prompt_reads), StoredKeys(transactions)

    def close(self) -> None:
        """Let go of the connections and of the lock. Verbs called later raise StoreUnavailable."""
        self._transactions.close()
        self._close()

    def watch(self, changed: Callable[[], object]) -> None:
        """Call `changed` from a thread of the store whenever another process may have changed something. Once."""
        self._watch.start(changed)

    def time(self) -> datetime | None:
        with self._reading() as connection:
            return read_clock(connection)

    def hold_node(self, node: UUID) -> None:
        self._lock.hold_node(node)

    def gone_nodes(self, nodes: Collection[UUID]) -> set[UUID]:
        return self._lock.gone_nodes(nodes)

    def add_job(self, job: Job) -> None:
        with self._transactions.changing_together() as connection:
            calendar_rows.require_calendars(connection, job.timing.exclude_calendars)
            job_rows.insert_job(connection, job)

    def add_jobs(self, jobs: Sequence[Job]) -> None:
        with self._changing() as connection:
            job_rows.insert_jobs(connection, jobs)

    def job(self, job_id: UUID) -> Job | None:
        with self._reading() as connection:
            return job_rows.find_job(connection, job_id)

    def jobs_by_id(self, job_ids: Collection[UUID]) -> list[Job]:
        with self._reading() as connection:
            return find_jobs(connection, job_ids)

    def replace_job(
        self,
        job: Job,
        *,
        expected_version: int,
        dropped: Run | None,
        keeps_status: bool = False,
        ended_pause: EndedPause | None = None,
    ) -> bool:
        with self._transactions.changing_together() as connection:
            newly_listed = job_rows.newly_listed_calendars(connection, job)
            is_replaced = job_rows.replace_job(connection, job, expected_version, keeps_status=keeps_status)
            # After the version was found right: an old copy of the job may list a calendar that is rightly gone.
            if is_replaced:
                calendar_rows.require_calendars(connection, newly_listed)
                run_rows.insert_runs(connection, [dropped])
                pause_rows.insert_ended_pause(connection, ended_pause)
            return is_replaced

    def delete_job(
        self, job_id: UUID, *, at: datetime, dropping: Dropping | None = None, at_version: int | None = None
    ) -> bool:
        with self._changing() as connection:
            version = at_version if dropping is None else dropping.job_version
            pause = pause_rows.pause_to_keep(connection, job_id, at=at)
            is_deleted = job_rows.delete_job(connection, job_id, at_version=version)
            if is_deleted:
                backfill_rows.cancel_backfills_of_deleted(connection, job_id, at=at)
                pause_rows.insert_ended_pause(connection, pause)
                claims.end_all_waiting(connection, job_id, at=at)
                run_rows.insert_runs(connection, [None if dropping is None else dropping.run])
            return is_deleted

    def delete_all_jobs(
        self, *, at: datetime, droppings: Collection[Dropping] = (), may_be_silent: bool = True
    ) -> list[UUID] | None:
        with self._changing() as connection:
            if not may_be_silent and not job_rows.are_dropped(connection, droppings, at=at):
                return None
            pause_rows.keep_all_pauses(connection, at=at)
            versions = job_rows.delete_all_jobs(connection)
            backfill_rows.cancel_backfills_of_deleted(connection, None, at=at)
            claims.end_all_waiting(connection, None, at=at)
            fitting = [each.run for each in droppings if versions.get(each.run.job_id) == each.job_version]
            run_rows.insert_runs(connection, fitting)
            return list(versions)

    def jobs_per_function(self) -> dict[str, int]:
        with self._reading() as connection:
            return job_rows.count_jobs_per_function(connection)

    def job_ids_of(self, function_names: Collection[str], *, after: UUID | None, limit: int) -> list[UUID]:
        with self._reading() as connection:
            return job_rows.page_of_ids_of(connection, function_names, after, limit)

    def scheduled_jobs(self) -> int:
        with self._reading() as connection:
            return job_rows.count_scheduled(connection)

    def due_hints(self) -> Iterator[DueHint]:
        after: UUID | None = None
        while True:
            with self._reading() as connection:
                hints = job_rows.page_of_hints(connection, after, HINTS_PER_READ)
            yield from hints
            if len(hints) < HINTS_PER_READ:
                return
            after = hints[-1].job_id

    def due_hints_until(self, instant: datetime, *, limit: int | None = None) -> Iterator[DueHint]:
        page = HINTS_PER_READ if limit is None else limit
        with self._reading() as connection:
            yield from job_rows.hints_of_pauses(connection, instant, page)
        after: DueHint | None = None
        while True:
            with self._reading() as connection:
                hints = job_rows.page_of_due_hints(connection, instant, after, page)
            yield from hints
            if limit is not None or len(hints) < page:
                return
            after = hints[-1]

    def overdue_job_ids(self, *, due_before: datetime, after: UUID | None, limit: int) -> list[UUID]:
        with self._reading() as connection:
            return job_rows.page_of_overdue_ids(connection, due_before, after, limit)

    def local_job_ids(self, *, after: UUID | None, limit: int) -> list[UUID]:
        with self._reading() as connection:
            return job_rows.page_of_local_ids(connection, after, limit)

    def advance(
        self, advances: Sequence[Advance], *, ended: Collection[UUID] = (), by: Claimant | None = None
    ) -> dict[UUID, Run | None]:
        with self._writing() as connection:
            return claims.advance_jobs(connection, advances, ended, by=by)

    def take_back(self, claims_: Sequence[tuple[Assignment, int]]) -> set[UUID]:
        with self._changing() as connection:
            return taking_back.take_back_claims(connection, claims_)

    def add_manual_run(
        self, run: Run, *, ended: Collection[UUID] = (), by: Claimant | None = None, is_forced: bool = False
    ) -> UUID | None:
        with self._changing() as connection:
            return claims.add_manual_run(connection, run, ended, by=by, is_forced=is_forced)

    def claims_on_record(self, claims_: Mapping[UUID, UUID]) -> set[UUID]:
        with self._reading() as connection:
            return run_rows.claims_on_record(connection, claims_)

    def runs_to_end(self, node: UUID) -> list[tuple[UUID, str]]:
        with self._reading() as connection:
            return run_rows.runs_to_end(connection, node)

    def run(self, run_id: UUID) -> Run | None:
        with self._reading() as connection:
            return run_rows.find_run(connection, run_id)

    def finish(self, outcomes_: Sequence[Outcome], *, overs: Sequence[CallOver] = ()) -> Finished:
        with self._writing() as connection:
            finished, freed = outcomes.finish_runs(connection, outcomes_, overs)
        # After the commit, not in it: of a run that is claimed, and has to wait, at this very moment, one of two knows:
        # the claim, which then finds room, or this read, which finds the run.
        with self._reading() as connection:
            waiting = tuple(waiting_runs.released_hints(connection, freed))
        if waiting or any(outcome.state is RunState.RETRYING for outcome in outcomes_):
            self._transactions.announce()
        return replace(finished, waiting=waiting)

    def abandoned_runs(self, *, limit: int) -> list[Run]:
        with self._reading() as connection:
            return node_rows.abandoned_runs(connection, limit)

    def running_runs(self, node: UUID) -> list[Run]:
        with self._reading() as connection:
            return node_rows.running_runs(connection, node)

    def clear_stuck(self) -> int:
        # Asked with each heartbeat, and nearly always for nothing: that must not take the lock for writing.
        with self._reading() as connection:
            if not node_rows.has_stuck(connection):
                return 0
        with self._writing() as connection:
            return node_rows.clear_stuck(connection)

    def waiting_hints(self) -> Iterator[DueHint]:
        after: UUID | None = None
        while True:
            with self._reading() as connection:
                hints = waiting_runs.page_of_waiting_hints(connection, after, HINTS_PER_READ)
            yield from hints
            if len(hints) < HINTS_PER_READ:
                break
            after = hints[-1].run_id
        with self._reading() as connection:
            backfill_ids = backfill_rows.waiting_backfill_ids(connection)
        for first in range(0, len(backfill_ids), BACKFILLS_PER_READ):
            with self._reading() as connection:
                hints = waiting_runs.hints_of_backfills(connection, backfill_ids[first : first + BACKFILLS_PER_READ])
            yield from hints

    def waiting_hints_due(self, *, since: datetime, until: datetime, limit: int) -> list[DueHint]:
        with self._reading() as connection:
            return waiting_runs.hints_due(connection, since, until, limit)

    def waiting_hints_of(self, job_id: UUID) -> list[DueHint]:
        with self._reading() as connection:
            return waiting_runs.hints_of_job(connection, job_id)

    def waiting_runs(self, run_ids: Collection[UUID]) -> list[tuple[Run, Job]]:
        with self._reading() as connection:
            return waiting_runs.find_waiting(connection, run_ids)

    def start_waiting(
        self, starts: Sequence[WaitingStart], *, ended: Collection[UUID] = (), by: Claimant | None = None
    ) -> dict[UUID, Run]:
        with self._writing() as connection:
            return waiting_runs.start_waiting(connection, starts, ended, by=by)

    def end_waiting(
        self, run_ids: Collection[UUID], state: RunState, *, at: datetime, reason: str, code: ReasonCode | None = None
    ) -> int:
        with self._changing() as connection:
            return claims.end_waiting(connection, run_ids, state, at=at, why=reason, code=code)

    def ask_to_end(self, run_id: UUID, *, reason: str) -> bool:
        with self._changing() as connection:
            return claims.ask_to_end(connection, [run_id], why=reason) == 1

    def global_pause(self) -> Pause | None:
        with self._reading() as connection:
            return pause_rows.find_global_pause(connection)

    def begin_global_pause(self, pause: Pause) -> None:
        with self._changing() as connection:
            pause_rows.begin_global_pause(connection, pause)

    def end_global_pause(self, at: datetime, *, only: Pause | None = None) -> bool:
        with self._changing() as connection:
            return pause_rows.end_global_pause(connection, at, only)

    def node_started(self, record: NodeRecord) -> None:
        with self._writing() as connection:
            node_rows.insert_node(connection, record)

    def node_seen(self, node: UUID, at: datetime, load: Load) -> bool:
        with self._writing() as connection:
            return node_rows.see_node(connection, node, at, load)

    def node_back(self, record: NodeRecord) -> bool:
        with self._writing() as connection:
            return node_rows.bring_back_node(connection, record)

    def lose_node(self, node: UUID, *, beats: int, at: datetime) -> bool:
        with self._writing() as connection:
            return node_rows.lose_node(connection, node, beats, at)

    def live_nodes(self) -> list[NodeRecord]:
        with self._reading() as connection:
            return node_rows.live_nodes(connection)

    def node_stopped(self, node: UUID, at: datetime, *, since: datetime) -> bool:
        with self._writing() as connection:
            return node_rows.stop_node(connection, node, at, since)

    def uptimes(self, *, around: datetime) -> list[Uptime]:
        with self._reading() as connection:
            return node_rows.find_uptimes(connection, around)

    def pauses_over(self, job_id: UUID, *, at: datetime) -> list[KeptPause]:
        with self._reading() as connection:
            return pause_rows.find_pauses(connection, job_id, at=at)

    def runs_around(self, job_id: UUID, *, first: datetime, end: datetime) -> Around:
        with self._reading() as connection:
            return history_rows.find_around(connection, job_id, first, end)

    def history_page(self, *, job_id: UUID | None, until: Position, after: Position | None, limit: int) -> list[Entry]:
        with self._reading() as connection:
            return history_rows.page_of_history(connection, job_id=job_id, until=until, after=after, limit=limit)

    def crowded_jobs(self, *, newest: int, after: UUID | None, limit: int) -> tuple[list[CrowdedJob], UUID | None]:
        with self._reading() as connection:
            return history_rows.crowded_jobs(connection, newest=newest, after=after, limit=limit)

    def forget_runs(self, run_ids: Collection[UUID]) -> int:
        with self._writing() as connection:
            return history_rows.forget_runs(connection, run_ids)

    def forget_pauses(self, *, ended_before: datetime, limit: int) -> int:
        with self._writing() as connection:
            return history_rows.forget_pauses(connection, ended_before, limit)

    def forget_nodes(self, *, seen_before: datetime, keep: int, limit: int) -> int:
        with self._writing() as connection:
            return history_rows.forget_nodes(connection, seen_before, keep=keep, limit=limit)

    def calendars(self, names: Collection[str]) -> list[Calendar]:
        with self._reading() as connection:
            return calendar_rows.find_calendars(connection, names)

    def add_calendar(self, calendar: Calendar) -> None:
        with self._changing() as connection:
            calendar_rows.insert_calendar(connection, calendar)

    def replace_calendar(self, calendar: Calendar) -> Calendar:
        with self._changing() as connection:
            return calendar_rows.replace_calendar(connection, calendar)

    def add_calendar_dates(self, name: str, dates: Collection[date], *, updated_at: datetime) -> Calendar:
        with self._changing() as connection:
            return calendar_rows.add_dates(connection, name, dates, updated_at)

    def delete_calendar(self, name: str) -> None:
        with self._changing() as connection:
            calendar_rows.delete_calendar(connection, name)

    def job_ids_listing(self, calendar_name: str) -> list[UUID]:
        with self._reading() as connection:
            return [job_id for job_id, _ in calendar_rows.jobs_listing(connection, calendar_name)]

    def add_backfill(self, backfill: Backfill, runs: Sequence[Run]) -> None:
        with self._changing() as connection:
            backfill_rows.add_backfill(connection, backfill, runs)

    def cancel_backfill(
        self, backfill_id: UUID, *, at: datetime, reason: str
    ) -> tuple[BackfillEnding, BackfillProgress]:
        with self._changing() as connection:
            return backfill_rows.cancel_backfill(connection, backfill_id, at=at, why=reason)

    def check(self) -> None:
        with self._reading() as connection:
            job_rows.read_anything(connection)
        self._lock.check()
