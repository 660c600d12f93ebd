"""The small read-only context of a run, for functions that take a `run` argument."""

from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import Any


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a function may know about the run it is called for.

    `id` is the run's UUID as text. `scheduled_for` is the instant the run was due, aware, in UTC; for a manual run the
    instant of the request. `attempt` counts from 1. `log` is a structlog logger with the run's keys already bound.
    `cancelled` is set once the run is to end, because of its time-out or by request: a function in a thread that goes
    on for long looks at it (`run.cancelled.is_set()`, `run.cancelled.wait(5)`) and returns; nothing else can end it.
    """

    id: str
    scheduled_for: datetime
    attempt: int
    log: Any
    cancelled: Event = field(default_factory=Event)
