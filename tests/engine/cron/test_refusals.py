"""What is refused: each time with the field, what was given, what is wanted, and where it helps what was meant."""

import pytest

from engine.cron import cron_schedule
from engine.errors import InvalidSchedule

MONTH_NAMES, WEEKDAY_NAMES = "jan, feb, mar, ", "sun, mon, tue, "

Row = tuple[str, str, str, str]

NUMBERS: list[Row] = [
    ("60 * * * *", "minute", "60", "a number from 0 to 59 is wanted"),
    ("60 * * * * *", "second", "60", "a number from 0 to 59 is wanted"),
    ("* 24 * * *", "hour", "24", "a number from 0 to 23 is wanted"),
    ("* * 0 * *", "day of month", "0", "a number from 1 to 31 is wanted"),
    ("* * 32 * *", "day of month", "32", "a number from 1 to 31 is wanted"),
    ("* * * 13 *", "month", "13", f"a number from 1 to 12 or {MONTH_NAMES}"),
    ("* * * 0 *", "month", "0", f"a number from 1 to 12 or {MONTH_NAMES}"),
    ("* * * * 8", "day of week", "8", f"a number from 0 to 7 or {WEEKDAY_NAMES}"),
    ("* * * mon *", "month", "mon", f"a number from 1 to 12 or {MONTH_NAMES}"),
    ("* * * * jan", "day of week", "jan", f"a number from 0 to 7 or {WEEKDAY_NAMES}"),
    ("* * * * monday", "day of week", "monday", "did you mean mon?"),
    ("jan * * * *", "minute", "jan", "a number from 0 to 59 is wanted"),
    ("5" * 200 + " * * * *", "minute", "5" * 200, "a number from 0 to 59 is wanted"),
    ("0 0 1 1 * 2027", "day of week", "2027", "years are not for cron expressions"),
]

STEPS: list[Row] = [
    ("*/90 * * * *", "minute", "*/90", "a step from 1 to 60 is wanted"),
    ("*/90 * * * *", "minute", "*/90", "interval_seconds 5400"),
    ("*/0 * * * *", "minute", "*/0", "a step from 1 to 60 is wanted"),
    ("*/x * * * *", "minute", "*/x", "a step from 1 to 60 is wanted"),
    ("*/61 * * * * *", "second", "*/61", "a step from 1 to 60 is wanted"),
    ("0 */25 * * *", "hour", "*/25", "a step from 1 to 24 is wanted"),
    ("* * * * */8", "day of week", "*/8", "a step from 1 to 7 is wanted"),
    ("5-5/2 * * * *", "minute", "5-5/2", "a step from 1 to 1 is wanted"),
    ("0-10/12 * * * *", "minute", "0-10/12", "a step from 1 to 11 is wanted"),
    ("59/15 * * * *", "minute", "59/15", "a step after a star or a range, such as */5, is wanted"),
    ("0/15 * * * *", "minute", "0/15", "a step after a star or a range, such as */5 or 0-59/15, is wanted"),
    ("*/" + "5" * 200 + " * * * *", "minute", "*/" + "5" * 200, "a step from 1 to 60 is wanted"),
]

RANGES: list[Row] = [
    ("50-10 * * * *", "minute", "50-10", "a range that goes up, such as 10-50"),
    ("50-10 * * * *", "minute", "50-10", "50-59,0-10"),
    ("* * * * fri-sun", "day of week", "fri-sun", "a range that goes up, such as 5-7"),
    ("* * * * sat-sun", "day of week", "sat-sun", "a range that goes up, such as 6-7"),
    ("* * * * 6-0", "day of week", "6-0", "a range that goes up, such as 6-7"),
    ("* * * * fri-mon", "day of week", "fri-mon", "5-7,0-1"),
    ("* * * dec-jan *", "month", "dec-jan", "12-12,1-1"),
    ("1-2-3 * * * *", "minute", "1-2-3", "ranges a-b"),
    ("-5 * * * *", "minute", "-5", "ranges a-b"),
    ("5- * * * *", "minute", "5-", "ranges a-b"),
    ("*-5 * * * *", "minute", "*-5", "ranges a-b"),
]

