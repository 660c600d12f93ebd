"""From due hints to started runs: read, plan, claim in one transaction, hand to the pool."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from engine.agenda import Agenda, Taken
from engine.backfills import hint_priority
from engine.calendars import Calendars
from engine.errors import JobNotFound, StoreUnavailable
from engine.gate import StartGate, Ticket
from engine.heap import DOUBT
from engine.limits import LOST_CLAIM_RETRY_SECONDS
from engine.nodes import Claimant
from engine.nouns import Assignment, DueHint, Job, Run, RunState
from engine.planning import Plan, plan_claim
from engine.policies import OverlapPolicy
from engine.ports import Clock, Ids, Store
from engine.quarantine import Quarantine
from engine.reading import calendars_of, read_jobs
from engine.recorder import Recorder
from engine.run_path import as_text, run_keys
from engine.values import quick_dataclass
from engine.waiting import WaitingRuns
from registry import JobFunction, Lane

log = structlog.get_logger("scheduler.timer")

Start = Callable[[Assignment], None]


@quick_dataclass(frozen=True, slots=True)
class Claim:
    """A plan with the permit that it holds, if it is to start a run."""

    plan: Plan
    lane: Lane

    @property
    def run(self) -> Run | None:
        """The run that it would start."""
        return self.plan.advance.run

    @property
    def runs(self) -> list[Run]:
        """All that it would start, now or later."""
        return [run for run in (self.run, *self.plan.advance.queued) if run is not None]

    @property
    def job_id(self) -> UUID:
        """The job that it moves on."""
        return self.plan.job.id


@quick_dataclass(frozen=True, slots=True)
class Doubt:
    """A claim of which nobody knows whether it was written, and when its job is to be looked at again."""

    claim: Claim
    look_again_after_seconds: float


class Dispatcher:
    """Claims what is due and starts it. Used by the timer thread only.

    Each hint comes with a permit; whatever becomes of the hint, its permit ends with a started run or goes back.
    `resume` ends the pause of a job whose time has come; `supersede` ends the runs of a job that a later one replaces.
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
        ahead_seconds: float,
        start: Start,
        resume: Callable[[UUID], object],
        supersede: Callable[[Run], None],
    ) -> None:
        self._store = store
        self._agenda = agenda
        self._gate = gate
        self._recorder = recorder
        self._clock = clock
        self._functions = functions
        self._node = node
        self._new_id = new_id
        self._ahead = timedelta(seconds=ahead_seconds)
        self._start = start
        self._resume = resume
        self._supersede = supersede
        self._in_doubt: list[Doubt] = []
        self._suspects: set[UUID] = set()
        self._quarantine = Quarantine()
        self._waiting = WaitingRuns(
            store=store,
            agenda=agenda,
            gate=gate,
            recorder=recorder,
            clock=clock,
            functions=functions,
            node=node,
            new_id=new_id,
            start=start,
        )

    def dispatch(self, due: Sequence[Taken]) -> None:
        """Claim and start what is due. Raises what the store raises; it comes up again by itself."""
        waiting = [taken for taken in due if taken.hint.run_id is not None]
        try:
            self._dispatch_jobs([taken for taken in due if taken.hint.run_id is None])
        except Exception:
            self._waiting.put_back(waiting)
            raise
        self._waiting.dispatch(waiting)

    def settle_doubt(self) -> None:
        """Find out what became of claims that raised, by the ids of their runs: their commit is never assumed."""
        self._waiting.settle_doubt()
        if not self._in_doubt:
            return
        claimed = [run for doubt in self._in_doubt for run in doubt.claim.runs]
        tokens = {run.id: run.claim_id for run in claimed if run.claim_id is not None}
        on_record = self._store.claims_on_record(tokens)
        # A run that had to wait tells by that that the claim was written, and nobody else would look at it.
        waiting = {run.id: run for run, _ in self._store.waiting_runs([run.id for run in claimed])}
        doubts, self._in_doubt = self._in_doubt, []
        # While the database is away nothing is on record, try after try: that is told once, by the loop.
        if on_record or waiting:
            log.info("doubtful claims settled", claims=len(doubts), on_record=len(on_record) + len(waiting))
        for doubt in doubts:
            run = doubt.claim.run
            recorded = None if run is None else run if run.claim_id in on_record else waiting.get(run.id)
            is_ours = any(each.claim_id in on_record or each.id in waiting for each in doubt.claim.runs)
            self._conclude(doubt.claim, recorded, is_ours=is_ours)
            # With its version where it is put off: what is read of it meanwhile, and no newer, is no reason to look.
            seconds = doubt.look_again_after_seconds
            self._agenda.push_later(doubt.claim.job_id, seconds, version=doubt.claim.plan.job.version if seconds else 0)

    def _dispatch_jobs(self, due: Sequence[Taken]) -> None:
        if not due:
            return
        try:
            claims = self._plan(due)
        except Exception:
            for taken in due:
                self._agenda.give_back(taken.lane)
                self._agenda.push(taken.hint)
            raise
        batches = list(self._batches(claims))
        while batches:
            try:
                self._claim(batches.pop(0))
            except Exception:
                self._give_up([claim for batch in batches for claim in batch])
                raise

    def _plan(self, due: Sequence[Taken]) -> list[Claim]:
        jobs, unreadable = read_jobs(self._store, [taken.hint.job_id for taken in due])
        versions = {taken.hint.job_id: taken.hint.version % DOUBT for taken in due}
        for job_id, error in unreadable.items():
            self._put_off(job_id, "job unreadable", error, version=versions[job_id])
        self._look_at_pauses(jobs.values())
        for taken in due:
            if taken.hint.version == DOUBT:
                # It may have been resumed, or a run cancelled: what waits may be free to start, and nobody knows.
                for hint in self._store.waiting_hints_of(taken.hint.job_id):
                    self._agenda.push(hint)
        calendars = calendars_of(self._store, jobs.values())
        # Nothing from here on asks the store: permits go back, and what raises would have all of them given back again.
        # Deleted, paused or completed since the hint was given: the hint is dropped, the store is the truth (law 1).
        now = self._clock.now()
        claims = [self._plan_taken(taken, jobs.get(taken.hint.job_id), calendars, now) for taken in due]
        return [claim for claim in claims if claim is not None]

    def _plan_taken(self, taken: Taken, job: Job | None, calendars: Calendars, now: datetime) -> Claim | None:
        """The claim of the job, with its permit; without one the permit goes back."""
        if job is not None and job.is_scheduled:
            lane = self._agenda.lane_of(hint_of(job))
            if lane is not taken.lane:
                if not self._agenda.exchange(taken, lane):
                    self._agenda.push(hint_of(job))
                    return None
                taken = Taken(taken.hint, lane, 0.0)
            plan = self._plan_one(job, calendars, now, taken.excused_seconds)
            if plan is not None:
                return Claim(plan, lane)
        self._agenda.give_back(taken.lane)
        return None

    def _plan_one(self, job: Job, calendars: Calendars, now: datetime, excused_seconds: float) -> Plan | None:
        if self._is_left_for_its_instant(job, now):
            self._agenda.push(hint_of(job, is_exact=True))
            return None
        try:
            plan = plan_claim(
                job,
                calendars,
                now=now,
                node=self._node,
                new_id=self._new_id,
                refusal=self._refusal(job),
                excused_seconds=excused_seconds,
                ahead=self._ahead,
            )
        # A schedule that cannot be read any more: one such job must not hold the others.
        except Exception as error:  # noqa: BLE001 - one job of many
            self._put_off(job.id, "job unreadable", error, version=job.version)
            return None
        if plan is None:
            self._agenda.push(hint_of(job))
        elif plan.advance.is_ahead and not plan.advance.is_plain:
            self._agenda.push(hint_of(job, is_exact=True))
            return None
        return plan

    def _is_left_for_its_instant(self, job: Job, now: datetime) -> bool:
        """Whether the slot is still to come, and a run of the job is going that may be over by then."""
        return job.next_run_at is not None and now < job.next_run_at and bool(self._gate.runs(job.id))

    def _look_at_pauses(self, jobs: Iterable[Job]) -> None:
        now = self._clock.now()
        for job in jobs:
            until = None if job.pause is None else job.pause.until
            if until is None:
                continue
            if until > now:
                self._agenda.push(hint_of(job))
                continue
            try:
                self._resume(job.id)
            except StoreUnavailable:
                raise
            except JobNotFound:
                continue
            except Exception as error:  # noqa: BLE001 - one job of many
                self._put_off(job.id, "job not resumed", error, version=job.version)

    def _refusal(self, job: Job) -> str | None:
        if job.function_name in self._functions:
            return None
        return f"function {job.function_name} is not registered"

    def _put_off(self, job_id: UUID, event: str, error: Exception, *, version: int) -> None:
        self._agenda.push_later(job_id, self._quarantine.put_off(job_id, event, error), version=version)

    def _batches(self, claims: list[Claim]) -> Iterator[list[Claim]]:
        """All in one, but for the jobs of a batch that failed by a mistake: each of those alone."""
        together = [claim for claim in claims if claim.job_id not in self._suspects]
        if together:
            yield together
        for claim in claims:
            if claim.job_id in self._suspects:
                yield [claim]

    def _claim(self, claims: list[Claim]) -> None:
        opened = [(claim.run, claim.plan.job) for claim in claims]
        self._gate.open_all([Ticket(Assignment(run, job), job.version + 1) for run, job in opened if run is not None])
        begun, claimant = self._clock.monotonic(), Claimant(self._node, self._clock.now())
        try:
            advances = [claim.plan.advance for claim in claims]
            recorded = self._store.advance(advances, ended=self._recorder.ended_claims(), by=claimant)
        except StoreUnavailable:
            self._doubt(claims, look_again_after_seconds=0.0)
            raise
        except Exception as error:
            self._suspect(claims, error)
            if len(claims) > 1:
                raise
            return
        self._gate.trust(begun)
        self._gate.confirm(run.id for run in recorded.values() if run is not None)
        for claim in claims:
            self._suspects.discard(claim.job_id)
            self._quarantine.release(claim.job_id)
        # Before their runs: should one of those fail, the next slots of the others are known all the same.
        next_ones = [self._next_hint(claim, is_ours=claim.job_id in recorded) for claim in claims]
        self._agenda.push_all([hint for hint in next_ones if hint is not None])
        for claim in claims:
            self._conclude(claim, recorded.get(claim.job_id), is_ours=claim.job_id in recorded)

    def _give_up(self, claims: list[Claim]) -> None:
        """Plans that were not tried: nothing is in doubt, and the jobs come up again."""
        for claim in claims:
            self._agenda.give_back(claim.lane)
            self._agenda.push_later(claim.job_id, 0.0)

    def _suspect(self, claims: list[Claim], error: Exception) -> None:
        """A mistake, of ours or of someone who edited a row: find the job it belongs to, and leave it for later."""
        self._suspects.update(claim.job_id for claim in claims)
        is_found = len(claims) == 1
        seconds = self._quarantine.put_off(claims[0].job_id, "slot not recorded", error) if is_found else 0.0
        self._doubt(claims, look_again_after_seconds=seconds)

    def _doubt(self, claims: list[Claim], *, look_again_after_seconds: float) -> None:
        """The commit may have happened. The permits and tickets are kept until the store has told."""
        self._in_doubt.extend(Doubt(claim, look_again_after_seconds) for claim in claims)

    def _conclude(self, claim: Claim, recorded: Run | None, *, is_ours: bool) -> None:
        """Start the run that was claimed, or give back its ticket and permit."""
        job, advance = claim.plan.job, claim.plan.advance
        if is_ours:
            log_passed_over(advance.missed)
            log_passed_over(advance.passed_over)
            self._queue(job, [run for run in advance.queued if run.state is RunState.QUEUED])
        if recorded is not None and recorded.state is RunState.RUNNING:
            self._start(Assignment(recorded, job))
            return
        if claim.run is not None:
            self._gate.close(claim.run.id)
        self._agenda.give_back(claim.lane)
        if recorded is not None and recorded.state is RunState.QUEUED:
            if job.policies.overlap_policy is OverlapPolicy.CANCEL_RUNNING:
                self._supersede(recorded)
            self._queue(job, [recorded])
        elif recorded is not None:
            log.info("slot skipped", **run_keys(recorded), reason=recorded.reason)

    def _queue(self, job: Job, runs: Sequence[Run]) -> None:
        """Have runs looked at that wait. What they wait for may be over before they are on record, and tell nobody."""
        for run in runs:
            log.info("run queued", **run_keys(run), reason=run.reason)
            self._agenda.push(waiting_hint(run, job))

    def _next_hint(self, claim: Claim, *, is_ours: bool) -> DueHint | None:
        job, next_run_at = claim.plan.job, claim.plan.advance.next_run_at
        if is_ours:
            version = job.version + 1
            return None if next_run_at is None else hint_of(job, due_at=next_run_at, version=version)
        if claim.plan.advance.is_ahead:
            # Perhaps because of a run elsewhere, which may be over at the instant: that is when it is decided.
            return hint_of(job, is_exact=True)
        # Someone moved the job on, or holds it locked. Looking again in a moment also heals a push that was lost.
        self._agenda.push_later(job.id, LOST_CLAIM_RETRY_SECONDS)
        return None


