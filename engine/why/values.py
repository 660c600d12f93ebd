"""The question what became of an instant: the evidence that is read, and the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from engine.nouns import Job, Run
from engine.past import Around, KeptPause, Uptime
from engine.schedule import Schedule


class Answer(StrEnum):
    """What became of an instant, in one word."""

    RAN = "ran"
    RUNNING = "running"
    WAITING = "waiting"
    SKIPPED_OVERLAP = "skipped_overlap"
    SKIPPED_DAY_OFF = "skipped_day_off"
    SKIPPED_ORPHANED = "skipped_orphaned"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    MISSED_MISFIRE = "missed_misfire"
    MISSED_DOWN = "missed_down"
    PAUSED = "paused"
    PAUSED_ALL = "paused_all"
    NOT_A_SLOT = "not_a_slot"
    IN_THE_FUTURE = "in_the_future"
    BEFORE_CREATION = "before_creation"
    SCHEDULE_CHANGED = "schedule_changed"
    ENDED = "ended"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Moment:
    """What is asked about: the instants from `at` on and before `end`.

    Of a whole second all of it is meant, as people and most programs name slots without their fraction; of any other
    instant that microsecond. `slot` is the slot of the job's schedule in it, the first one: None if there is none, or
    if it is not known what the schedule was then.
    """

    at: datetime
    end: datetime
    slot: datetime | None = None

    @property
    def instant(self) -> datetime:
        """The slot, or else what was asked for."""
        return self.slot or self.at


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that an answer follows from.

    `job` is None if it is deleted; `schedule` is None then, and where it cannot be read, as `unreadable` says.
    `schedule_since`: slots up to then went by another schedule, which is not known any more. `node` is the one that
    asks. `pauses` and `uptimes` are those around the moment.
    """

    moment: Moment
    now: datetime
    node: UUID
    job: Job | None
    schedule: Schedule | None
    schedule_since: datetime | None
    around: Around
    pauses: tuple[KeptPause, ...] = ()
    uptimes: tuple[Uptime, ...] = ()
    unreadable: str | None = None

    @property
    def is_schedule_known(self) -> bool:
        """Whether the slots of the moment were, or would be, those of `schedule`."""
        if self.schedule is None or self.schedule_since is None:
            return False
        return self.moment.instant > self.schedule_since


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer, in a word, a sentence, and facts; instants in `facts` are aware UTC.

    `run` is the row that says so, `before` and `after` are the nearest slots besides the one that is asked about.
    """

    at: datetime
    answer: Answer
    sentence: str
    run: Run | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    before: datetime | None = None
    after: datetime | None = None