LISTS_AND_OTHERS: list[Row] = [
    ("1,,2 * * * *", "minute", "", "a value before and after each comma"),
    ("1, * * * *", "minute", "", "a value before and after each comma"),
    (",1 * * * *", "minute", "", "a value before and after each comma"),
    ("** * * * *", "minute", "**", "ranges a-b"),
    ("1.5 * * * *", "minute", "1.5", "ranges a-b"),
    ("0~30 * * * *", "minute", "0~30", "ranges a-b"),
    ("\x00 * * * *", "minute", "\x00", "ranges a-b"),
    ("5\x00 * * * *", "minute", "5\x00", "ranges a-b"),
    ("? * * * *", "minute", "?", "* (which is what Quartz means by ?) is wanted"),
    ("0 0 ? * *", "day of month", "?", "* (which is what Quartz means by ?) is wanted"),
    ("R * * * *", "minute", "R", "give H"),
    ("R(0-29) * * * *", "minute", "R(0-29)", "H"),
]

NO_ASCII_DIGITS: list[Row] = [
    ("\u0665 * * * *", "minute", "\u0665", "ASCII"),
    ("*/\uff15 * * * *", "minute", "*/\uff15", "ASCII"),
    ("1-\uff15 * * * *", "minute", "1-\uff15", "ASCII"),
    ("\u00b2 * * * *", "minute", "\u00b2", "ASCII"),
    ("0 0 \uff11W * *", "day of month", "\uff11W", "ASCII"),
    ("0 0 * * 5#\u0663", "day of week", "5#\u0663", "ASCII"),
    ("0 0 * * \u0665L", "day of week", "\u0665L", "ASCII"),
    ("H/\u0665 * * * *", "minute", "H/\u0665", "ASCII"),
]

LAST_NEAREST_AND_NTH: list[Row] = [
    ("L * * * *", "minute", "L", "a number from 0 to 59 is wanted"),
    ("0 0 * L *", "month", "L", "a number from 1 to 12"),
    ("0 0 * * L", "day of week", "L", "a number from 0 to 7"),
    ("0 0 L-3 * *", "day of month", "L-3", "a number from 1 to 31 is wanted"),
    ("0 0 L/2 * *", "day of month", "L/2", ""),
    ("0 0 W * *", "day of month", "W", "a number from 1 to 31 is wanted"),
    ("0 0 WL * *", "day of month", "WL", "a number from 1 to 31 is wanted"),
    ("0 0 0W * *", "day of month", "0W", "a number from 1 to 31 is wanted"),
    ("0 0 32W * *", "day of month", "32W", "a number from 1 to 31 is wanted"),
    ("0 0 1-5W * *", "day of month", "1-5W", ""),
    ("0 0 * * 15W", "day of week", "15W", "a number from 0 to 7"),
    ("0 0 * * 8L", "day of week", "8L", "a number from 0 to 7"),
    ("0 0 * * 1-5L", "day of week", "1-5L", ""),
    ("0 0 5L * *", "day of month", "5L", "a number from 1 to 31 is wanted"),
    ("0 0 * * 5#0", "day of week", "5#0", "its number in the month from 1 to 5"),
    ("0 0 * * 5#6", "day of week", "5#6", "its number in the month from 1 to 5"),
    ("0 0 * * 8#1", "day of week", "8#1", "a number from 0 to 7"),
    ("0 0 * * 5#", "day of week", "5#", "5#3 for the third Friday"),
    ("0 0 * * #3", "day of week", "#3", "5#3 for the third Friday"),
    ("0 0 5#3 * *", "day of month", "5#3", ""),
]

