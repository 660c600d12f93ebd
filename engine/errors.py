"""Everything the engine and the store raise on purpose.

SchedulerError
├── RequestRefused          the caller asked for something that cannot be; nothing was changed
│   ├── JobNotFound
│   ├── RunNotFound
│   ├── UnknownFunction
│   ├── InvalidSchedule
│   ├── InvalidStatus
│   └── RunInTheWay
├── Unavailable             not now; the same request may succeed later
│   ├── PoolFull
│   ├── NotScheduling
│   └── StoreUnavailable
└── StoreRefused            the database cannot be used at all; nothing in it was touched
"""

from uuid import UUID


class SchedulerError(Exception):
    """The root of the tree."""


class RequestRefused(SchedulerError):
    """The request cannot be fulfilled as it stands; it left no trace."""


class JobNotFound(RequestRefused):
    """No job has this id."""

    def __init__(self) -> None:
        super().__init__("Job not found")


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


class InvalidStatus(RequestRefused):
    """A status that a client may not set."""

    def __init__(self, given: str) -> None:
        super().__init__(f'status "{given}" cannot be set: give "active" or "paused"')


class RunInTheWay(RequestRefused):
    """A run of the same job is still going."""

    def __init__(self, run_id: UUID) -> None:
        super().__init__(f"Run {run_id} of this job is still running")
        self.run_id = run_id


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


class StoreRefused(SchedulerError):
    """The database is unreadable, newer than this code, not ours, or in use by another scheduler."""
