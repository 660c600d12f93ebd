"""What clients send: the bodies of POST, PUT and PATCH, checked for shape and limits. The rules are the engine's."""

from typing import Any

from pydantic import ConfigDict, Field

from api.fields import FunctionName, Metadata, Name
from api.policy_fields import PolicyFields
from api.schedule_fields import OneSchedule, TimingFields
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


class JobCreate(OneSchedule, PolicyFields):
    """A whole job. Exactly one of the three kinds of schedule; null means absent; unknown fields are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [INTERVAL_JOB, CRON_JOB]})

    name: Name
    function_name: FunctionName = Field(description="A registered function, see GET /functions")
    job_metadata: Metadata | None = Field(default_factory=dict, description="What the function is given")
    status: JobStatus | None = Field(default=JobStatus.ACTIVE, description=STATUS_DESCRIPTION)

    def draft(self) -> JobDraft:
        """The same in the engine's words."""
        return JobDraft(
            name=self.name,
            function_name=self.function_name,
            timing=self.timing(),
            metadata=self.job_metadata or {},
            status=self.status or JobStatus.ACTIVE,
            policies=self.policies(),
        )


class JobUpdate(TimingFields, PolicyFields):
    """The fields to change. A schedule of one kind clears the others.

    Null resets a policy, and a field of the window, the zone, the spread and the days off, to its default; for all
    others it means unchanged.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [CHANGE]})

    name: Name | None = None
    function_name: FunctionName | None = None
    job_metadata: Metadata | None = None
    status: JobStatus | None = Field(default=None, description=STATUS_DESCRIPTION)

    def change(self) -> JobChange:
        """The same in the engine's words."""
        return JobChange(
            name=self.name,
            function_name=self.function_name,
            timing=self.named_timing(),
            metadata=self.job_metadata,
            status=self.status,
            policies=self.named_policies(),
        )
