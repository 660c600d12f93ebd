"""From due hints to started runs: read, plan, claim in one transaction, hand to the pool."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from engine.agenda import Agenda
from engine.errors import SchedulerError, StoreUnavailable
from engine.gate import StartGate
from engine.limits import LOST_CLAIM_RETRY_SECONDS, UNREADABLE_JOB_RETRY_SECONDS
from engine.nouns import Advance, Assignment, DueHint, Job, Run, RunState
from engine.planning import plan_claim
from engine.ports import Clock, Ids, Store
from engine.recorder import Recorder
from engine.run_path import as_text, run_keys
from registry import JobFunction

log = structlog.get_logger("scheduler.timer")

Start = Callable[[Assignment], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """One job on its way through a claim."""

    job: Job
    advance: Advance


class Dispatcher:
    """Claims what is due and starts it. Used by the timer thread only.

    Each hint comes with a permit; whatever becomes of the hint, its permit ends with a started run or goes back.
    """

    def __init__(  # noqa: PLR0913 - the parts it joins, each once
        self,
        *,
        store: Store,
        agenda: Agenda,
        gate: StartGate,
        recorder: Recorder,
        clock: Clock,
        functions: Mapping[str, JobFunction],
        node: UUID,
        new_id: Ids,
        start: Start,
    ) -> None:
        self._store = store
        self._agenda = agenda
        self._gate = gate
        self._recorder = recorder
        self._clock = clock
        self._functions = functions
        self._node = node
        self._new_id = new_id
        self._start = start
        self._in_doubt: list[Plan] = []

    def dispatch(self, hints: Sequence[DueHint]) -> None:
        """Claim and start the jobs of the hints. Raises StoreUnavailable; then they come up again by themselves."""
        if not hints:
            return
        try:
            plans = self._plan(hints)
        except Exception:
            self._agenda.give_back(len(hints))
            self._return_hints(hints)
            raise
        self._agenda.give_back(len(hints) - len(plans))
        if plans:
            self._claim(plans)

    def settle_doubt(self) -> None:
        """Find out what became of claims whose commit was not answered, by the ids of their runs: never assume."""
        if not self._in_doubt:
            return
        run_ids = [plan.advance.run.id for plan in self._in_doubt if plan.advance.run is not None]
        on_record = self._store.running_run_ids(run_ids)
        plans, self._in_doubt = self._in_doubt, []
        log.info("doubtful claims settled", claims=len(plans), on_record=len(on_record))
        for plan in plans:
            run = plan.advance.run
            self._conclude(plan, run if run is not None and run.id in on_record else None)
            self._agenda.hasten(plan.job.id)

    def _plan(self, hints: Sequence[DueHint]) -> list[Plan]:
        jobs = {job.id: job for job in self._store.jobs_by_id([hint.job_id for hint in hints])}
        plans = [self._plan_one(hint, jobs.get(hint.job_id)) for hint in hints]
        return [plan for plan in plans if plan is not None]

    def _plan_one(self, hint: DueHint, job: Job | None) -> Plan | None:
        # Deleted, paused or completed since the hint was given: the hint is dropped, the store is the truth (law 1).
        if job is None or not job.is_scheduled:
            return None
        try:
            advance = plan_claim(
                job, now=self._clock.now(), node=self._node, new_id=self._new_id, refusal=self._refusal(job)
            )
        # One job that cannot be read must not hold the others.
        except SchedulerError as error:
            log.error("job unreadable", job_id=str(job.id), error=str(error))  # noqa: TRY400 - the message says it all
            self._agenda.push_later(hint, UNREADABLE_JOB_RETRY_SECONDS)
            return None
        if advance is None:
            self._agenda.push_next(job.id, due_at=job.next_run_at, version=job.version)
            return None
        return Plan(job, advance)

    def _refusal(self, job: Job) -> str | None:
        if job.function_name in self._functions:
            return None
        return f"function {job.function_name} is not registered"

    def _claim(self, plans: list[Plan]) -> None:
        for plan in plans:
            if plan.advance.run is not None:
                self._gate.open(Assignment(plan.advance.run, plan.job), version=plan.job.version + 1)
        try:
            recorded = self._store.advance([plan.advance for plan in plans], ended=self._recorder.waiting_run_ids())
        except StoreUnavailable:
            # The commit may have happened. The permits and tickets are kept until the store has told.
            self._in_doubt.extend(plans)
            raise
        except Exception:
            for plan in plans:
                self._conclude(plan, None)
            self._return_hints(
                [DueHint(plan.job.id, plan.advance.last_scheduled_for, plan.job.version) for plan in plans]
            )
            raise
        for plan in plans:
            self._conclude(plan, recorded.get(plan.job.id))
            self._push_next(plan, is_ours=plan.job.id in recorded)

    def _conclude(self, plan: Plan, recorded: Run | None) -> None:
        """Start the run that was claimed, or give back its ticket and permit."""
        run = plan.advance.run
        if recorded is not None and recorded.state is RunState.RUNNING:
            self._start(Assignment(recorded, plan.job))
            return
        if run is not None:
            self._gate.close(run.id)
        self._agenda.give_back()
        if recorded is not None:
            log.info("slot skipped", **run_keys(recorded), reason=recorded.reason)

    def _push_next(self, plan: Plan, *, is_ours: bool) -> None:
        if not is_ours:
            # Someone moved the job on, or holds it locked. Looking again in a moment also heals a push that was lost.
            self._agenda.push_later(DueHint(plan.job.id, self._clock.now(), plan.job.version), LOST_CLAIM_RETRY_SECONDS)
            return
        log_missed(plan.advance.missed)
        self._agenda.push_next(plan.job.id, due_at=plan.advance.next_run_at, version=plan.advance.expected_version + 1)

    def _return_hints(self, hints: Sequence[DueHint]) -> None:
        for hint in hints:
            self._agenda.push(hint)


def log_missed(missed: Run | None) -> None:
    """One line for a stretch of slots that were never claimed (law 11)."""
    if missed is None:
        return
    log.warning(
        "slots missed",
        job_id=str(missed.job_id),
        run_id=str(missed.id),
        function_name=missed.function_name,
        slot_count=missed.slot_count,
        first=as_text(missed.scheduled_for),
        last=as_text(missed.last_scheduled_for or missed.scheduled_for),
        reason=missed.reason,
    )
