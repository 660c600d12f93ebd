"""What must hold whatever happens: looked at with each commit, each entry, each answer, and at the end."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.simulation.calls import Calls, Entry
from tests.simulation.ledger import SCHEDULED, WAITING, Commit, Ledger, RunRecord
from tests.simulation.world import SECOND, World

ENDS_BY_CALL = frozenset({"succeeded", "failed", "timed_out"})
TRUST = 9 * SECOND
"""For how long after it has written something a node may start runs, so that nobody may declare it lost before."""

MOST_LATE = SECOND
"""How late a slot may start in quiet times."""

TROUBLE = 18 * SECOND
SMALL_TROUBLE = 5 * SECOND // 2
"""How long after the end of a trouble slots may be late: until a node that hangs is taken for dead, and backoffs are
over; or until the next node takes over."""

PACE = SECOND * 3 // 2
"""Within this time runs must have come home for as many to be claimed beyond the threads; more than it takes."""

SHORT_RUN_MS = 100

MOMENT = SECOND // 1_000
"""What the clocks of two nodes may differ by."""

FELT_WITHIN = 2 * SECOND
"""After this long, an edit on any node is in force on all."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the seed's own plan says of a job: the engine's idea of it is not asked."""

    max_instances: int | None
    key: str | None
    key_limit: int


