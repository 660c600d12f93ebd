"""What becomes of the slots of a job that are due: misfire policy, and slots that piled up behind a full pool."""

from datetime import datetime, timedelta
from typing import Any

from engine.calendars import DaysOff
from engine.limits import MAX_QUEUED_RUNS, MAX_WAIT_SECONDS
from engine.nouns import Job
from engine.policies import MisfirePolicy, OverlapPolicy
from engine.schedule import MICROSECOND, Schedule
from engine.slot_rows import Extent, extent_between
from engine.slots import following, latest_to_run
from engine.values import quick_dataclass


@quick_dataclass(frozen=True, slots=True)
class Decision:
    """`slot` is claimed now, those of `queued` are to run after it, those of the two stretches do not run.

    `last` is the latest slot that this decides on, `next_run_at` the one after it.
    """

    last: datetime
    next_run_at: datetime | None
    slot: datetime | None = None
    queued: tuple[datetime, ...] = ()
    missed: Extent | None = None
    missed_because: str = ""
    passed_over: Extent | None = None
    passed_over_because: str = ""


TIMER_REST = timedelta(seconds=MAX_WAIT_SECONDS)
"""A slot that was due for longer before the pool was full was late for another reason: it has not piled up there."""


@quick_dataclass(frozen=True, slots=True)
class DueSlots:
    """The slots of `job` from `first` to `now`. A full pool made them late by `excused`, which is no misfire."""

    job: Job
    schedule: Schedule
    off: DaysOff
    first: datetime
    now: datetime
    excused: timedelta

    @property
    def is_misfire(self) -> bool:
        """Whether the first of them is later than the grace allows."""
        return self.now - self.first - self.excused > self._grace

    def decide(self) -> Decision:
        """By the policies of the job."""
        if not self.is_misfire:
            return self._in_time()
        match self.job.policies.misfire_policy:
            case MisfirePolicy.RUN_ONCE:
                return self._latest_only()
            case MisfirePolicy.SKIP:
                return self._none_beyond_grace()
            case MisfirePolicy.RUN_ALL:
                return self._all()

    def decide_after_downtime(self) -> Decision | None:
        """The same at a start, where no grace delays that all but the latest slot are missed; None if that can wait."""
        if self.job.policies.misfire_policy is MisfirePolicy.RUN_ONCE:
            return self._latest_only()
        return self.decide() if self.is_misfire else None

    def _latest_only(self) -> Decision:
        latest = latest_to_run(self.job.timing, self.schedule, self.off, self.first, self.now)
        if latest == self.first:
            return self._decided(latest, latest)
        missed = extent_between(self.schedule, self.first, latest - MICROSECOND)
        return self._decided(latest, latest, missed=missed, missed_because=self._because("only the latest slot runs"))

    def _none_beyond_grace(self) -> Decision:
        beyond = self.now - self.excused - self._grace - MICROSECOND
        missed = extent_between(self.schedule, self.first, beyond)
        because = self._because("such slots are skipped")
        slot = following(self.schedule, missed.last)
        if slot is None or slot > self.now:
            return Decision(missed.last, slot, missed=missed, missed_because=because)
        return self._decided(slot, slot, missed=missed, missed_because=because)

    def _all(self) -> Decision:
        slots = self._latest_slots(self._room)
        if slots[0] == self.first:
            return self._decided(slots[-1], slots[0], queued=tuple(slots[1:]))
        missed = extent_between(self.schedule, self.first, slots[0] - MICROSECOND)
        because = self._because(f"no more than {self._room} slots are caught up with")
        return self._decided(slots[-1], slots[0], queued=tuple(slots[1:]), missed=missed, missed_because=because)

    @property
    def _room(self) -> int:
        """How many slots may be caught up with."""
        most, max_runs = self.job.policies.max_catch_up, self.job.timing.max_runs
        return most if max_runs is None else max(min(most, max_runs - self.job.run_count), 1)

    def _latest_slots(self, at_most: int) -> list[datetime]:
        """The latest of the slots, in their order, at least one of them."""
        slots = [max(self.schedule.latest_until(self.now) or self.first, self.first)]
        while len(slots) < at_most and slots[-1] > self.first:
            before = self.schedule.latest_until(slots[-1] - MICROSECOND)
            slots.append(self.first if before is None else max(before, self.first))
        return slots[::-1]

    def _in_time(self) -> Decision:
        """Slots that are late by no more than the grace, or because of the pool."""
        if timedelta(0) < self.excused and self.now - self.first - self.excused <= TIMER_REST:
            return self._piled_up()
        second = following(self.schedule, self.first)
        has_several = second is not None and second <= self.now
        if has_several and self.job.policies.misfire_policy is MisfirePolicy.RUN_ALL:
            # Also within the grace: claimed one by one, each would find the one before it going.
            return self._all()
        return Decision(self.first, second, self.first)

    def _piled_up(self) -> Decision:
        """Behind a full pool slots wait as runs do: as many as the overlap policy has go, or in line, are to run."""
        match self.job.policies.overlap_policy:
            case OverlapPolicy.CANCEL_RUNNING:
                return self._last_only()
            case OverlapPolicy.SKIP | OverlapPolicy.QUEUE_ONE:
                return self._first_few(self.job.policies.max_instances)
            case OverlapPolicy.QUEUE_ALL | OverlapPolicy.ALLOW:
                return self._first_few(MAX_QUEUED_RUNS)

    def _first_few(self, at_most: int) -> Decision:
        """All at once: the claim of the next one would come after the wait for the pool is over, and excuse nothing."""
        max_runs = self.job.timing.max_runs
        left = at_most if max_runs is None else max(max_runs - self.job.run_count, 1)
        slots, next_one = [self.first], following(self.schedule, self.first)
        while next_one is not None and next_one <= self.now and len(slots) < min(at_most, left):
            slots.append(next_one)
            next_one = following(self.schedule, next_one)
        queued = tuple(slots[1:])
        # With its last run the job is completed: what would come after that are no slots.
        if next_one is None or next_one > self.now or left <= len(slots) < at_most:
            return Decision(slots[-1], next_one, self.first, queued=queued)
        passed_over = extent_between(self.schedule, next_one, self.now)
        because = f"the slot of {slots[-1]:%Y-%m-%dT%H:%M:%SZ} was still waiting for a free place in the pool"
        return self._decided(
            passed_over.last, self.first, queued=queued, passed_over=passed_over, passed_over_because=because
        )

    def _last_only(self) -> Decision:
        last = max(self.schedule.latest_until(self.now) or self.first, self.first)
        if last == self.first:
            return self._decided(self.first, self.first)
        passed_over = extent_between(self.schedule, self.first, last - MICROSECOND)
        because = f"it was waiting for a free place in the pool when the slot of {last:%Y-%m-%dT%H:%M:%SZ} came"
        return self._decided(last, last, passed_over=passed_over, passed_over_because=because)

    def _decided(self, last: datetime, slot: datetime, **facts: Any) -> Decision:
        """Where the slot after the last one is not known yet."""
        return Decision(last, following(self.schedule, last), slot, **facts)

    @property
    def _grace(self) -> timedelta:
        return timedelta(seconds=self.job.policies.misfire_grace_seconds)

    def _because(self, rule: str) -> str:
        grace = self.job.policies.misfire_grace_seconds
        return f"late by more than the grace of {grace:g} s or not running: {rule}"
