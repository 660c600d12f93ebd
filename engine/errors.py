"""Everything the engine and the store raise on purpose.

SchedulerError
├── RequestRefused          the caller asked for something that cannot be; nothing was changed
│   ├── JobNotFound
│   ├── JobChanged
│   ├── RunNotFound
│   ├── UnknownFunction
│   ├── InvalidSchedule
│   │   └── UnknownCalendar
│   ├── InvalidStatus
│   ├── InvalidPause
│   ├── InvalidMetadata
│   ├── RunInTheWay
│   ├── RunIsOver
│   ├── EverythingPaused
│   ├── BackfillNotFound
│   ├── BackfillIsOver
│   ├── TooManyBackfills
│   ├── InvalidBackfill
│   │   └── BackfillTooLarge
│   ├── CalendarNotFound
│   ├── CalendarExists
│   ├── CalendarInUse
│   ├── TooManyCalendars
│   ├── TooManyDates
│   ├── KeyNotFound
│   └── TooManyKeys
├── Unavailable             not now; the same request may succeed later
│   ├── PoolFull
│   ├── NotScheduling
│   └── StoreUnavailable
│       └── NodeLost
├── MetadataMismatch        on record as the error of a run that was not called; never raised
└── StoreRefused            the database cannot be used at all; nothing in it was touched
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from registry import MetadataFault


class SchedulerError(Exception):
    """The root of the tree."""


class RequestRefused(SchedulerError):
    """The request cannot be fulfilled as it stands; it left no trace."""


class JobNotFound(RequestRefused):
    """No job has this id."""

    def __init__(self) -> None:
        super().__init__("Job not found")


class JobChanged(RequestRefused):
    """The job is not as the caller knew it, who wanted it changed only if it is."""

    def __init__(self) -> None:
        super().__init__("The job has been changed since: read it again, and decide again")


class RunNotFound(RequestRefused):
    """No run has this id."""

    def __init__(self) -> None:
        super().__init__("Run not found")


class UnknownFunction(RequestRefused):
    """No function of this name is registered in this process."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Unknown function {name}")


class InvalidSchedule(RequestRefused):
    """A schedule cannot be read or can never fire. `field` is the job's field that holds it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownCalendar(InvalidSchedule):
    """A job lists a calendar that does not exist."""

    def __init__(self, name: str) -> None:
        super().__init__("exclude_calendars", f'exclude_calendars has "{name}": no calendar has this name')


class InvalidStatus(RequestRefused):
    """A status that a client may not set."""

    def __init__(self, given: str) -> None:
        super().__init__(f'status "{given}" cannot be set: give "active" or "paused"')


class InvalidMetadata(RequestRefused):
    """Metadata does not fit what the function takes. `faults` has the first of what is wrong with it."""

    def __init__(self, function_name: str, summary: str, *, faults: Sequence[MetadataFault]) -> None:
        super().__init__(f'job_metadata does not fit function "{function_name}": {summary}')
        self.faults = tuple(faults)


class InvalidPause(RequestRefused):
    """A pause that would be over already."""

    def __init__(self, until: datetime, now: datetime) -> None:
        super().__init__(
            f"until is {until:%Y-%m-%dT%H:%M:%SZ}, which is past at {now:%Y-%m-%dT%H:%M:%SZ}: "
            "an instant to come is wanted"
        )


class RunInTheWay(RequestRefused):
    """A run of the same job is still going."""

    def __init__(self, run_id: UUID) -> None:
        super().__init__(f"Run {run_id} of this job is still running")
        self.run_id = run_id


class RunIsOver(RequestRefused):
    """A run that is to be cancelled has ended."""

    def __init__(self, run_id: UUID, state: str) -> None:
        super().__init__(f"Run {run_id} is over: it is {state}")


class EverythingPaused(RequestRefused):
    """Nothing runs, because everything is paused."""

    def __init__(self, by: str | None, at: datetime) -> None:
        who = "" if by is None else f" by {by}"
        super().__init__(
            f"Everything is paused{who} since {at:%Y-%m-%dT%H:%M:%SZ}: resume it, or run the job with force=true"
        )


class BackfillNotFound(RequestRefused):
    """No backfill has this id."""

    def __init__(self) -> None:
        super().__init__("Backfill not found")


class BackfillIsOver(RequestRefused):
    """A backfill that is to be cancelled has ended."""

    def __init__(self, backfill_id: UUID, state: str) -> None:
        super().__init__(f"Backfill {backfill_id} is over: it is {state}")


class TooManyBackfills(RequestRefused):
    """As many backfills of the job as may be are not over yet."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} backfills of this job are not over, and no more may be: cancel one, or wait for one")


