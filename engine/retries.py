"""Whether a run that ended badly is tried again, and when: pure."""

from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from engine.limits import FIRST_QUARANTINE_SECONDS
from engine.nouns import BAD_ENDS, Job, Outcome, Run, RunError, RunState
from engine.policies import Policies

FRACTIONS = 2**64


def with_retry(
    outcome: Outcome, run: Run, job: Job | None, *, is_final: bool = False, asked_seconds: float | None = None
) -> Outcome:
    """The outcome of an attempt; `retrying` if it ended badly and the job's policies allow another one.

    `asked_seconds` is the delay that the function itself asked for.
    """
    if job is None or is_final or outcome.state not in BAD_ENDS or run.attempt > job.policies.max_retries:
        return outcome
    seconds = delay_seconds(job.policies, run.id, run.attempt) if asked_seconds is None else asked_seconds
    due_at = outcome.finished_at + timedelta(seconds=seconds)
    number, most = run.attempt, job.policies.max_retries + 1
    how = outcome.reason or ("failed" if outcome.state is RunState.FAILED else outcome.state.value)
    return replace(
        outcome,
        state=RunState.RETRYING,
        attempt_state=outcome.state,
        attempt_reason=outcome.reason,
        due_at=due_at,
        reason=f"attempt {number} of at most {most}: {how}; the next one is due at {due_at:%Y-%m-%dT%H:%M:%SZ}",
    )


def attempt_not_started(run: Run, why: str, *, at: datetime) -> Outcome:
    """A further attempt was claimed, and then did not start: it is still to come, after the one that ended last.

    What kept it from starting, such as a pause, keeps it waiting; if its job is gone, that one was the last.
    """
    last = run.earlier_attempts[-1]
    is_failed = last.state is RunState.FAILED
    return Outcome(
        run_id=run.id,
        job_id=run.job_id,
        claim_id=run.claim_id,
        state=RunState.RETRYING,
        attempt_state=last.state,
        attempt_reason=last.reason,
        finished_at=at,
        started_at=last.started_at,
        duration_ms=last.duration_ms,
        error=RunError(last.error_type or "", last.error_message or "", "") if is_failed else None,
        due_at=at + timedelta(seconds=FIRST_QUARANTINE_SECONDS),
        reason=f"attempt {run.attempt} did not start: {why}",
        undoes_claim=True,
    )


def delay_seconds(policies: Policies, run_id: UUID, attempt: int) -> float:
    """Before the attempt after this one: exponential backoff, capped, then spread by a chance that is always the same.

    As AWS describes it ("Exponential Backoff And Jitter"), but with a jitter that only lengthens: no retry comes before
    the delay that was asked for.
    """
    try:
        grown = policies.retry_delay_seconds * policies.retry_backoff ** (attempt - 1)
    except OverflowError:
        grown = policies.retry_max_delay_seconds
    delay = min(grown, policies.retry_max_delay_seconds)
    digest = sha256(f"{run_id}/{attempt}".encode()).digest()
    return delay * (1 + policies.retry_jitter * int.from_bytes(digest[:8]) / FRACTIONS)
