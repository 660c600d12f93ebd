"""Whether a claimed run starts, waits or is skipped, by its job's policies: pure, on what the transaction found."""

from collections import Counter
from datetime import datetime

from engine.limits import MAX_QUEUED_RUNS
from engine.nouns import Run, RunState
from engine.policies import OverlapPolicy
from engine.reason_codes import ReasonCode
from engine.values import quick_dataclass
from store.columns import AnyRow
from store.crowds import Crowd

OVERLAP = ReasonCode.OVERLAP


@quick_dataclass(frozen=True, slots=True)
class Rules:
    """The policies that decide, as the job's row has them."""

    overlap_policy: OverlapPolicy
    max_instances: int
    concurrency_key: str | None
    concurrency_limit: int

    @classmethod
    def of(cls, job: AnyRow) -> "Rules":
        """Those of a row that has them."""
        return cls(job.overlap_policy, job.max_instances, job.concurrency_key, job.concurrency_limit)


@quick_dataclass(frozen=True, slots=True)
class Verdict:
    """The run as it is to be recorded; with `supersedes`, all that is going or waiting of its job is to end for it.

    `never_to_start` are those of them that had counted as runs, and now are none.
    """

    run: Run
    supersedes: bool = False
    never_to_start: int = 0


def decide(run: Run, rules: Rules, crowd: Crowd, loads: Counter[str], *, is_caught_up: bool) -> Verdict:
    """What becomes of a run that was claimed. `is_caught_up`: it waits for its turn, whatever the overlap policy."""
    at = run.started_at or run.scheduled_for
    if run.state is not RunState.RUNNING:
        return Verdict(run)
    if rules.overlap_policy is not OverlapPolicy.ALLOW and len(crowd) >= rules.max_instances:
        policy = OverlapPolicy.QUEUE_ALL if is_caught_up else rules.overlap_policy
        return _overlapping(run, policy, crowd, at=at)
    return Verdict(_by_key(run, rules, crowd, loads, at=at))


def overlap_reason(crowd: Crowd) -> str:
    """What is in the way, named by the run that has been there longest."""
    if crowd.going:
        return f"run {crowd.going[0]} of this job is still running"
    if crowd.retrying:
        return f"run {crowd.retrying[0]} of this job is to be tried again"
    return f"run {crowd.queued[0]} of this job is still waiting"


def key_reason(key: str, load: int, limit: int) -> str:
    """Why a run waits for its concurrency key."""
    return f'concurrency key "{key}" is taken: {load} of at most {limit} runs are going'


def _overlapping(run: Run, policy: OverlapPolicy, crowd: Crowd, *, at: datetime) -> Verdict:
    in_the_way = overlap_reason(crowd)
    match policy:
        case OverlapPolicy.QUEUE_ONE if crowd.queued:
            return Verdict(
                run.skipped(f"{in_the_way}, and run {crowd.queued[0]} waits for it already", at=at, code=OVERLAP)
            )
        case OverlapPolicy.QUEUE_ALL if len(crowd.queued) >= MAX_QUEUED_RUNS:
            return Verdict(
                run.skipped(f"{in_the_way}, and {len(crowd.queued)} runs wait for it already", at=at, code=OVERLAP)
            )
        case OverlapPolicy.QUEUE_ONE | OverlapPolicy.QUEUE_ALL:
            return Verdict(run.queued(in_the_way, at=at))
        case OverlapPolicy.CANCEL_RUNNING:
            queued = run.queued(f"{in_the_way}, and is being cancelled for this one", at=at)
            return Verdict(queued, supersedes=True, never_to_start=len(crowd.queued))
        case _:
            return Verdict(run.skipped(in_the_way, at=at, code=OVERLAP))


def _by_key(run: Run, rules: Rules, crowd: Crowd, loads: Counter[str], *, at: datetime) -> Run:
    key = rules.concurrency_key
    if key is None:
        return run
    if loads[key] < rules.concurrency_limit:
        loads[key] += 1
        return run
    reason = key_reason(key, loads[key], rules.concurrency_limit)
    if len(crowd.queued) >= MAX_QUEUED_RUNS:
        return run.skipped(f"{reason}, and {len(crowd.queued)} runs of this job wait already", at=at, code=OVERLAP)
    return run.queued(reason, at=at)
