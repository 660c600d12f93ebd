"""The fields that say when: what they take, what they refuse, and what null means."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from api.requests import JobCreate, JobUpdate
from engine.timing import DstGap, DstOverlap, OnExcluded, Timing

JOB = {"name": "a", "function_name": "note"}
HOURLY = {"cron_expression": "0 * * * *"}
RUN_AT = "2026-12-01T09:00:00Z"


def timing(**fields: Any) -> Timing:
    return JobCreate.model_validate(JOB | HOURLY | fields).draft().timing


def change(**fields: Any) -> dict[str, Any]:
    return dict(JobUpdate.model_validate(fields).change().timing)


def fault(**fields: Any) -> dict[str, Any]:
    with pytest.raises(ValidationError) as refusal:
        JobCreate.model_validate(JOB | HOURLY | fields)
    [found] = refusal.value.errors()
    return dict(found)


def test_every_field_arrives() -> None:
    assert timing(
        timezone="Europe/Berlin",
        dst_gap="skip",
        dst_overlap="both",
        start_at="2026-12-01T00:00:00Z",
        end_at="2027-12-01T00:00:00Z",
        max_runs=5,
        jitter_seconds=1.5,
        exclude_calendars=["holidays", "weekends"],
        on_excluded="next_business_day",
    ) == Timing(
        cron_expression="0 * * * *",
        timezone="Europe/Berlin",
        dst_gap=DstGap.SKIP,
        dst_overlap=DstOverlap.BOTH,
        start_at=datetime(2026, 12, 1, tzinfo=UTC),
        end_at=datetime(2027, 12, 1, tzinfo=UTC),
        max_runs=5,
        jitter_seconds=1.5,
        exclude_calendars=("holidays", "weekends"),
        on_excluded=OnExcluded.NEXT_BUSINESS_DAY,
    )


def test_what_an_old_client_sends_means_what_it_meant() -> None:
    assert timing() == Timing(cron_expression="0 * * * *")
    assert change(cron_expression=None, interval_seconds=15) == {"interval_seconds": 15}
    assert change(name="a") == {}


@pytest.mark.parametrize(
    "field",
    [
        *("timezone", "dst_gap", "dst_overlap", "start_at", "end_at", "max_runs"),
        *("jitter_seconds", "exclude_calendars", "on_excluded", "interval_seconds", "run_at"),
    ],
)
def test_null_is_the_default_on_create(field: str) -> None:
    assert timing(**{field: None}) == Timing(cron_expression="0 * * * *")


@pytest.mark.parametrize(
    ("field", "default"),
    [
        ("timezone", "UTC"),
        ("dst_gap", DstGap.RUN_AFTER),
        ("dst_overlap", DstOverlap.FIRST),
        ("start_at", None),
        ("end_at", None),
        ("max_runs", None),
        ("jitter_seconds", 0.0),
        ("exclude_calendars", ()),
        ("on_excluded", OnExcluded.SKIP),
    ],
)
def test_null_resets_a_field_in_a_change(field: str, default: object) -> None:
    assert change(**{field: None}) == {field: default}


@pytest.mark.parametrize("field", ["interval_seconds", "cron_expression", "run_at"])
def test_null_for_a_kind_of_schedule_means_absent_in_a_change(field: str) -> None:
    assert change(**{field: None}) == {}


@pytest.mark.parametrize("given", [0.1, 0.5, 10, 10.0, "10", "0.25", " 7 ", 10**11])
def test_an_interval_is_seconds_with_fractions(given: object) -> None:
    assert timing(cron_expression=None, interval_seconds=given).interval_seconds == float(str(given))


@pytest.mark.parametrize(
    "given", [0, 0.09, -1, True, "x", "", "nan", float("nan"), float("inf"), 10**11 + 1, 10**400, []]
)
def test_an_interval_that_is_no_such_number_is_refused(given: object) -> None:
    assert fault(cron_expression=None, interval_seconds=given)["loc"] == ("interval_seconds",)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-12-01T09:00:00Z", datetime(2026, 12, 1, 9, tzinfo=UTC)),
        ("2026-12-01t09:00z", datetime(2026, 12, 1, 9, tzinfo=UTC)),
        ("2026-12-01 09:00:00+00:00", datetime(2026, 12, 1, 9, tzinfo=UTC)),
        ("2026-12-01T09:00:00.250+05:30", datetime(2026, 12, 1, 3, 30, 0, 250_000, tzinfo=UTC)),
        ("2026-12-01T09:00:00-03", datetime(2026, 12, 1, 12, tzinfo=UTC)),
        ("20261201T090000Z", datetime(2026, 12, 1, 9, tzinfo=UTC)),
        ("0001-01-01T14:00:00+14:00", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T11:59:59-12:00", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("field", ["start_at", "end_at", "run_at"])
def test_an_instant_is_a_text_with_an_offset_and_becomes_utc(field: str, given: str, expected: datetime) -> None:
    kind = {"cron_expression": None} if field == "run_at" else {}
    found = getattr(timing(**kind, **{field: given}), field)

    assert found == expected
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("given", "kind", "wanted"),
    [
        ("2026-12-01T09:00:00", "instant_offset", "give an offset, such as 2026-12-01T09:00:00Z"),
        ("2026-12-01", "instant_offset", "give an offset, such as 2026-12-01T09:00:00Z"),
        (1_767_225_600, "instant_type", "an ISO 8601 text with an offset, such as 2026-12-01T09:00:00Z"),
        (1.5, "instant_type", "an ISO 8601 text"),
        (True, "instant_type", "an ISO 8601 text"),
        ("1767225600", "instant_type", "an ISO 8601 text"),
        ("now", "instant_type", "an ISO 8601 text"),
        ("", "instant_type", "an ISO 8601 text"),
        ("2026-13-01T09:00:00Z", "instant_type", "an ISO 8601 text"),
        ("2026-12-01T23:59:60Z", "instant_type", "an ISO 8601 text"),
        ("2026-12-01x09:00:00Z", "instant_type", "an ISO 8601 text"),
        ("\uff12\uff10\uff12\uff16-12-01T09:00:00Z", "instant_type", "an ISO 8601 text"),
        ("2026-12-01\ud80009:00:00Z", "instant_type", "an ISO 8601 text"),
        ({}, "instant_type", "an ISO 8601 text"),
        ("0001-01-01T00:00:00+14:00", "instant_range", "within the years 1 to 9999, also when converted to UTC"),
        ("9999-12-31T23:59:59-12:00", "instant_range", "within the years 1 to 9999"),
        ("10000-01-01T00:00:00Z", "instant_type", "an ISO 8601 text"),
        ("0000-01-01T00:00:00Z", "instant_type", "an ISO 8601 text"),
    ],
)
@pytest.mark.parametrize("field", ["start_at", "end_at", "run_at"])
def test_what_is_no_instant_is_refused_with_what_is_wanted(field: str, given: object, kind: str, wanted: str) -> None:
    found = fault(**{field: given})

    assert found["loc"] == (field,)
    assert found["type"] == kind
    assert wanted in found["msg"]


def test_a_window_that_ends_before_it_starts_is_refused() -> None:
    found = fault(start_at="2026-12-02T00:00:00Z", end_at="2026-12-01T23:00:00-00:30")

    assert found["msg"].startswith("start_at 2026-12-02T00:00:00+00:00 is after end_at 2026-12-01T23:30:00+00:00: give")
    assert timing(start_at=RUN_AT, end_at=RUN_AT).end_at is not None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "neither interval_seconds nor cron_expression nor run_at was given: give exactly one of them"),
        (
            {"interval_seconds": 1, "run_at": RUN_AT},
            "both interval_seconds and run_at were given: give only one of them",
        ),
        (
            {"run_at": RUN_AT, **HOURLY},
            "both cron_expression and run_at were given: give only one of them",
        ),
        (
            {"interval_seconds": 1, "run_at": RUN_AT, **HOURLY},
            "interval_seconds, cron_expression and run_at were given: give only one of them",
        ),
    ],
)
def test_exactly_one_kind_of_schedule_is_wanted(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        JobCreate.model_validate(JOB | fields)
    assert [found["msg"] for found in refusal.value.errors()] == [message]
    if fields:
        with pytest.raises(ValidationError, match="give only one of them"):
            JobUpdate.model_validate(fields)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("timezone", "x" * 65),
        ("timezone", "a\x00"),
        ("timezone", 1),
        ("dst_gap", "run"),
        ("dst_overlap", "second"),
        ("max_runs", 0),
        ("max_runs", 1_000_000_001),
        ("max_runs", 1.5),
        ("max_runs", True),
        ("jitter_seconds", -0.1),
        ("jitter_seconds", 86_400.1),
        ("jitter_seconds", "nan"),
        ("jitter_seconds", True),
        ("exclude_calendars", "holidays"),
        ("exclude_calendars", ["x"] * 17),
        ("on_excluded", "move"),
    ],
)
def test_a_value_beyond_the_limits_of_its_field_is_refused(field: str, given: object) -> None:
    assert fault(**{field: given})["loc"] == (field,)


@pytest.mark.parametrize("name", ["", "Holidays", "-a", ".a", "a b", "a/b", "é", "a\n", "x" * 65, "\ud800", None, 1])
def test_a_calendar_that_could_not_exist_cannot_be_listed(name: object) -> None:
    assert fault(exclude_calendars=["a", name])["loc"] == ("exclude_calendars", 1)


def test_a_calendar_that_is_listed_twice_counts_once_in_its_first_place() -> None:
    assert timing(exclude_calendars=["b", "a", "b"]).exclude_calendars == ("b", "a")
