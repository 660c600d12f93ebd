"""Requests as clients make them, at any moment, to any node that answers."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from engine.errors import SchedulerError
from engine.nouns import JobStatus
from engine.policies import OverlapPolicy, Policies
from engine.requests import JobChange, JobDraft
from engine.timing import Timing
from tests.simulation.clock import instant
from tests.simulation.plans import Plan
from tests.simulation.rules import Limits, Rules
from tests.simulation.world import SECOND, Actor, World

KINDS = ("pause", "resume", "delete", "change", "rename", "run_now", "run_forced", "cancel", "pause_all", "resume_all",
         "create", "pause_until", "resume_late", "resume_all_late", "delete_all")  # fmt: skip
WEIGHTS = (6, 6, 2, 6, 4, 4, 2, 5, 1, 4, 3, 2, 2, 2, 0.2)


@dataclass(slots=True)
class Request:
    """One request on its way. `began_at` is what the node's wall clock showed then."""

    kind: str
    process: Any
    job_id: UUID | None
    began_at: int
    is_catching_up: bool = False
    answer: str | None = None


@dataclass(slots=True)
class Clients:
    """Whoever asks. Knows the jobs that it made, and says to the rules what was answered."""

    world: World
    rules: Rules
    plan: Plan
    job_ids: list[UUID] = field(default_factory=list)

    def send(self, process: Any, kind: str, job_id: UUID | None = None) -> Actor:
        """Have a request carried out by a thread of the process."""
        request = Request(kind, process, job_id, process.reads_clock())
        actor = self.world.spawn(f"{process.name} {kind}", process, lambda: self._carry_out(request))
        actor.request = request
        return actor

    def send_any(self, process: Any) -> Actor:
        random = self.world.random
        is_favoured = self.plan.favoured and random.random() < 0.5
        kind = random.choice(self.plan.favoured) if is_favoured else random.choices(KINDS, WEIGHTS)[0]
        return self.send(process, kind, self.any_job())

    def any_job(self) -> UUID | None:
        """Mostly one that is there."""
        random = self.world.random
        there = list(self.rules.ledger.jobs)
        known = there if there and random.random() < 0.9 else self.job_ids
        return random.choice(known) if known else None

    def create(self, process: Any, draft: JobDraft) -> UUID | None:
        """Make a job; None if that is not answered."""
        try:
            job_id = process.scheduler.create_job(draft).id
        except SchedulerError as error:
            self.world.note(f"create refused: {error}")
            return None
        self.job_ids.append(job_id)
        self.rules.limits[job_id] = limits_of(draft.policies)
        return job_id  # type: ignore[no-any-return]  # of a process that may be anything

    def _carry_out(self, request: Request) -> None:
        self.world.note(f"asks: {request.kind} {request.job_id}")
        try:
            self._call(request)
            request.answer = "done"
        except SchedulerError as error:
            request.answer = f"{type(error).__name__}: {error}"
        self.world.note(f"answered: {request.kind} {request.answer}")

    def _call(self, request: Request) -> None:
        scheduler, job_id = request.process.scheduler, request.job_id
        match request.kind:
            case "create":
                self.create(request.process, any_draft(self.world, self.plan))
            case "pause_all":
                now = request.process.clock.now()
                until = self.world.random.choice([None, now + timedelta(seconds=self.world.random.uniform(1, 12))])
                scheduler.pausing.pause_all(until=until, by=None, note=None)
                self.rules.pause_of_all_answered(request.process)
            case "resume_all":
                scheduler.pausing.resume_all()
            case "resume_all_late":
                scheduler.pausing.resume_all(catch_up=True)
            case "delete_all":
                known = list(self.job_ids)
                scheduler.delete_all_jobs()
                for each in known:
                    self.rules.deletion_answered(request.process, each)
            case _ if job_id is not None:
                self._call_for(request, job_id)

    def _call_for(self, request: Request, job_id: UUID) -> None:
        scheduler, process = request.process.scheduler, request.process
        match request.kind:
            case "pause":
                scheduler.pause_job(job_id)
                self.rules.pause_answered(process, job_id)
            case "pause_until":
                until = process.clock.now() + timedelta(seconds=self.world.random.uniform(0.5, 10))
                scheduler.pausing.pause(job_id, until=until)
                self.rules.pause_answered(process, job_id)
            case "resume" | "resume_late":
                request.is_catching_up = request.kind == "resume_late"
                self.rules.troubled()
                scheduler.pausing.resume(job_id, catch_up=request.is_catching_up)
            case "delete":
                scheduler.delete_job(job_id)
                self.rules.deletion_answered(process, job_id)
            case "change":
                scheduler.change_job(
                    job_id, JobChange(timing={"interval_seconds": self.world.random.choice(self.plan.intervals)})
                )
                self.rules.edit_answered(job_id)
            case "rename":
                scheduler.change_job(job_id, JobChange(name="another name"))
                self.rules.edit_answered(job_id)
            case "run_now" | "run_forced":
                scheduler.run_now(job_id, is_forced=request.kind == "run_forced")
            case "cancel":
                self._cancel(request, job_id)

    def _cancel(self, request: Request, job_id: UUID) -> None:
        open_runs = [
            run.id
            for run in self.rules.ledger.runs.values()
            if run.job_id == job_id and run.state in ("running", "queued", "retrying")
        ]
        if open_runs:
            request.process.scheduler.cancellation.cancel(self.world.random.choice(open_runs))


