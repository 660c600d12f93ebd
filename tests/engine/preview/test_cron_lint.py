"""Warnings about what a cron expression says: steps, joined day fields, short months, seconds."""

import pytest

from engine.timing import Timing
from tests.engine.preview.linting import codes, cron, message


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("*/25 * * * *", '"*/25" in the minute field names 0, 25 and 50, and then 0 again after 10 minutes, not 25'),
        ("*/25 * * * *", "for a run every 25 minutes give interval_seconds 1500"),
        ("*/7 * * * *", "names 0, 7, 14, ..., 56, and then 0 again after 4 minutes, not 7"),
        ("*/45 * * * * *", '"*/45" in the second field names 0 and 45, and then 0 again after 15 seconds'),
        ("0 */5 * * *", "names 0, 5, 10, 15 and 20, and then 0 again after 4 hours, not 5"),
        ("0 0 */2 * *", "names 1, 3, 5, ..., 31, and then 1 again after 1 day where the month has 31 days, not 2"),
        ("0 0 */2 4-5 *", "after 1 day where the month has 31 days"),
        ("0 0 * */5 *", "names January, June and November, and then January again after 2 months, not 5"),
        ("0 0 * * */2", "names Sunday, Tuesday, Thursday and Saturday, and then Sunday again after 1 day, not 2"),
        ("H/25 * * * *", "again after 10 minutes, not 25"),
        ("0 H/5 * * *", "again after 4 hours, not 5"),
        ("0 0 H/5 * *", '"H/5" in the day of month field names'),
    ],
)
def test_uneven_step_says_where_the_other_gap_falls(expression: str, said: str) -> None:
    assert said in message(cron(expression), "uneven_step")


@pytest.mark.parametrize(
    "expression",
    [
        "*/15 * * * *",
        "0 */8 * * *",
        "0 0 1 */4 *",
        "H/20 H/6 * * *",
        "*/25 9 * * *",
        "*/45 30 9 * * *",
        "0 */5 * * 1",
        "0 0 */2 7 *",
        "*/25,50 * * * *",
        "0-59/25 * * * *",
        "H(0-29)/7 * * * *",
        "0 0 */1 * *",
    ],
)
def test_a_step_that_is_even_or_does_not_come_round_is_not_uneven(expression: str) -> None:
    assert "uneven_step" not in codes(cron(expression))


@pytest.mark.parametrize(
    ("expression", "code", "said"),
    [
        (
            "0 0 13 * 5",
            "either_day",
            "it runs on day 13 of the month or on Friday, 63 days of the next 365 (2026-11-27",
        ),
        ("0 0 13 7 5", "either_day", "only in July"),
        ("0 0 1-7 * 1", "either_day", 'for days that match both write "1#1" as day of week'),
        ("0 0 15-21 * 0", "either_day", 'write "0#3" as day of week'),
        ("0 0 13 * 0-6", "either_day", "it runs every day, 365 days"),
        ("0 0 1-31 * 1", "either_day", "it runs every day, 365 days"),
        ("0 0 */2 * 1", "both_days", "27 days of the next 365 (2026-11-23, 2026-12-07, 2026-12-21, ...)"),
        ("0 0 */2 * 1", "both_days", 'for days that match either write "1-31/2" instead of "*/2"'),
        ("0 0 13 * */2", "both_days", 'write "0-6/2" instead of "*/2"'),
        ("0 0 */2 * */2", "both_days", 'write "1-31/2" instead of "*/2" and "0-6/2" instead of "*/2"'),
    ],
)
def test_two_day_fields_say_how_they_join(expression: str, code: str, said: str) -> None:
    assert said in message(cron(expression), code)
    assert len({"either_day", "both_days"} & set(codes(cron(expression)))) == 1


@pytest.mark.parametrize("expression", ["0 0 13 * *", "0 0 * * 5", "0 0 1-31 * 0-6", "0 0 *,5 * 1", "0 0 */2 * 0-6"])
def test_one_restricted_day_field_joins_nothing(expression: str) -> None:
    assert not {"either_day", "both_days"} & set(codes(cron(expression)))


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 0 31 * *", "February, April, June, September and November have no day 31"),
        ("0 0 30 * *", "February has no day 30"),
        ("0 0 29 * *", "February (but in leap years) has no day 29"),
        ("0 0 30,31 2-4 *", "February has no day 30 and February and April have no day 31"),
        ("0 0 29-31 * *", "February (but in leap years) has no day 29, February has no day 30 and February, April"),
        ("0 0 31W * *", "the last weekday of each month is LW"),
        ("0 0 1,31 * *", "have no day 31"),
    ],
)
def test_short_months_are_named(expression: str, said: str) -> None:
    assert said in message(cron(expression), "short_months")


@pytest.mark.parametrize(
    "expression",
    ["0 0 28 * *", "0 0 31 1,3 *", "0 0 31,L * *", "0 0 28-31 * *", "0 0 31 * 1", "0 0 */2 * *", "0 0 15-31 * *"],
)
def test_months_are_not_short_where_nobody_misses_the_day(expression: str) -> None:
    assert "short_months" not in codes(cron(expression))


@pytest.mark.parametrize(
    ("timing", "said"),
    [
        (cron("*/10 * * * * *"), "names 6 seconds of a minute: that is 360 runs an hour, 8,640 a day"),
        (cron("0,30 15 9 * * *"), "that is 2 runs an hour, 2 a day"),
        (Timing(interval_seconds=0.5), "a run every 0.5 seconds: that is 7,200 runs an hour, 172,800 a day"),
        (Timing(interval_seconds=9), "400 runs an hour, 9,600 a day"),
    ],
)
def test_second_level_load_has_its_numbers(timing: Timing, said: str) -> None:
    assert said in message(timing, "second_level_load")
