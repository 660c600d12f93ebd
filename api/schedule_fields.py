"""The fields that say when: their types and limits, and the model that every body with a schedule builds on."""

import re
from dataclasses import fields
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from api.fields import CalendarName, storable
from api.limits import MAX_INTERVAL_SECONDS
from engine.limits import (
    MAX_CRON_EXPRESSION_LENGTH,
    MAX_EXCLUDED_CALENDARS,
    MAX_JITTER_SECONDS,
    MAX_RUNS,
    MAX_TIMEZONE_LENGTH,
    MIN_INTERVAL_SECONDS,
)
from engine.timing import KINDS, DstGap, DstOverlap, OnExcluded, Timing

INSTANT_CHARACTERS = re.compile(r"[0-9TtZz:.,+ -]*")
DEFAULTS = {field.name: field.default for field in fields(Timing)}


def not_boolean(value: Any) -> Any:
    """Refuse what pydantic reads as 1 or 0: true would be a job that runs each second."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number, not a boolean")
    return value


def _instant(value: Any) -> datetime:
    """The aware instant that an ISO 8601 text names, in UTC."""
    # Neither pydantic, which takes numbers and "1767225600" for seconds since 1970, nor any separator but T and blank.
    if not isinstance(value, str) or not INSTANT_CHARACTERS.fullmatch(value):
        raise _no_instant()
    try:
        instant = datetime.fromisoformat(value.upper())
    except ValueError:
        raise _no_instant() from None
    if instant.tzinfo is None:
        raise PydanticCustomError(
            "instant_offset", "Instant should say its offset from UTC: give an offset, such as 2026-12-01T09:00:00Z"
        )
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError(
            "instant_range", "Instant should lie within the years 1 to 9999, also when converted to UTC"
        ) from None


def _no_instant() -> PydanticCustomError:
    return PydanticCustomError(
        "instant_type", "Input should be an ISO 8601 text with an offset, such as 2026-12-01T09:00:00Z"
    )


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


IntervalSeconds = Annotated[
    float,
    Field(ge=MIN_INTERVAL_SECONDS, le=MAX_INTERVAL_SECONDS, allow_inf_nan=False),
    BeforeValidator(not_boolean),
]
"""Seconds; "10", 10 and 10.0 will do as well."""

CronExpression = Annotated[str, StringConstraints(max_length=MAX_CRON_EXPRESSION_LENGTH), AfterValidator(storable)]
"""What it means, the engine knows."""

Instant = Annotated[datetime, BeforeValidator(_instant)]
"""A text with an offset; whatever that is, UTC inside."""

TimeZone = Annotated[str, StringConstraints(max_length=MAX_TIMEZONE_LENGTH), AfterValidator(storable)]
"""Whether there is one of this name, the engine knows."""

MaxRuns = Annotated[int, Field(ge=1, le=MAX_RUNS), BeforeValidator(not_boolean)]

JitterSeconds = Annotated[float, Field(ge=0, le=MAX_JITTER_SECONDS, allow_inf_nan=False), BeforeValidator(not_boolean)]

ExcludedCalendars = Annotated[
    tuple[CalendarName, ...], Field(max_length=MAX_EXCLUDED_CALENDARS), AfterValidator(_unique)
]
"""In the order given; a name that comes twice counts once."""


class TimingFields(BaseModel):
    """What a client may say about when. Null means absent; at most one kind of schedule."""

    interval_seconds: IntervalSeconds | None = Field(default=None, description="Run each so many seconds")
    cron_expression: CronExpression | None = Field(default=None, description="Run when it says, in the time zone")
    run_at: Instant | None = Field(default=None, description="Run once, at this instant")
    timezone: TimeZone | None = Field(
        default=None, description='The IANA time zone of cron expression and calendars, "UTC" by default'
    )
    dst_gap: DstGap | None = Field(
        default=None,
        description='A fixed local time that a spring gap swallows: "run_after" the gap (the default), or "skip" it',
    )
    dst_overlap: DstOverlap | None = Field(
        default=None, description='A fixed local time that an autumn overlap repeats: "first" (the default), or "both"'
    )
    start_at: Instant | None = Field(default=None, description="No slot before this instant")
    end_at: Instant | None = Field(default=None, description="No slot after this instant")
    max_runs: MaxRuns | None = Field(default=None, description="Complete after so many runs by schedule")
    jitter_seconds: JitterSeconds | None = Field(
        default=None, description="Spread each run over so many seconds after its slot, 0 by default"
    )
    exclude_calendars: ExcludedCalendars | None = Field(
        default=None, description="Calendars, see GET /calendars: on their days off there is no run"
    )
    on_excluded: OnExcluded | None = Field(
        default=None,
        description='A slot on a day off: "skip" it (the default), or run at its local time on the "next_business_day"',
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        _refuse_several(self.kinds)
        if self.start_at is not None and self.end_at is not None and self.start_at > self.end_at:
            raise PydanticCustomError(
                "empty_window",
                "start_at {start_at} is after end_at {end_at}: give an end that is not before the start",
                {"start_at": self.start_at.isoformat(), "end_at": self.end_at.isoformat()},
            )
        return self

    @property
    def kinds(self) -> list[str]:
        """The kinds of schedule that are given."""
        return [kind for kind in KINDS if getattr(self, kind) is not None]

    def timing(self) -> Timing:
        """All of it in the engine's words, with defaults for what is not given."""
        given = {name: getattr(self, name) for name in self.model_fields_set.intersection(DEFAULTS)}
        return Timing(**{name: value for name, value in given.items() if value is not None})

    def named_timing(self) -> dict[str, Any]:
        """The fields that the client named, for a merge (RFC 7396): null stands for the default of what has one.

        Of a kind of schedule null has always meant absent, so that a job can be sent back as it came.
        """
        named = {name: getattr(self, name) for name in DEFAULTS if name in self.model_fields_set}
        return {
            name: DEFAULTS[name] if value is None else value
            for name, value in named.items()
            if value is not None or name not in KINDS
        }


class OneSchedule(TimingFields):
    """The same with exactly one kind of schedule."""

    @model_validator(mode="after")
    def _has_a_schedule(self) -> Self:
        if not self.kinds:
            raise PydanticCustomError(
                "one_schedule", f"neither {' nor '.join(KINDS)} was given: give exactly one of them"
            )
        return self


def _refuse_several(kinds: list[str]) -> None:
    if len(kinds) > 1:
        given = f"both {' and '.join(kinds)}" if len(kinds) == 2 else f"{', '.join(kinds[:-1])} and {kinds[-1]}"
        raise PydanticCustomError("one_schedule", f"{given} were given: give only one of them")
