"""What a schedule will do: the question that clients ask, and the answer."""

import difflib
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Query
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.error_bodies import safe_text
from api.limits import MAX_COMPARED_LENGTH, MAX_ERROR_ENTRIES
from api.responses import JobView
from api.schedule_fields import Instant, OneSchedule, not_boolean
from engine.limits import DEFAULT_PREVIEWED_SLOTS, MAX_PREVIEWED_SLOTS
from engine.preview import DstNote, Preview, PreviewedSlot, ScheduleWarning

NIGHTLY: dict[str, Any] = {"cron_expression": "30 2 * * *", "timezone": "America/New_York", "count": 5}

ONCE: dict[str, Any] = {"run_at": "2027-01-04T09:00:00Z"}

WantedCount = Annotated[int, Query(ge=1, le=MAX_PREVIEWED_SLOTS, description="Slots in the answer")]


class SchedulePreview(OneSchedule):
    """A schedule that is not saved: the fields of a job that say when, and how far to look. Null means absent.

    The other fields of a job change nothing here; unknown ones are told in the warnings.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [NIGHTLY, ONCE]})

    after: Instant | None = Field(default=None, description="Slots after this instant; now by default")
    count: Annotated[int, Field(ge=1, le=MAX_PREVIEWED_SLOTS), BeforeValidator(not_boolean)] | None = Field(
        default=None, description=f"Slots in the answer, {DEFAULT_PREVIEWED_SLOTS} by default"
    )
    job_id: UUID | None = Field(default=None, description="The job on whose id the H of a cron expression depends")

    def unknown_fields(self) -> list[ScheduleWarning]:
        """A warning for each of the first fields that mean nothing, neither here nor in a job."""
        unknown = [name for name in self.model_extra or {} if name not in JobView.model_fields]
        return [_unknown_field(name) for name in unknown[:MAX_ERROR_ENTRIES]]


def _unknown_field(name: str) -> ScheduleWarning:
    close = difflib.get_close_matches(name[:MAX_COMPARED_LENGTH], SchedulePreview.model_fields, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return ScheduleWarning(
        "unknown_field", safe_text(f'"{name}" is no field of a schedule, and changes nothing{meant}')
    )


class SlotView(BaseModel):
    """One slot. `at` is UTC; `local` is the same instant in the time zone of the schedule, with the offset there.

    `dst`: the local time does not exist that day and the run comes after the gap, or it exists twice. `excluded_by`:
    the calendar because of which there is no run. `moved_from`: the slot on a day off that runs here instead.
    """

    at: datetime
    # A text: some offsets of the past have seconds, which RFC 3339, and so the format date-time, does not know.
    local: str
    dst: DstNote | None
    excluded_by: str | None
    moved_from: datetime | None

    @classmethod
    def of(cls, slot: PreviewedSlot) -> Self:
        """As clients see `slot`."""
        return cls(
            at=slot.at,
            local=slot.local.isoformat(),
            dst=slot.dst,
            excluded_by=slot.excluded_by,
            moved_from=slot.moved_from,
        )


class WarningView(BaseModel):
    """Something about the schedule that its author should know: `code` for programs, `message` for people."""

    code: str
    message: str


class PreviewView(BaseModel):
    """The next slots, a sentence that says what the schedule means, and what is odd about it."""

    slots: list[SlotView]
    description: str
    warnings: list[WarningView]

    @classmethod
    def of(cls, preview: Preview) -> Self:
        """As clients see `preview`."""
        return cls(
            slots=[SlotView.of(slot) for slot in preview.slots],
            description=preview.description,
            warnings=[WarningView(code=warning.code, message=warning.message) for warning in preview.warnings],
        )


def preview_answer(preview: Preview) -> Response:
    """The answer, written at once: FastAPI would check the thousand slots of our own making a second time."""
    return Response(PreviewView.of(preview).model_dump_json(), media_type="application/json")