def any_draft(world: World, plan: Plan) -> JobDraft:
    """A job of any kind."""
    random = world.random
    kind = random.random()
    options: dict[str, Any] = {"max_runs": random.randint(1, 5)} if random.random() < 0.15 else {}
    if kind < 0.75:
        timing = Timing(interval_seconds=random.choice(plan.intervals), **options)
    elif kind < 0.9:
        timing = Timing(cron_expression=f"*/{random.choice([2, 3, 5, 10])} * * * * *", **options)
    else:
        timing = Timing(run_at=instant(world.now + round(random.uniform(5, 20) * SECOND)))
    status = JobStatus.PAUSED if random.random() < 0.05 else JobStatus.ACTIVE
    function = random.choice(["work", "work", "cooperative"])
    return JobDraft("a job", function, timing, {}, status, any_policies(world, plan))


def any_policies(world: World, plan: Plan) -> Policies:
    random = world.random
    overlaps = [*OverlapPolicy, OverlapPolicy.SKIP, OverlapPolicy.QUEUE_ALL]
    if plan.has_queues:
        overlaps = [OverlapPolicy.QUEUE_ALL, OverlapPolicy.QUEUE_ONE, OverlapPolicy.CANCEL_RUNNING]
    if plan.has_retries:
        return Policies(overlap_policy=random.choice(overlaps), max_retries=2, retry_delay_seconds=0.2)
    return Policies(
        misfire_policy=random.choice(list(type(Policies().misfire_policy))),
        misfire_grace_seconds=random.choice([1.0, 5.0, 5.0, 20.0]),
        max_catch_up=random.choice([3, 100]),
        overlap_policy=random.choice(overlaps),
        max_instances=random.choice([1, 1, 2]),
        max_retries=random.choice([1, 2] if plan.has_queues else [0, 0, 1, 2]),
        retry_delay_seconds=random.choice([0.2, 1.0, 3.0]),
        timeout_seconds=random.choice([None, None, 1.5, 4.0]),
        pause_after_failures=random.choice([None, None, None, 3]),
        concurrency_key=random.choice([None, None, "key"]),
        concurrency_limit=1,
        priority=random.choice([0, 0, 1]),
    )


def limits_of(policies: Policies) -> Limits:
    """What the seed's plan says of a job's runs."""
    is_bounded = policies.overlap_policy is not OverlapPolicy.ALLOW
    return Limits(policies.max_instances if is_bounded else None, policies.concurrency_key, policies.concurrency_limit)