class InvalidBackfill(RequestRefused):
    """A range that cannot be made up for. `field` is the request's field that is at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class BackfillTooLarge(InvalidBackfill):
    """A range with more slots than one backfill may have."""

    def __init__(self, count: int, *, is_exact: bool, limit: int, has_days_off: bool = False) -> None:
        found = f"{count} slots" if is_exact else f"at least {count} slots"
        off = ", those on days off included" if has_days_off else ""
        super().__init__("from", f"the job has {found} in this range{off}: at most {limit} are wanted in one backfill")


class CalendarNotFound(RequestRefused):
    """No calendar has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Calendar {name} not found")


class CalendarExists(RequestRefused):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Calendar {name} exists already: replace it, or give the new one another name")


class CalendarInUse(RequestRefused):
    """Jobs list the calendar. `jobs` has the ids and names of the first few of the `count` jobs that do."""

    def __init__(self, name: str, *, jobs: Sequence[tuple[UUID, str]], count: int) -> None:
        named = ", ".join(f"{job_name} ({job_id})" for job_id, job_name in jobs)
        more = f" and {count - len(jobs)} more" if count > len(jobs) else ""
        super().__init__(
            f"Calendar {name} is in use by {count} job{'' if count == 1 else 's'}: {named}{more}. "
            "Take it out of their exclude_calendars first"
        )
        self.jobs = tuple(jobs)
        self.count = count


class TooManyCalendars(RequestRefused):
    """As many calendars as may be are there already."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"There are {limit} calendars already, and no more may be: delete one first")


class TooManyDates(RequestRefused):
    """A calendar would have more dates than it may."""

    def __init__(self, given: int, *, limit: int) -> None:
        super().__init__(f"the calendar would have {given} dates: at most {limit} are wanted")


class KeyNotFound(RequestRefused):
    """No key has this id."""

    def __init__(self) -> None:
        super().__init__("Key not found")


class TooManyKeys(RequestRefused):
    """There are as many keys as may be, and each of them opens something."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"There are {limit} keys already, and no more may be: revoke one first")


class Unavailable(SchedulerError):
    """The request was good and may be sent again later."""


class PoolFull(Unavailable):
    """As many manual runs wait for a thread as may."""


class NotScheduling(Unavailable):
    """The engine is stopping: nothing starts any more."""

    def __init__(self) -> None:
        super().__init__("the scheduler is stopping")


class StoreUnavailable(Unavailable):
    """The database did not do what it was asked; whether a commit happened may be unknown."""


class NodeLost(StoreUnavailable):
    """This node has been declared lost by others; nothing was written. Its heartbeat brings it back."""

    def __init__(self, node: UUID) -> None:
        super().__init__(f"the other nodes took node {node} for dead: it claims nothing until it has come back")


class MetadataMismatch(SchedulerError):
    """The metadata of a job no longer fits its function: the code changed. The job is kept as it is (law 12)."""

    def __init__(self, function_name: str, summary: str) -> None:
        super().__init__(f'the stored job_metadata does not fit function "{function_name}" as it is now: {summary}')


class StoreRefused(SchedulerError):
    """The database is unreadable, newer than this code, not ours, or in use by another scheduler."""
