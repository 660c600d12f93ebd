"""What the routes work with, and how they get at it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from fastapi import Depends, Path, Query, Request
from pydantic import TypeAdapter, ValidationError

from api.fields import CALENDAR_NAME_PATTERN
from api.gathering import Gathering
from api.open_streams import OpenStreams
from api.readiness import Readiness
from api.refusals import InvalidJobId, InvalidRunId, NotConfirmed
from engine.backfills import BackfillProgress
from engine.calendars import Calendar
from engine.captured_log import CapturedLog
from engine.errors import RequestRefused
from engine.job_listing import JobFilter, JobOrder, JobPosition
from engine.limits import MAX_CALENDAR_NAME_LENGTH
from engine.live_logs import LiveLogs
from engine.nodes import NodeRecord
from engine.nouns import Job, Run, RunState
from engine.ports import Clock
from engine.requests import JobDraft
from engine.scheduler import Scheduler


class Reads(Protocol):
    """What is read from the store without asking the engine. Each raises StoreUnavailable."""

    @property
    def at_once(self) -> "Reads | None":
        """The same for the event loop, for one thing by its key: raises WouldWait, and None stands for always."""
        ...

    def job(self, job_id: UUID) -> Job | None:
        """The job of this id."""
        ...

    def jobs_page(self, *, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[Job]:
        """The first jobs after this `created_at` and `id`, in their order."""
        ...

    def listed_jobs(
        self, wanted: JobFilter, order: JobOrder, *, after: JobPosition | None, limit: int
    ) -> tuple[Sequence[Job], int]:
        """The first jobs of the kind behind this position, and how many there are of it in all."""
        ...

    def run(self, run_id: UUID) -> Run | None:
        """The run of this id."""
        ...

    def runs_page(
        self, *, job_id: UUID | None, state: RunState | None, before: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Run]:
        """The latest runs before this `scheduled_for` and `id`, newest first."""
        ...

    def run_log(self, run_id: UUID) -> CapturedLog | None:
        """What is kept of what a run printed and logged, once it is over."""
        ...

    def has_runs(self, job_id: UUID) -> bool:
        """Whether any run of this job is kept."""
        ...

    def backfill(self, backfill_id: UUID) -> BackfillProgress | None:
        """The backfill of this id, and how far it has come."""
        ...

    def backfills_of(self, job_id: UUID, *, limit: int) -> Sequence[BackfillProgress]:
        """The latest backfills of this job, newest first."""
        ...

    def runs_of_backfill(self, backfill_id: UUID, *, limit: int) -> Sequence[Run]:
        """Its runs, the latest slot first."""
        ...

    def calendar(self, name: str) -> Calendar | None:
        """The calendar of this name."""
        ...

    def latest_nodes(self, *, limit: int) -> Sequence[NodeRecord]:
        """The nodes that are live, and then those that were seen last."""
        ...

    def all_calendars(self) -> Sequence[Calendar]:
        """Every calendar, by name."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """One of each for the process. `created_at_monotonic` is what the clock said when the application was made."""

    scheduler: Scheduler
    store: Reads
    clock: Clock
    version: str
    created_at_monotonic: float
    live_logs: LiveLogs
    creations: Gathering[JobDraft, Job]
    open_streams: OpenStreams = field(default_factory=OpenStreams)
    readiness: Readiness = field(default_factory=Readiness)

    def may_run_validators(self, function_name: str) -> bool:
        """Whether an author's code checks metadata for this function: it may take its time, so it gets a thread."""
        function = self.scheduler.functions.get(function_name)
        return function is not None and function.metadata_type is not None


# These look things up in memory only: asynchronous, they need no thread of their own.


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _job_id(
    job_id: Annotated[str, Path(description="The job's UUID", json_schema_extra={"format": "uuid"})],
) -> UUID:
    return parsed_id(job_id, InvalidJobId)


async def _wanted_job_id(
    job_id: Annotated[
        str | None, Query(description="Only runs of this job", json_schema_extra={"format": "uuid"})
    ] = None,
) -> UUID | None:
    return None if job_id is None else parsed_id(job_id, InvalidJobId)


async def _run_id(
    run_id: Annotated[str, Path(description="The run's UUID", json_schema_extra={"format": "uuid"})],
) -> UUID:
    return parsed_id(run_id, InvalidRunId)


_UUID = TypeAdapter(UUID)


def parsed_id(text: str, refusal: type[RequestRefused]) -> UUID:
    """The id that the text names; raises `refusal`, which takes no arguments."""
    # Not UUID(text), which takes "0x1_2" for digits.
    try:
        return _UUID.validate_strings(text)
    except ValidationError:
        raise refusal from None


async def require_confirmation(
    confirm: Annotated[bool, Query(description="Nothing is deleted without it")] = False,
) -> None:
    """Refuse a deletion that does not say ?confirm=true."""
    if not confirm:
        raise NotConfirmed


TheService = Annotated[Service, Depends(_service)]
JobId = Annotated[UUID, Depends(_job_id)]
WantedJobId = Annotated[UUID | None, Depends(_wanted_job_id)]
RunId = Annotated[UUID, Depends(_run_id)]
KnownAs = Annotated[
    str, Path(description="The calendar's name", pattern=CALENDAR_NAME_PATTERN, max_length=MAX_CALENDAR_NAME_LENGTH)
]
DryRun = Annotated[
    bool, Query(description="Change nothing, and answer with a preview of what the schedule would then do")
]
