"""Which jobs are asked for, in which order, and from where on."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from engine.nouns import Job, JobStatus


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Jobs that have all of it; None asks for nothing.

    `name_contains` goes by letters of either case, where they are ASCII. `due_before` takes jobs whose next slot is
    before that instant.
    """

    status: JobStatus | None = None
    function_name: str | None = None
    name_contains: str | None = None
    due_before: datetime | None = None


EVERY_JOB = JobFilter()


class SortKey(StrEnum):
    """What jobs are ordered by; jobs that are alike in that are ordered by their ids."""

    CREATED_AT = "created_at"
    NAME = "name"
    NEXT_RUN_AT = "next_run_at"


@dataclass(frozen=True, slots=True)
class JobOrder:
    """Jobs without a next slot come last, in either direction. Names are ordered by their characters' numbers."""

    key: SortKey = SortKey.CREATED_AT
    is_descending: bool = False


@dataclass(frozen=True, slots=True)
class JobPosition:
    """Where a job stands in an order: the value that it is ordered by, and its id."""

    value: datetime | str | None
    job_id: UUID

    @classmethod
    def of(cls, job: Job, order: JobOrder) -> "JobPosition":
        """That of the job."""
        return cls(getattr(job, order.key.value), job.id)
