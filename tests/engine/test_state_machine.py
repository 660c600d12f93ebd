"""Any order of requests, passing time and crashes, against a model of a few lines: Hypothesis looks for the bad one."""

import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from engine.nouns import JobStatus, Run, RunState, Trigger
from engine.requests import JobChange, JobDraft
from engine.timing import Timing
from tests.databases import open_new_store
from tests.fakes import Node

pytestmark = pytest.mark.once

SECONDS = st.integers(1, 40)
STATUSES = st.sampled_from([JobStatus.ACTIVE, JobStatus.PAUSED])


@dataclass
class Expected:
    """What the model believes of one job."""

    interval: int
    anchor_at: datetime
    is_active: bool
    next_at: datetime | None = None
    slots: list[datetime] = field(default_factory=list)
    """Slots that must have a row: as a run, or inside a missed stretch."""

    def schedule(self, now: datetime) -> None:
        count = (now - self.anchor_at) // timedelta(seconds=self.interval) + 1
        self.next_at = self.anchor_at + count * timedelta(seconds=self.interval) if self.is_active else None

    def pass_time(self, now: datetime) -> None:
        while self.next_at is not None and self.next_at <= now:
            self.slots.append(self.next_at)
            self.next_at += timedelta(seconds=self.interval)


class EngineMachine(RuleBasedStateMachine):
    """Rules are what clients, time and accidents do; invariants are what the laws promise."""

    jobs: Bundle[UUID] = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = open_new_store(self.folder)
        self.node = Node(self.store).start()
        self.expected: dict[UUID, Expected] = {}
        self.deleted: dict[UUID, Expected] = {}

    def teardown(self) -> None:
        self.node.stop()
        self.store.close()
        shutil.rmtree(self.folder)

    @property
    def now(self) -> datetime:
        return self.node.clock.now()

    @rule(target=jobs, interval=SECONDS, status=STATUSES)
    def create(self, interval: int, status: JobStatus) -> UUID:
        job = self.node.add(interval_seconds=float(interval), status=status)
        expected = Expected(interval, self.now, status is JobStatus.ACTIVE)
        expected.schedule(self.now)
        self.expected[job.id] = expected
        return job.id

    @rule(job_id=jobs, interval=SECONDS)
    def patch_interval(self, job_id: UUID, interval: int) -> None:
        self.node.scheduler.change_job(job_id, JobChange(timing={"interval_seconds": float(interval)}))
        self._reschedule(job_id, interval=interval)

    @rule(job_id=jobs)
    def patch_name(self, job_id: UUID) -> None:
        self.node.scheduler.change_job(job_id, JobChange(name="another name"))

    @rule(job_id=jobs, interval=SECONDS, status=STATUSES)
    def put(self, job_id: UUID, interval: int, status: JobStatus) -> None:
        draft = JobDraft("put", "note", Timing(interval_seconds=float(interval)), {}, status)
        self.node.scheduler.replace_job(job_id, draft)
        self._reschedule(job_id, interval=interval, is_active=status is JobStatus.ACTIVE)

    @rule(job_id=jobs)
    def pause(self, job_id: UUID) -> None:
        self.node.scheduler.pause_job(job_id)
        self._reschedule(job_id, is_active=False)

    @rule(job_id=jobs)
    def resume(self, job_id: UUID) -> None:
        self.node.scheduler.resume_job(job_id)
        self._reschedule(job_id, is_active=True)

    @rule(job_id=consumes(jobs))
    def delete(self, job_id: UUID) -> None:
        self.node.scheduler.delete_job(job_id)
        self.deleted[job_id] = self.expected.pop(job_id)

    @rule(job_id=jobs)
    def run_by_hand(self, job_id: UUID) -> None:
        self.node.scheduler.run_now(job_id)
        self.node.settle()

    @rule(seconds=st.integers(0, 120))
    def advance(self, seconds: int) -> None:
        self.node.advance(seconds)
        for expected in self.expected.values():
            expected.pass_time(self.now)

    @rule(downtime=st.integers(0, 300))
    def crash(self, downtime: int) -> None:
        """The process ends without a word; another one starts on the same database some time later."""
        self.node._agenda.stop()
        self.node.scheduler._timer.join(20)
        self.node.clock.step_wall(downtime)
        self.node = Node(self.store, clock=self.node.clock).start()
        self.node.advance(0)
        for expected in self.expected.values():
            expected.pass_time(self.now)

    @invariant()
    def stored_due_times_are_true(self) -> None:
        for job_id, expected in self.expected.items():
            job = self.store.job(job_id)
            assert job is not None
            assert job.next_run_at == expected.next_at
            assert (job.status is JobStatus.PAUSED) is not expected.is_active

    @invariant()
    def each_slot_has_exactly_one_row_and_no_row_is_off_the_grid(self) -> None:
        for job_id, expected in (self.expected | self.deleted).items():
            runs = [run for run in self._runs(job_id) if run.trigger is Trigger.SCHEDULE]
            rows = sorted(slot for run in runs for slot in covered(run, expected))
            assert rows == expected.slots

    @invariant()
    def nothing_is_left_running(self) -> None:
        for job_id in self.expected:
            assert all(run.state is not RunState.RUNNING for run in self._runs(job_id))
        health = self.node.scheduler.health()
        assert health.permits_free == health.permits
        assert health.running_runs == 0
        assert health.scheduled_jobs == sum(expected.is_active for expected in self.expected.values())

    def _reschedule(self, job_id: UUID, *, interval: int | None = None, is_active: bool | None = None) -> None:
        expected = self.expected[job_id]
        before = (expected.interval, expected.is_active)
        if interval is not None and interval != expected.interval:
            expected.interval, expected.anchor_at = interval, self.now
        if is_active is not None:
            expected.is_active = is_active
        if before != (expected.interval, expected.is_active):
            expected.schedule(self.now)

    def _runs(self, job_id: UUID) -> list[Run]:
        runs: list[Run] = []
        before: Any = None
        while page := self.store.views.runs_page(job_id=job_id, state=None, before=before, limit=500):
            runs += page
            before = (page[-1].scheduled_for, page[-1].id)
        return runs


def covered(run: Run, expected: Expected) -> list[datetime]:
    """The slots that a row stands for."""
    if run.last_scheduled_for is None or run.slot_count == 1:
        return [run.scheduled_for]
    step = (run.last_scheduled_for - run.scheduled_for) / (run.slot_count - 1)
    return [run.scheduled_for + index * step for index in range(run.slot_count)]


EngineMachine.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestEngineMachine = EngineMachine.TestCase
