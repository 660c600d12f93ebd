"""Pauses as clients ask for them and see them."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.fields import Name, storable
from api.schedule_fields import Instant
from engine.limits import MAX_REASON_LENGTH
from engine.nouns import Pause

Note = Annotated[str, StringConstraints(max_length=MAX_REASON_LENGTH), AfterValidator(storable)]


class PauseRequest(BaseModel):
    """How long, by whom, and why; each may be left out, and null means the same."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"until": "2027-01-04T06:00:00Z", "by": "Ada", "note": "stocktaking"}]}
    )

    until: Instant | None = Field(default=None, description="Resume by itself at this instant, without catching up")
    by: Name | None = Field(default=None, description="Who asks for it")
    note: Note | None = Field(default=None, description="Why")


class ResumeRequest(BaseModel):
    """Whether what came due during the pause is to be caught up with."""

    catch_up: bool = Field(default=False, description="Treat the pause as downtime, by the job's misfire policy")


class PauseView(BaseModel):
    """Why nothing runs. `reason` is there if the scheduler has paused a job by itself."""

    at: datetime
    until: datetime | None
    by: str | None
    note: str | None
    reason: str | None

    @classmethod
    def of(cls, pause: Pause) -> Self:
        """As clients see `pause`."""
        return cls(at=pause.at, until=pause.until, by=pause.by, note=pause.note, reason=pause.reason)


class ServicePauseView(BaseModel):
    """Whether everything is paused, and by which pause."""

    paused: bool
    pause: PauseView | None

    @classmethod
    def of(cls, pause: Pause | None) -> Self:
        """As clients see it."""
        return cls(paused=pause is not None, pause=None if pause is None else PauseView.of(pause))