HASHES: list[Row] = [
    ("H(5-70) * * * *", "minute", "H(5-70)", "a number from 0 to 59 is wanted"),
    ("H(30-10) * * * *", "minute", "H(30-10)", "a range that goes up, such as 10-30"),
    ("H(5) * * * *", "minute", "H(5)", "ranges a-b"),
    ("H/0 * * * *", "minute", "H/0", "a step from 1 to 60 is wanted"),
    ("H/61 * * * *", "minute", "H/61", "a step from 1 to 60 is wanted"),
    ("H(0-10)/12 * * * *", "minute", "H(0-10)/12", "a step from 1 to 11 is wanted"),
    ("0 0 H/29 * *", "day of month", "H/29", "a step from 1 to 28 is wanted"),
    ("0 0 H(0-5) * *", "day of month", "H(0-5)", "a number from 1 to 31 is wanted"),
]


@pytest.mark.parametrize(
    ("expression", "field", "given_text", "wanted"),
    [
        *NUMBERS,
        *STEPS,
        *RANGES,
        *LISTS_AND_OTHERS,
        *NO_ASCII_DIGITS,
        *LAST_NEAREST_AND_NTH,
        *HASHES,
    ],
)
def test_a_refusal_names_the_field_what_was_given_and_what_is_wanted(
    expression: str, field: str, given_text: str, wanted: str
) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        cron_schedule(expression)

    assert refusal.value.field == "cron_expression"
    assert str(refusal.value).startswith(f'cron_expression has "{given_text}" in its {field} field: ')
    assert wanted in str(refusal.value)


FIVE_FIELDS = "5 are wanted, minute hour day-of-month month day-of-week"


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("", f'cron_expression "" has 0 fields: {FIVE_FIELDS}'),
        ("   ", f'cron_expression "   " has 0 fields: {FIVE_FIELDS}'),
        ("*", f'cron_expression "*" has 1 field: {FIVE_FIELDS}'),
        ("* * * *", f'cron_expression "* * * *" has 4 fields: {FIVE_FIELDS}'),
        ("* * * * * * *", f'cron_expression "* * * * * * *" has 7 fields: {FIVE_FIELDS}'),
        ("@reboot", 'cron_expression "@reboot" is no macro: @yearly, @annually, @monthly, '),
        ("@every 5m", 'cron_expression "@every 5m" is no macro: @yearly'),
        ("@", 'cron_expression "@" is no macro: @yearly'),
        ("@daily now", 'cron_expression "@daily now" is no macro: @yearly'),
        ("\x00", 'cron_expression "\x00" has 1 field'),
        ("0" * 300, "cron_expression has 300 characters: at most 256 are wanted"),
        ("* " * 128 + "*", "cron_expression has 257 characters: at most 256 are wanted"),
    ],
)
def test_what_has_neither_five_nor_six_fields_is_refused_with_what_is_wanted(expression: str, complaint: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        cron_schedule(expression)

    assert refusal.value.field == "cron_expression"
    assert str(refusal.value).startswith(complaint)


@pytest.mark.parametrize(
    ("timezone", "complaint"),
    [
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("", "an IANA name such as Europe/Berlin or UTC is wanted"),
        ("UTC\x00", "an IANA name such as Europe/Berlin or UTC is wanted"),
        ("../UTC", "an IANA name such as Europe/Berlin or UTC is wanted"),
        ("/etc/localtime", "an IANA name such as Europe/Berlin or UTC is wanted"),
        ("localtime", "an IANA name such as Europe/Berlin or UTC is wanted"),
        ("x" * 100_000, "an IANA name such as Europe/Berlin or UTC is wanted"),
    ],
)
def test_a_time_zone_that_does_not_exist_is_refused(timezone: str, complaint: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        cron_schedule("0 0 * * *", timezone=timezone)

    assert refusal.value.field == "timezone"
    assert str(refusal.value).startswith(f'timezone "{timezone[:64]}')
    assert complaint in str(refusal.value)
    assert len(str(refusal.value)) < 250
