"""From due hints to started runs: read, plan, claim in one transaction, hand to the pool."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from engine.agenda import Agenda
from engine.calendars import Calendars
from engine.errors import StoreUnavailable
from engine.gate import StartGate
from engine.limits import LOST_CLAIM_RETRY_SECONDS
from engine.nouns import Assignment, DueHint, Job, Run, RunState
from engine.planning import Plan, plan_claim
from engine.ports import Clock, Ids, Store
from engine.quarantine import Quarantine
from engine.reading import calendars_of, read_jobs
from engine.recorder import Recorder
from engine.run_path import as_text, run_keys
from registry import JobFunction

log = structlog.get_logger("scheduler.timer")

Start = Callable[[Assignment], None]


@dataclass(frozen=True, slots=True)
class Doubt:
    """A claim of which nobody knows whether it was written, and when its job is to be looked at again."""

    plan: Plan
    look_again_after_seconds: float


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
        self._in_doubt: list[Doubt] = []
        self._suspects: set[UUID] = set()
        self._quarantine = Quarantine()

    def dispatch(self, hints: Sequence[DueHint]) -> None:
        """Claim and start the jobs of the hints. Raises what the store raises; they come up again by themselves."""
        if not hints:
            return
        try:
            plans = self._plan(hints)
        except Exception:
            self._agenda.give_back(len(hints))
            for hint in hints:
                self._agenda.push(hint)
            raise
        self._agenda.give_back(len(hints) - len(plans))
        batches = list(self._batches(plans))
        while batches:
            try:
                self._claim(batches.pop(0))
            except Exception:
                self._give_up([plan for batch in batches for plan in batch])
                raise

    def settle_doubt(self) -> None:
        """Find out what became of claims that raised, by the ids of their runs: their commit is never assumed."""
        if not self._in_doubt:
            return
        run_ids = [doubt.plan.run.id for doubt in self._in_doubt]
        on_record = self._store.running_run_ids(run_ids)
        doubts, self._in_doubt = self._in_doubt, []
        # While the database is away nothing is on record, try after try: that is told once, by the loop.
        if on_record:
            log.info("doubtful claims settled", claims=len(doubts), on_record=len(on_record))
        for doubt in doubts:
            plan = doubt.plan
            self._conclude(plan, plan.run if plan.run.id in on_record else None)
            self._agenda.push_later(plan.job.id, doubt.look_again_after_seconds)

    def _plan(self, hints: Sequence[DueHint]) -> list[Plan]:
        jobs, unreadable = read_jobs(self._store, [hint.job_id for hint in hints])
        for job_id, error in unreadable.items():
            self._put_off(job_id, "job unreadable", error)
        # Deleted, paused or completed since the hint was given: the hint is dropped, the store is the truth (law 1).
        due = [jobs[hint.job_id] for hint in hints if hint.job_id in jobs]
        calendars = calendars_of(self._store, due)
        now = self._clock.now()
        plans = [self._plan_one(job, calendars, now) for job in due if job.is_scheduled]
        return [plan for plan in plans if plan is not None]

    def _plan_one(self, job: Job, calendars: Calendars, now: datetime) -> Plan | None:
        try:
            plan = plan_claim(job, calendars, now=now, node=self._node, new_id=self._new_id, refusal=self._refusal(job))
        # A schedule that cannot be read any more: one such job must not hold the others.
        except Exception as error:  # noqa: BLE001 - one job of many
            self._put_off(job.id, "job unreadable", error)
            return None
        if plan is None:
            self._agenda.push_next(job.id, due_at=job.next_run_at, version=job.version)
        return plan

    def _refusal(self, job: Job) -> str | None:
        if job.function_name in self._functions:
            return None
        return f"function {job.function_name} is not registered"

    def _put_off(self, job_id: UUID, event: str, error: Exception) -> None:
        self._agenda.push_later(job_id, self._quarantine.put_off(job_id, event, error))

    def _batches(self, plans: list[Plan]) -> Iterator[list[Plan]]:
        """All in one, but for the jobs of a batch that failed by a mistake: each of those alone."""
        together = [plan for plan in plans if plan.job.id not in self._suspects]
        if together:
            yield together
        for plan in plans:
            if plan.job.id in self._suspects:
                yield [plan]

    def _claim(self, plans: list[Plan]) -> None:
        for plan in plans:
            self._gate.open(Assignment(plan.run, plan.job), version=plan.job.version + 1)
        try:
            recorded = self._store.advance([plan.advance for plan in plans], ended=self._recorder.waiting_run_ids())
        except StoreUnavailable:
            self._doubt(plans, look_again_after_seconds=0.0)
            raise
        except Exception as error:
            self._suspect(plans, error)
            if len(plans) > 1:
                raise
            return
        for plan in plans:
            self._suspects.discard(plan.job.id)
            self._quarantine.release(plan.job.id)
            self._conclude(plan, recorded.get(plan.job.id))
            self._push_next(plan, is_ours=plan.job.id in recorded)

    def _give_up(self, plans: list[Plan]) -> None:
        """Plans that were not tried: nothing is in doubt, and the jobs come up again."""
        self._agenda.give_back(len(plans))
        for plan in plans:
            self._agenda.push_later(plan.job.id, 0.0)

    def _suspect(self, plans: list[Plan], error: Exception) -> None:
        """A mistake, of ours or of someone who edited a row: find the job it belongs to, and leave it for later."""
        self._suspects.update(plan.job.id for plan in plans)
        is_found = len(plans) == 1
        seconds = self._quarantine.put_off(plans[0].job.id, "slot not recorded", error) if is_found else 0.0
        self._doubt(plans, look_again_after_seconds=seconds)

    def _doubt(self, plans: list[Plan], *, look_again_after_seconds: float) -> None:
        """The commit may have happened. The permits and tickets are kept until the store has told."""
        self._in_doubt.extend(Doubt(plan, look_again_after_seconds) for plan in plans)

    def _conclude(self, plan: Plan, recorded: Run | None) -> None:
        """Start the run that was claimed, or give back its ticket and permit."""
        if recorded is not None:
            log_missed(plan.advance.missed)
        if recorded is not None and recorded.state is RunState.RUNNING:
            self._start(Assignment(recorded, plan.job))
            return
        self._gate.close(plan.run.id)
        self._agenda.give_back()
        if recorded is not None:
            log.info("slot skipped", **run_keys(recorded), reason=recorded.reason)

    def _push_next(self, plan: Plan, *, is_ours: bool) -> None:
        if is_ours:
            next_run_at, version = plan.advance.next_run_at, plan.job.version + 1
            self._agenda.push_next(plan.job.id, due_at=next_run_at, version=version)
        else:
            # Someone moved the job on, or holds it locked. Looking again in a moment also heals a push that was lost.
            self._agenda.push_later(plan.job.id, LOST_CLAIM_RETRY_SECONDS)


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
