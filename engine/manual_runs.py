"""Runs that someone asks for: claimed by the thread of the request, waiting in the pool's queue if it is full."""

from uuid import UUID

from engine.agenda import Agenda
from engine.errors import JobNotFound, NotScheduling, RunInTheWay
from engine.gate import Refusal, StartGate
from engine.nodes import Claimant
from engine.nouns import Assignment, Job, Run, RunState, Trigger
from engine.ports import Clock, Ids, Store
from engine.runner import Runner


class ManualRuns:
    """Claims and starts runs outside the schedule. May be used from any thread."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        agenda: Agenda,
        gate: StartGate,
        runner: Runner,
        node: UUID,
        new_id: Ids,
        runs_jobs: bool,
    ) -> None:
        self._store = store
        self._clock = clock
        self._agenda = agenda
        self._gate = gate
        self._runner = runner
        self._node = node
        self._new_id = new_id
        self._runs_jobs = runs_jobs

    def start(self, job: Job, *, is_forced: bool = False) -> Run:
        """Raises JobNotFound, RunInTheWay, PoolFull, NotScheduling, StoreUnavailable."""
        if not self._runs_jobs:
            return self._leave_to_others(job, is_forced=is_forced)
        lane = self._runner.lane_of(job.function_name)
        run = self._new_run(job, has_thread=self._agenda.overdraw(lane))
        assignment = Assignment(run, job)
        self._gate.open(assignment, version=job.version, is_forced=is_forced)
        if self._gate.is_shut:
            self._runner.withdraw(run)
            raise NotScheduling
        self._keep(assignment, is_forced=is_forced)
        self._runner.start(assignment)
        return run

    def _leave_to_others(self, job: Job, *, is_forced: bool) -> Run:
        """Keep the run for a node that runs jobs. Forced, it is taken although others are in its way, and waits."""
        run = self._new_run(job, has_thread=False)
        run = run.queued("waits for a node that runs jobs", at=run.scheduled_for)
        in_the_way = self._store.add_manual_run(run, is_forced=is_forced)
        if in_the_way is not None:
            raise RunInTheWay(in_the_way)
        return run

    def _new_run(self, job: Job, *, has_thread: bool) -> Run:
        now = self._clock.now()
        return Run(
            id=self._new_id(),
            claim_id=self._new_id(),
            job_id=job.id,
            function_name=job.function_name,
            trigger=Trigger.MANUAL,
            scheduled_for=now,
            state=RunState.RUNNING,
            node=self._node,
            started_at=now if has_thread else None,
            lateness_ms=0.0 if has_thread else None,
            concurrency_key=job.policies.concurrency_key,
        )

    def _keep(self, assignment: Assignment, *, is_forced: bool) -> None:
        run = assignment.run
        ended = self._runner.recorder.ended_claims()
        begun, claimant = self._clock.monotonic(), Claimant(self._node, self._clock.now())
        try:
            in_the_way = self._store.add_manual_run(run, ended=ended, by=claimant, is_forced=is_forced)
            self._gate.trust(begun)
        except JobNotFound:
            self._runner.withdraw(run)
            raise
        except BaseException:
            # Perhaps it is on record, and its caller is told that it is not: then it must end there without a start.
            # The outcome carries ticket and permit home, and is recorded as soon as the store answers.
            self._runner.end_unstarted(assignment, Refusal("the database did not answer when it was requested"))
            raise
        if in_the_way is not None:
            self._runner.withdraw(run)
            raise RunInTheWay(in_the_way)
