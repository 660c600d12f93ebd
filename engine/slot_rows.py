"""The rows of one job's slots: a run that is claimed, a stretch of slots that has none."""

from datetime import datetime, timedelta
from uuid import UUID

from engine.nouns import Job, Run, RunState, Trigger
from engine.ports import Ids
from engine.reason_codes import ReasonCode
from engine.schedule import Schedule
from engine.values import quick_dataclass


@quick_dataclass(frozen=True, slots=True)
class Extent:
    """A stretch of slots: the first and the last, how many with both, and whether that number is exact."""

    first: datetime
    last: datetime
    count: int
    is_exact: bool


def extent_between(schedule: Schedule, first: datetime, until: datetime) -> Extent:
    """The slots from the slot `first` to the instant `until`."""
    last = max(schedule.latest_until(until) or first, first)
    count, is_exact = schedule.count_between(first, last)
    # A first slot that the schedule does not know any more is one all the same.
    return Extent(first, last, max(count, 1), is_exact)


@quick_dataclass(frozen=True, slots=True)
class SlotRows:
    """Makes the rows of a job at one moment, by one node."""

    job: Job
    now: datetime
    node: UUID
    new_id: Ids

    def claimed(self, slot: datetime) -> Run:
        """The run of a slot, running from now on."""
        run_id = self.new_id()
        return Run(
            id=run_id,
            # The first claim of a run is as fresh as the run itself; each later one has a token of its own.
            claim_id=run_id,
            job_id=self.job.id,
            function_name=self.job.function_name,
            trigger=Trigger.SCHEDULE,
            scheduled_for=slot,
            state=RunState.RUNNING,
            node=self.node,
            started_at=self.now,
            lateness_ms=milliseconds(self.now - slot),
            concurrency_key=self.job.policies.concurrency_key,
        )

    def stretch(self, extent: Extent, state: RunState, reason: str, code: ReasonCode | None) -> Run:
        """The one row for slots that do not run."""
        return Run(
            id=self.new_id(),
            job_id=self.job.id,
            function_name=self.job.function_name,
            trigger=Trigger.SCHEDULE,
            scheduled_for=extent.first,
            last_scheduled_for=extent.last,
            slot_count=extent.count,
            state=state,
            node=self.node,
            finished_at=self.now,
            reason=reason if extent.is_exact else f"{reason} (at least {extent.count} slots)",
            reason_code=code,
        )


def milliseconds(span: timedelta) -> float:
    """The span in milliseconds, to the microsecond."""
    return round(span.total_seconds() * 1_000, 3)
