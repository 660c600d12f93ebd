"""What is on record, followed commit by commit from the journal, and who did it: the facts that rules look at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.simulation.calendar import Epoch, Grid, Row
from tests.simulation.clock import microseconds_of
from tests.simulation.database import Change

SCHEDULED = frozenset({"active", "failed"})
WAITING = frozenset({"queued", "retrying"})
EDITS = frozenset({"replace_job", "delete_job", "delete_all_jobs", "add_job"})


@dataclass(slots=True)
class JobRecord:
    """A job as it is on record; `paused_by` and `edited_by` are the numbers of the commits that did so last."""

    id: UUID
    values: dict[str, Any]
    grid: Grid
    epoch: Epoch | None = None
    paused_by: int | None = None
    paused_at: int = 0
    edited_by: int = 0

    @property
    def is_paused(self) -> bool:
        return bool(self.values["status"] == "paused")

    @property
    def next_at(self) -> int | None:
        return _us(self.values["next_run_at"])

    @property
    def last_slot(self) -> int | None:
        return _us(self.values["last_scheduled_for"])


@dataclass(slots=True)
class RunRecord:
    """A run as it is on record; `claimed_by` is the number of the commit that made it running last."""

    id: UUID
    job_id: UUID
    values: dict[str, Any]
    claimed_by: int | None = None
    changed_at: int = 0
    has_waited: bool = False

    @property
    def state(self) -> str:
        return str(self.values["state"])

    @property
    def node(self) -> UUID:
        return UUID(self.values["node"])

    @property
    def attempt(self) -> int:
        return int(self.values["attempt"])

    @property
    def slot(self) -> int:
        return microseconds_of(self.values["scheduled_for"])


@dataclass(slots=True)
class Commit:
    """One transaction that changed something; `began_at` is when its verb was called."""

    number: int
    at: int
    began_at: int
    verb: str
    process: Any
    request: Any


@dataclass(slots=True)
class Ledger:
    """All rows of one seed, the epochs of all jobs, and what looks at each change of a run."""

    watch_run: Callable[[Commit, RunRecord | None, RunRecord], None]
    watch_taken_back: Callable[[RunRecord], None]
    jobs: dict[UUID, JobRecord] = field(default_factory=dict)
    runs: dict[UUID, RunRecord] = field(default_factory=dict)
    epochs: dict[UUID, list[Epoch]] = field(default_factory=dict)
    deleted_at: dict[UUID, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    commits: int = 0

    def committed(self, commit: Commit, changes: Sequence[Change]) -> None:
        """Runs first: the row of a slot that an edit drops belongs to the epoch before the edit."""
        for change in changes:
            if change.table == "runs" and change.values is not None:
                self._run_changed(commit, change)
            elif change.table == "runs" and commit.verb == "take_back":
                self._run_taken_back(change)
        for change in changes:
            if change.table == "jobs":
                self._job_changed(commit, change)

    def _run_changed(self, commit: Commit, change: Change) -> None:
        assert change.values is not None
        before = self.runs.get(change.id)
        after = RunRecord(change.id, UUID(change.values["job_id"]), change.values, changed_at=commit.at)
        after.claimed_by = commit.number if after.state == "running" else None if before is None else before.claimed_by
        if before is not None and before.state == after.state == "running":
            after.claimed_by = before.claimed_by
        after.has_waited = after.state in WAITING or (before is not None and before.has_waited)
        self.watch_run(commit, before, after)
        self.runs[change.id] = after
        if before is None and after.values["trigger"] == "schedule":
            self._keep_row(after)

    def _keep_row(self, run: RunRecord) -> None:
        job = self.jobs.get(run.job_id)
        if job is None or job.epoch is None:
            self.faults.append(f"run {run.id} of slot {run.slot} appears for a job that is not scheduled")
            return
        last = _us(run.values["last_scheduled_for"])
        job.epoch.rows.append(Row(run.slot, run.slot if last is None else last, run.values["slot_count"], run.state))

    def _run_taken_back(self, change: Change) -> None:
        """As if its slot had never been claimed, also where that was the last one of its job."""
        run = self.runs.pop(change.id)
        epoch = self.epochs[run.job_id][-1]
        epoch.rows.remove(next(row for row in epoch.rows if row.first == run.slot))
        epoch.required = epoch.allowed = None
        self.jobs[run.job_id].epoch = epoch
        self.watch_taken_back(run)

    def _job_changed(self, commit: Commit, change: Change) -> None:
        before = self.jobs.get(change.id)
        if change.values is None:
            if before is not None:
                _end(before, commit)
                del self.jobs[change.id]
                self.deleted_at[change.id] = commit.at
            return
        after = JobRecord(change.id, change.values, Grid.of(change.values))
        self.jobs[change.id] = after
        if before is not None:
            after.epoch, after.paused_by, after.paused_at = before.epoch, before.paused_by, before.paused_at
            after.edited_by = before.edited_by
        if after.is_paused and (before is None or not before.is_paused):
            after.paused_by, after.paused_at = commit.number, commit.at
        if commit.verb in EDITS:
            after.edited_by = commit.number
            self._edited(commit, before, after)
        elif after.next_at is None and after.epoch is not None:
            # Its last run is claimed.
            after.epoch.required = after.epoch.allowed = after.last_slot
            after.epoch = None

    def _edited(self, commit: Commit, before: JobRecord | None, after: JobRecord) -> None:
        if before is not None and (before.grid, before.next_at) == (after.grid, after.next_at):
            return
        if before is not None:
            _end(before, commit)
        after.epoch = None
        if after.next_at is not None:
            after.epoch = Epoch(after.grid, after.next_at)
            self.epochs.setdefault(after.id, []).append(after.epoch)
            self._check_first_slot(commit, before, after)

    def _check_first_slot(self, commit: Commit, before: JobRecord | None, after: JobRecord) -> None:
        since = microseconds_of(after.values["updated_at"])
        # A completed job has no pause to catch up on.
        is_paused = before is not None and before.values["paused_at"] is not None
        if before is not None and is_paused and getattr(commit.request, "is_catching_up", False):
            since = microseconds_of(before.values["paused_at"])
        since = max(since, after.last_slot or since)
        if after.next_at != after.grid.first_after(since):
            self.faults.append(f"job {after.id} is edited and due at {after.next_at}, not first after {since}")


def _end(job: JobRecord, commit: Commit) -> None:
    """The job's epoch ends: what was due when the edit was asked for must be on record, what came due since may be."""
    epoch = job.epoch
    if epoch is None or epoch.required is not None:
        return
    now = commit.process.reads_clock()
    claimed = epoch.first - 1 if job.next_at is None else job.next_at - 1
    if job.next_at is None:
        claimed = job.last_slot or claimed
    begun = claimed if commit.request is None else commit.request.began_at
    is_over = job.values["status"] == "completed"
    epoch.required = claimed if is_over else max(claimed, min(begun, now))
    epoch.allowed = claimed if is_over else max(claimed, begun, now)


def _us(at: str | None) -> int | None:
    return None if at is None else microseconds_of(at)
