"""What clients send: the bodies of POST, PUT and PATCH, checked for shape and limits. The rules are the engine's."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from api.fields import CronExpression, FunctionName, IntervalSeconds, Metadata, Name
from engine.nouns import JobStatus
from engine.requests import JobChange, JobDraft

INTERVAL_JOB: dict[str, Any] = {
    "name": "Number Cruncher",
    "function_name": "dummy_number_crunch",
    "interval_seconds": 10,
    "job_metadata": {"multiplier": 5, "text": "Hello"},
    "status": "active",
}

CRON_JOB: dict[str, Any] = {
    "name": "Hourly Reporter",
    "function_name": "print_hello",
    "cron_expression": "0 * * * *",
    "job_metadata": {"text": "Hourly update"},
    "status": "paused",
}

CHANGE: dict[str, Any] = {"interval_seconds": 15, "status": "paused"}

STATUS_DESCRIPTION = '"active" or "paused"; another value only where the job has it already'


class JobCreate(BaseModel):
    """A whole job. Exactly one of the two schedules; null means absent; unknown fields are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [INTERVAL_JOB, CRON_JOB]})

    name: Name
    function_name: FunctionName = Field(description="A registered function, see GET /functions")
    interval_seconds: IntervalSeconds | None = Field(default=None, description="Run each so many seconds")
    cron_expression: CronExpression | None = Field(default=None, description="Run when it says, in UTC")
    job_metadata: Metadata | None = Field(default_factory=dict, description="What the function is given")
    status: JobStatus | None = Field(default=JobStatus.ACTIVE, description=STATUS_DESCRIPTION)

    @model_validator(mode="after")
    def _has_one_schedule(self) -> Self:
        if self.interval_seconds is None and self.cron_expression is None:
            raise PydanticCustomError(
                "one_schedule", "neither interval_seconds nor cron_expression was given: give exactly one of them"
            )
        _refuse_both(self.interval_seconds, self.cron_expression)
        return self

    def draft(self) -> JobDraft:
        """The same in the engine's words."""
        return JobDraft(
            name=self.name,
            function_name=self.function_name,
            interval_seconds=self.interval_seconds,
            cron_expression=self.cron_expression,
            metadata=self.job_metadata or {},
            status=self.status or JobStatus.ACTIVE,
        )


class JobUpdate(BaseModel):
    """The fields to change; null means unchanged. A schedule of one kind clears the other."""

    model_config = ConfigDict(json_schema_extra={"examples": [CHANGE]})

    name: Name | None = None
    function_name: FunctionName | None = None
    interval_seconds: IntervalSeconds | None = None
    cron_expression: CronExpression | None = None
    job_metadata: Metadata | None = None
    status: JobStatus | None = Field(default=None, description=STATUS_DESCRIPTION)

    @model_validator(mode="after")
    def _has_one_schedule_at_most(self) -> Self:
        _refuse_both(self.interval_seconds, self.cron_expression)
        return self

    def change(self) -> JobChange:
        """The same in the engine's words."""
        return JobChange(
            name=self.name,
            function_name=self.function_name,
            interval_seconds=self.interval_seconds,
            cron_expression=self.cron_expression,
            metadata=self.job_metadata,
            status=self.status,
        )


def _refuse_both(interval_seconds: int | None, cron_expression: str | None) -> None:
    if interval_seconds is not None and cron_expression is not None:
        raise PydanticCustomError(
            "one_schedule", "both interval_seconds and cron_expression were given: give only one of them"
        )