def hint_of(job: Job, *, due_at: datetime | None = None, version: int | None = None, is_exact: bool = False) -> DueHint:
    """When a job is due, or when its pause ends, which nobody is to look at ahead of its instant."""
    ends_at = None if job.pause is None else job.pause.until
    return DueHint(
        job.id,
        due_at or job.next_run_at or ends_at or job.updated_at,
        job.version if version is None else version,
        function_name=job.function_name,
        priority=job.policies.priority,
        is_exact=is_exact or not job.is_scheduled,
    )


def waiting_hint(run: Run, job: Job) -> DueHint:
    """When a run that waits may start."""
    due_at = run.due_at or run.scheduled_for
    priority = hint_priority(job.policies.priority, run.backfill_id)
    return DueHint(job.id, due_at, 0, run_id=run.id, function_name=run.function_name, priority=priority)


def log_passed_over(row: Run | None) -> None:
    """One line for a stretch of slots that do not run (law 11)."""
    if row is None:
        return
    log.warning(
        "slots missed" if row.state is RunState.MISSED else "slots skipped",
        job_id=str(row.job_id),
        run_id=str(row.id),
        function_name=row.function_name,
        slot_count=row.slot_count,
        first=as_text(row.scheduled_for),
        last=as_text(row.last_scheduled_for or row.scheduled_for),
        reason=row.reason,
    )