@dataclass(slots=True)
class Rules:
    """Looks on, and keeps what was violated."""

    world: World
    violations: list[str] = field(default_factory=list)
    limits: dict[UUID, Limits] = field(default_factory=dict)
    calls: Calls = field(default_factory=Calls)
    ledger: Ledger = field(init=False)
    forced: set[UUID] = field(default_factory=set)
    deleted: set[tuple[Any, UUID]] = field(default_factory=set)
    paused: dict[tuple[Any, UUID], int] = field(default_factory=dict)
    edited: dict[UUID, tuple[int, int, int]] = field(default_factory=dict)
    """The number of the last edit of a job that was answered, and when that was, by the world and by the wall clock."""
    all_paused: dict[Any, int] = field(default_factory=dict)
    beats: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    lost_nodes: set[UUID] = field(default_factory=set)
    troubles: list[tuple[int, int, bool]] = field(default_factory=list)
    """From when to when slots may be late, and whether it was a small one."""
    pause_of_all: int | None = None
    """The number of the commit that paused everything, while that is in force."""
    pause_of_all_at: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self._run_changed, self._run_taken_back)

    def violated(self, text: str) -> None:
        self.world.note(f"VIOLATION {text}")
        self.violations.append(f"{self.world.now / SECOND:.6f} {text}")

    def troubled(self, until: int | None = None, *, is_small: bool = False) -> None:
        """Slots may be late from now on, until a while after `until`. Small: other nodes are well, and take over."""
        now = self.world.now
        self.troubles.append((now, max(now, until or now) + (SMALL_TROUBLE if is_small else TROUBLE), is_small))

    def was_troubled(self, slot: int, start: int) -> bool:
        """Whether something is to blame for a slot that started late: a small trouble only if it was not late yet."""
        soon = slot + MOST_LATE
        return any(begin <= (soon if is_small else start) and end >= slot for begin, end, is_small in self.troubles)

    # --- commits ---

    def committed(self, commit: Commit, changes: Any) -> None:
        if commit.verb.endswith("global_pause"):
            self.pause_of_all = commit.number if commit.verb == "begin_global_pause" else None
            self.pause_of_all_at = commit.at
            self.troubled()
        self.ledger.committed(commit, changes)
        for change in changes:
            if change.table == "nodes" and change.values is not None:
                self._node_changed(change.id, change.values, commit.began_at)
            if commit.verb == "add_manual_run" and change.table == "runs" and commit.request.kind == "run_forced":
                # From its row on, as its first attempt may not start: the next one has its place all the same.
                self.forced.add(change.id)
        for fault in self.ledger.faults:
            self.violated(fault)
        self.ledger.faults.clear()

    def _run_changed(self, commit: Commit, before: RunRecord | None, after: RunRecord) -> None:
        if after.state == "running" and (before is None or before.state != "running"):
            self._claimed(commit, before, after)
        if before is None:
            return
        if before.state == "running" and after.state != "running":
            self._ended(commit, before, after)
        elif before.state not in {*WAITING, "running", after.state}:
            self.violated(f"run {after.id} was {before.state} and is made {after.state} by {commit.verb}")

    def _run_taken_back(self, run: RunRecord) -> None:
        if self.calls.by_run.get(run.id):
            self.violated(f"run {run.id} was called, and its claim is taken back")

    def _claimed(self, commit: Commit, before: RunRecord | None, after: RunRecord) -> None:
        job = self.ledger.jobs.get(after.job_id)
        if job is None:
            self.violated(f"run {after.id} is claimed after its job was deleted")
        elif job.is_paused and (after.values["trigger"] == "schedule" or before is not None):
            self.violated(f"run {after.id} is claimed while its job is paused")
        elif before is None and after.values["trigger"] == "schedule" and job.values["status"] not in SCHEDULED:
            self.violated(f"run {after.id} is claimed while its job is {job.values['status']}")
        if after.node != commit.process.node:
            self.violated(f"run {after.id} is claimed for another node")

    def _ended(self, commit: Commit, before: RunRecord, after: RunRecord) -> None:
        end = _end_of_attempt(after)
        if end in ENDS_BY_CALL and not self.calls.of(before.id, before.attempt) and after.attempt == before.attempt:
            self.violated(f"run {after.id} is {end} and attempt {before.attempt} was never called")
        if commit.process.node == before.node:
            return
        owner = next((each for each in self._processes() if each.node == before.node), None)
        if end != "lost":
            self.violated(f"run {after.id} is made {after.state} by a node that does not own it")
        elif owner is not None and not owner.is_gone and before.changed_at > owner.troubled_until:
            self.violated(f"run {after.id} is made lost although its node {owner.name} is well")

    processes: Callable[[], list[Any]] = list

    def _processes(self) -> list[Any]:
        return self.processes()

    def _node_changed(self, node: UUID, values: dict[str, Any], began_at: int) -> None:
        process = next(each for each in self._processes() if each.node == node)
        beats, at = self.beats.get(node, (-1, 0))
        if values["lost_at"] is None:
            self.lost_nodes.discard(node)
        else:
            self.lost_nodes.add(node)
        if values["beats"] > beats:
            # Its trust counts from before the write, and who is new may take what the row says of that for its silence.
            self.beats[node] = values["beats"], began_at
        elif values["lost_at"] is not None and values["stopped_at"] is None:
            since = self.world.now - at
            if since < TRUST and not (process.is_dead and process.is_one_host):
                self.violated(f"{process.name} is declared lost {since / SECOND:.3f} s after it was heard of")

    # --- entries ---

    def entered(self, entry: Entry, claim_id: Any = None) -> None:
        """A gate has let the run in, this very moment."""
        if entry.process.node in self.lost_nodes:
            self.violated(f"run {entry.run_id} starts on {entry.process.name}, which the others have declared lost")
        self._check_record(entry, claim_id)
        self._check_barriers(entry)
        for other in self.calls.by_key.get(entry.key, ()):
            self.violated(
                f"slot {entry.slot / SECOND:.6f} of job {entry.job_id}, attempt {entry.attempt}, starts a second time "
                f"({entry.process.name}; before {other.process.name} at {other.entered_at / SECOND:.6f})"
            )
        self._check_limits(entry)
        self.calls.add(entry)

    def _check_record(self, entry: Entry, claim_id: Any) -> None:
        run = self.ledger.runs.get(entry.run_id)
        if run is None:
            self.violated(f"run {entry.run_id} starts without a row")
        elif run.state != "running":
            self.violated(f"run {entry.run_id} starts while it is {run.state}")
        elif run.node != entry.process.node or run.attempt != entry.attempt:
            self.violated(f"run {entry.run_id} starts attempt {entry.attempt} and its row is of another claim")
        elif claim_id is not None and UUID(run.values["claim_id"]) != claim_id:
            self.violated(f"run {entry.run_id} starts by a claim that is not the one on record")

    def _check_barriers(self, entry: Entry) -> None:
        run, place = self.ledger.runs.get(entry.run_id), (entry.process, entry.job_id)
        claimed_by = None if run is None else run.claimed_by
        if claimed_by is None:
            return
        self._check_other_nodes(entry, claimed_by)
        if place in self.deleted:
            self.violated(f"run {entry.run_id} starts after the deletion of its job was answered")
        if claimed_by < self.paused.get(place, 0):
            self.violated(f"run {entry.run_id} starts after the pause of its job was answered")
        edited_by, answered_at, ahead = self.edited.get(entry.job_id, (0, 0, 0))
        is_due_later = entry.slot - ahead > answered_at + MOMENT and ahead == entry.ahead
        if entry.trigger == "schedule" and claimed_by < edited_by and is_due_later and entry.attempt == 1:
            self.violated(f"run {entry.run_id} starts as its job was before an edit that was answered before its slot")
        if entry.is_forced:
            return
        if self.pause_of_all is not None and self.all_paused.get(entry.process, 0) >= self.pause_of_all:
            self.violated(f"run {entry.run_id} starts after the pause of everything was answered")

    def _check_other_nodes(self, entry: Entry, claimed_by: int) -> None:
        """What any node has done is in force on all of them soon."""
        at = self._stopped_at(entry, claimed_by)
        if at is not None and self.world.now > at + FELT_WITHIN and entry.process.troubled_until + FELT_WITHIN < at:
            self.violated(f"run {entry.run_id} starts {(self.world.now - at) / SECOND:.3f} s after it was stopped")

    def _stopped_at(self, entry: Entry, claimed_by: int) -> int | None:
        """When the job was deleted or paused, or everything was, after the claim."""
        job = self.ledger.jobs.get(entry.job_id)
        if job is None:
            return self.ledger.deleted_at.get(entry.job_id)
        if job.is_paused and job.paused_by is not None and claimed_by < job.paused_by:
            return job.paused_at
        if self.pause_of_all is not None and not entry.is_forced:
            return self.pause_of_all_at
        return None

    def _check_limits(self, entry: Entry) -> None:
        limits = self.limits.get(entry.job_id)
        if limits is None or entry.run_id in self.forced or entry.trigger == "backfill":
            return
        going = [each for each in self.calls.going_on if each.run_id not in self.forced and self._counts(each)]
        of_job = sum(each.job_id == entry.job_id for each in going)
        if limits.max_instances is not None and of_job >= limits.max_instances:
            self.violated(f"run {entry.run_id} is one of {of_job + 1} at once, of at most {limits.max_instances}")
        if limits.key is not None:
            of_key = sum(self.limits[each.job_id].key == limits.key for each in going if each.job_id in self.limits)
            if of_key >= limits.key_limit:
                self.violated(f"run {entry.run_id} is one of {of_key + 1} at once of key {limits.key}")

    def _counts(self, entry: Entry) -> bool:
        """Whether the database knows that it goes on; a node that is taken for lost may still be in a call."""
        run = self.ledger.runs.get(entry.run_id)
        if run is None:
            return False
        is_of_this = run.attempt == entry.attempt and run.node == entry.process.node
        return is_of_this and (run.state == "running" or bool(run.values["is_stuck"]))

    # --- answers ---

    def deletion_answered(self, process: Any, job_id: UUID) -> None:
        self.deleted.add((process, job_id))

    def pause_answered(self, process: Any, job_id: UUID) -> None:
        job = self.ledger.jobs.get(job_id)
        if job is not None and job.is_paused and job.paused_by is not None:
            self.paused[process, job_id] = job.paused_by

    def edit_answered(self, job_id: UUID) -> None:
        job = self.ledger.jobs.get(job_id)
        if job is not None:
            self.edited[job_id] = job.edited_by, self.world.now, self.world.ahead

    def pause_of_all_answered(self, process: Any) -> None:
        if self.pause_of_all is not None:
            self.all_paused[process] = self.pause_of_all

    def came_home(self, node: UUID) -> int:
        """How many short runs of the node are over since a moment ago: its read-ahead may go by that."""
        since = self.world.now - PACE
        return sum(
            run.node == node and run.changed_at >= since and (run.values["duration_ms"] or PACE) <= SHORT_RUN_MS
            for run in self.ledger.runs.values()
        )

    # --- the end ---

    def check_calls(self) -> None:
        """What is on record of each run, held against its calls."""
        for run in self.ledger.runs.values():
            for fault in self._faults_of(run):
                self.violated(f"run {run.id} {fault}")

    def _faults_of(self, run: RunRecord) -> Iterator[str]:
        entries = self.calls.by_run.get(run.id, [])
        if run.state in ("skipped", "missed") and entries:
            yield f"is {run.state}, and was called {len(entries)} times"
        if run.state == "succeeded" and not any(
            each.end == "returned" and each.attempt == run.attempt for each in entries
        ):
            yield "is succeeded, and no call of it returned"


def _end_of_attempt(run: RunRecord) -> str:
    if run.state != "retrying":
        return run.state
    earlier = run.values["earlier_attempts"]
    return "retrying" if not earlier else str(json.loads(earlier)[-1]["state"])
