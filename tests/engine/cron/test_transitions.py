"""What cron does where clocks are set, zone by zone: instants worked out by hand, which the oracle must know too."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import pytest

from engine.cron import cron_schedule
from engine.timing import DstGap, DstOverlap
from tests.engine.cron.oracle import Oracle
from tests.engine.cron.stepping import slots_after, slots_until, utc

Rules = Mapping[str, Any]
Row = tuple[str, str, str, Rules, list[str]]

DEFAULT: Rules = {}
SKIP: Rules = {"dst_gap": DstGap.SKIP}
BOTH: Rules = {"dst_overlap": DstOverlap.BOTH}

NEW_YORK: list[Row] = [
    # 8 March 2026: 02:00 EST is 03:00 EDT, at 07:00Z. Midnight is 05:00Z before, 04:00Z after.
    ("30 2 * * *", "America/New_York", "2026-03-07T12:00", DEFAULT, ["2026-03-08T07:00", "2026-03-09T06:30"]),
    ("30 2 * * *", "America/New_York", "2026-03-07T12:00", SKIP, ["2026-03-09T06:30", "2026-03-10T06:30"]),
    ("30 2 * * *", "America/New_York", "2026-03-07T12:00", BOTH, ["2026-03-08T07:00", "2026-03-09T06:30"]),
    ("0 3 * * *", "America/New_York", "2026-03-07T12:00", DEFAULT, ["2026-03-08T07:00", "2026-03-09T07:00"]),
    ("0 3 * * *", "America/New_York", "2026-03-07T12:00", SKIP, ["2026-03-08T07:00", "2026-03-09T07:00"]),
    ("0,30 2 * * *", "America/New_York", "2026-03-07T12:00", DEFAULT, ["2026-03-08T07:00", "2026-03-09T06:00"]),
    (
        "0,30 2,3 * * *",
        "America/New_York",
        "2026-03-07T12:00",
        DEFAULT,
        ["2026-03-08T07:00", "2026-03-08T07:30", "2026-03-09T06:00"],
    ),
    ("15 30 2 * * *", "America/New_York", "2026-03-07T12:00", DEFAULT, ["2026-03-08T07:00", "2026-03-09T06:30:15"]),
    ("*/30 2 * * *", "America/New_York", "2026-03-07T12:00", DEFAULT, ["2026-03-09T06:00", "2026-03-09T06:30"]),
    ("30 * * * *", "America/New_York", "2026-03-08T06:00", DEFAULT, ["2026-03-08T06:30", "2026-03-08T07:30"]),
    ("*/30 * * * *", "America/New_York", "2026-03-08T06:30", DEFAULT, ["2026-03-08T07:00", "2026-03-08T07:30"]),
    ("0 */2 * * *", "America/New_York", "2026-03-08T04:00", DEFAULT, ["2026-03-08T05:00", "2026-03-08T08:00"]),
    # 1 November 2026: 02:00 EDT is 01:00 EST, at 06:00Z. Midnight is 04:00Z before, 05:00Z after.
    ("30 1 * * *", "America/New_York", "2026-10-31T12:00", DEFAULT, ["2026-11-01T05:30", "2026-11-02T06:30"]),
    ("30 1 * * *", "America/New_York", "2026-10-31T12:00", SKIP, ["2026-11-01T05:30", "2026-11-02T06:30"]),
    ("30 1 * * *", "America/New_York", "2026-11-01T06:10", DEFAULT, ["2026-11-02T06:30", "2026-11-03T06:30"]),
    (
        "30 1 * * *",
        "America/New_York",
        "2026-10-31T12:00",
        BOTH,
        ["2026-11-01T05:30", "2026-11-01T06:30", "2026-11-02T06:30"],
    ),
    (
        "15 30 1 * * *",
        "America/New_York",
        "2026-10-31T12:00",
        BOTH,
        ["2026-11-01T05:30:15", "2026-11-01T06:30:15", "2026-11-02T06:30:15"],
    ),
    ("0 2 * * *", "America/New_York", "2026-10-31T12:00", BOTH, ["2026-11-01T07:00", "2026-11-02T07:00"]),
    (
        "*/30 1 * * *",
        "America/New_York",
        "2026-10-31T12:00",
        DEFAULT,
        ["2026-11-01T05:00", "2026-11-01T05:30", "2026-11-01T06:00", "2026-11-01T06:30", "2026-11-02T06:00"],
    ),
    (
        "0 * * * *",
        "America/New_York",
        "2026-11-01T04:30",
        DEFAULT,
        ["2026-11-01T05:00", "2026-11-01T06:00", "2026-11-01T07:00"],
    ),
    # A full list is no star: these are fixed times, and each fires once.
    ("0 0-23 * * *", "America/New_York", "2026-11-01T04:30", DEFAULT, ["2026-11-01T05:00", "2026-11-01T07:00"]),
]

BERLIN: list[Row] = [
    # 29 March 2026: 02:00 CET is 03:00 CEST, at 01:00Z.
    ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", DEFAULT, ["2026-03-29T01:00", "2026-03-30T00:30"]),
    ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", SKIP, ["2026-03-30T00:30", "2026-03-31T00:30"]),
    ("*/15 2 * * *", "Europe/Berlin", "2026-03-28T12:00", DEFAULT, ["2026-03-30T00:00", "2026-03-30T00:15"]),
    ("30 2 * * sun", "Europe/Berlin", "2026-03-28T12:00", DEFAULT, ["2026-03-29T01:00", "2026-04-05T00:30"]),
    # 25 October 2026: 03:00 CEST is 02:00 CET, at 01:00Z.
    ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", DEFAULT, ["2026-10-25T00:30", "2026-10-26T01:30"]),
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00",
        BOTH,
        ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-26T01:30"],
    ),
    ("0 3 * * *", "Europe/Berlin", "2026-10-24T12:00", BOTH, ["2026-10-25T02:00", "2026-10-26T02:00"]),
    (
        "*/30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00",
        DEFAULT,
        ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-26T01:00"],
    ),
]

LORD_HOWE: list[Row] = [
    # Half an hour. 5 April 2026: 02:00 at +11:00 is 01:30 at +10:30, at 15:00Z of the 4th.
    ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", DEFAULT, ["2026-04-04T14:45", "2026-04-05T15:15"]),
    (
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T12:00",
        BOTH,
        ["2026-04-04T14:45", "2026-04-04T15:15", "2026-04-05T15:15"],
    ),
    ("15 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", BOTH, ["2026-04-04T14:15", "2026-04-05T14:45"]),
    (
        "*/15 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T14:20",
        DEFAULT,
        ["2026-04-04T14:30", "2026-04-04T14:45", "2026-04-04T15:00", "2026-04-04T15:15", "2026-04-05T14:30"],
    ),
    ("0 * * * *", "Australia/Lord_Howe", "2026-04-04T13:30", DEFAULT, ["2026-04-04T14:00", "2026-04-04T15:30"]),
    # 4 October 2026: 02:00 at +10:30 is 02:30 at +11:00, at 15:30Z of the 3rd.
    ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", DEFAULT, ["2026-10-03T15:30", "2026-10-04T15:15"]),
    ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", SKIP, ["2026-10-04T15:15", "2026-10-05T15:15"]),
    (
        "0,15,30,45 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T12:00",
        DEFAULT,
        ["2026-10-03T15:30", "2026-10-03T15:45", "2026-10-04T15:00"],
    ),
    ("0 * * * *", "Australia/Lord_Howe", "2026-10-03T14:00", DEFAULT, ["2026-10-03T14:30", "2026-10-03T16:00"]),
]

APIA: list[Row] = [
    # There was no Friday 30 December 2011: 24:00 of the 29th at -10:00 was 00:00 of the 31st at +14:00, at 10:00Z.
    (
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00",
        DEFAULT,
        ["2011-12-29T22:00", "2011-12-30T10:00", "2011-12-30T22:00", "2011-12-31T22:00"],
    ),
    ("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00", SKIP, ["2011-12-29T22:00", "2011-12-30T22:00"]),
    ("0 0 * * *", "Pacific/Apia", "2011-12-29T00:00", DEFAULT, ["2011-12-29T10:00", "2011-12-30T10:00"]),
    ("0 0 30 12 *", "Pacific/Apia", "2011-01-01", DEFAULT, ["2011-12-30T10:00", "2012-12-29T10:00"]),
    ("0 0 30 12 *", "Pacific/Apia", "2011-01-01", SKIP, ["2012-12-29T10:00", "2013-12-29T10:00"]),
    ("0 9 * * fri", "Pacific/Apia", "2011-12-29T00:00", DEFAULT, ["2011-12-30T10:00", "2012-01-05T19:00"]),
    ("*/5 * 30 12 *", "Pacific/Apia", "2011-01-01", DEFAULT, ["2012-12-29T10:00", "2012-12-29T10:05"]),
    (
        "0 * * * *",
        "Pacific/Apia",
        "2011-12-30T08:30",
        DEFAULT,
        ["2011-12-30T09:00", "2011-12-30T10:00", "2011-12-30T11:00"],
    ),
]

KWAJALEIN: list[Row] = [
    # Nor a Saturday 21 August 1993: -12:00 became +12:00 at 12:00Z.
    ("0 9 21 8 *", "Pacific/Kwajalein", "1993-01-01", DEFAULT, ["1993-08-21T12:00", "1994-08-20T21:00"]),
    ("0 9 21 8 *", "Pacific/Kwajalein", "1993-01-01", SKIP, ["1994-08-20T21:00", "1995-08-20T21:00"]),
]

ST_JOHNS: list[Row] = [
    # 13 March 2011: 00:01 at -03:30 is 01:01 at -02:30, at 03:31Z.
    ("30 0 * * *", "America/St_Johns", "2011-03-12T12:00", DEFAULT, ["2011-03-13T03:31", "2011-03-14T03:00"]),
    ("30 0 * * *", "America/St_Johns", "2011-03-12T12:00", SKIP, ["2011-03-14T03:00", "2011-03-15T03:00"]),
    ("0 0 * * *", "America/St_Johns", "2011-03-12T12:00", SKIP, ["2011-03-13T03:30", "2011-03-14T02:30"]),
    ("0 1 * * *", "America/St_Johns", "2011-03-12T12:00", DEFAULT, ["2011-03-13T03:31", "2011-03-14T03:30"]),
    ("*/20 0 * * *", "America/St_Johns", "2011-03-12T12:00", DEFAULT, ["2011-03-13T03:30", "2011-03-14T02:30"]),
    # 7 November 2010: 00:01 at -02:30 is 23:01 of the day before at -03:30, at 02:31Z.
    ("30 23 * * *", "America/St_Johns", "2010-11-06T12:00", DEFAULT, ["2010-11-07T02:00", "2010-11-08T03:00"]),
    (
        "30 23 * * *",
        "America/St_Johns",
        "2010-11-06T12:00",
        BOTH,
        ["2010-11-07T02:00", "2010-11-07T03:00", "2010-11-08T03:00"],
    ),
    ("0 0 * * *", "America/St_Johns", "2010-11-06T12:00", DEFAULT, ["2010-11-07T02:30", "2010-11-08T03:30"]),
    (
        "0 0 * * *",
        "America/St_Johns",
        "2010-11-06T12:00",
        BOTH,
        ["2010-11-07T02:30", "2010-11-07T03:30", "2010-11-08T03:30"],
    ),
    ("0 23 * * *", "America/St_Johns", "2010-11-06T12:00", BOTH, ["2010-11-07T01:30", "2010-11-08T02:30"]),
    ("30 */5 * * *", "America/St_Johns", "2010-11-06T23:00", DEFAULT, ["2010-11-07T04:00", "2010-11-07T09:00"]),
    (
        "0 * * * *",
        "America/St_Johns",
        "2010-11-07T01:00",
        DEFAULT,
        ["2010-11-07T01:30", "2010-11-07T02:30", "2010-11-07T03:30", "2010-11-07T04:30"],
    ),
]

CAIRO: list[Row] = [
    # 28 April 2023: 00:00 at +02:00 is 01:00 at +03:00, at 22:00Z of the 27th.
    (
        "0 0 * * *",
        "Africa/Cairo",
        "2023-04-26T12:00",
        DEFAULT,
        ["2023-04-26T22:00", "2023-04-27T22:00", "2023-04-28T21:00"],
    ),
    ("0 0 * * *", "Africa/Cairo", "2023-04-26T12:00", SKIP, ["2023-04-26T22:00", "2023-04-28T21:00"]),
    ("30 0 * * fri", "Africa/Cairo", "2023-04-26T12:00", DEFAULT, ["2023-04-27T22:00", "2023-05-04T21:30"]),
    ("*/30 0 * * *", "Africa/Cairo", "2023-04-27T12:00", DEFAULT, ["2023-04-28T21:00", "2023-04-28T21:30"]),
    # 26 October 2023: 24:00 at +03:00 is 23:00 at +02:00, at 21:00Z.
    ("30 23 * * *", "Africa/Cairo", "2023-10-26T12:00", DEFAULT, ["2023-10-26T20:30", "2023-10-27T21:30"]),
    (
        "30 23 * * *",
        "Africa/Cairo",
        "2023-10-26T12:00",
        BOTH,
        ["2023-10-26T20:30", "2023-10-26T21:30", "2023-10-27T21:30"],
    ),
    ("0 0 * * *", "Africa/Cairo", "2023-10-26T12:00", BOTH, ["2023-10-26T22:00", "2023-10-27T22:00"]),
    (
        "0 * * * *",
        "Africa/Cairo",
        "2023-10-26T19:30",
        DEFAULT,
        ["2023-10-26T20:00", "2023-10-26T21:00", "2023-10-26T22:00"],
    ),
]

SANTIAGO: list[Row] = [
    # 6 September 2026: 00:00 at -04:00 is 01:00 at -03:00, at 04:00Z.
    ("0 0 * * *", "America/Santiago", "2026-09-05T12:00", DEFAULT, ["2026-09-06T04:00", "2026-09-07T03:00"]),
    ("0 0 * * *", "America/Santiago", "2026-09-05T12:00", SKIP, ["2026-09-07T03:00", "2026-09-08T03:00"]),
    # And on 8 September 2019, at the same time.
    ("30 0 8 9 *", "America/Santiago", "2019-09-07T12:00", DEFAULT, ["2019-09-08T04:00", "2020-09-08T03:30"]),
    ("*/30 0 8 9 *", "America/Santiago", "2019-09-07T12:00", DEFAULT, ["2020-09-08T03:00", "2020-09-08T03:30"]),
    # 4 April 2026: 24:00 at -03:00 is 23:00 at -04:00, at 03:00Z of the 5th.
    ("30 23 * * sat", "America/Santiago", "2026-04-04T12:00", DEFAULT, ["2026-04-05T02:30", "2026-04-12T03:30"]),
    (
        "30 23 * * sat",
        "America/Santiago",
        "2026-04-04T12:00",
        BOTH,
        ["2026-04-05T02:30", "2026-04-05T03:30", "2026-04-12T03:30"],
    ),
    ("0 0 * * sun", "America/Santiago", "2026-04-04T12:00", BOTH, ["2026-04-05T04:00", "2026-04-12T04:00"]),
]

TROLL: list[Row] = [
    # Two hours. 29 March 2026: 01:00 at +00:00 is 03:00 at +02:00, at 01:00Z.
    ("30 1 * * *", "Antarctica/Troll", "2026-03-28T12:00", DEFAULT, ["2026-03-29T01:00", "2026-03-29T23:30"]),
    ("30 1 * * *", "Antarctica/Troll", "2026-03-28T12:00", SKIP, ["2026-03-29T23:30", "2026-03-30T23:30"]),
    ("0,30 1,2,3 * * *", "Antarctica/Troll", "2026-03-28T12:00", DEFAULT, ["2026-03-29T01:00", "2026-03-29T01:30"]),
    # 25 October 2026: 03:00 at +02:00 is 01:00 at +00:00, at 01:00Z.
    ("30 2 * * *", "Antarctica/Troll", "2026-10-24T12:00", DEFAULT, ["2026-10-25T00:30", "2026-10-26T02:30"]),
    (
        "30 1,2 * * *",
        "Antarctica/Troll",
        "2026-10-24T12:00",
        BOTH,
        ["2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30", "2026-10-26T01:30"],
    ),
    (
        "*/30 2 * * *",
        "Antarctica/Troll",
        "2026-10-24T12:00",
        DEFAULT,
        ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T02:00", "2026-10-25T02:30", "2026-10-26T02:00"],
    ),
]

DUBLIN: list[Row] = [
    # Here winter is the exception in the tz database, with a negative DST; the clocks do what they do elsewhere.
    # 29 March 2026: 01:00 GMT is 02:00 IST, at 01:00Z.
    ("30 1 * * *", "Europe/Dublin", "2026-03-28T12:00", DEFAULT, ["2026-03-29T01:00", "2026-03-30T00:30"]),
    ("30 1 * * *", "Europe/Dublin", "2026-03-28T12:00", SKIP, ["2026-03-30T00:30", "2026-03-31T00:30"]),
    # 25 October 2026: 02:00 IST is 01:00 GMT, at 01:00Z.
    ("30 1 * * *", "Europe/Dublin", "2026-10-24T12:00", DEFAULT, ["2026-10-25T00:30", "2026-10-26T01:30"]),
    (
        "30 1 * * *",
        "Europe/Dublin",
        "2026-10-24T12:00",
        BOTH,
        ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-26T01:30"],
    ),
    (
        "*/30 1 * * *",
        "Europe/Dublin",
        "2026-10-24T12:00",
        DEFAULT,
        ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-26T01:00"],
    ),
]

LONG_AGO: list[Row] = [
    # Alaska changed sides of the date line: 15:33:32 of Saturday 19 October 1867 at +15:02:19 was the same time of the
    # day before at -08:57:41, at 00:31:13Z. 18:00 of the 18th was at 02:57:41Z of the 18th and of the 19th.
    ("0 18 18 10 *", "America/Juneau", "1867-10-17", DEFAULT, ["1867-10-18T02:57:41", "1868-10-19T02:57:41"]),
    (
        "0 18 18 10 *",
        "America/Juneau",
        "1867-10-17",
        BOTH,
        ["1867-10-18T02:57:41", "1867-10-19T02:57:41", "1868-10-19T02:57:41"],
    ),
    # New York's own time was 4 h 56 min 2 s behind until 1883: its minutes do not begin on UTC's.
    ("0 12 * * *", "America/New_York", "1880-01-01", DEFAULT, ["1880-01-01T16:56:02", "1880-01-02T16:56:02"]),
]

ROWS = [
    *NEW_YORK,
    *BERLIN,
    *LORD_HOWE,
    *APIA,
    *KWAJALEIN,
    *ST_JOHNS,
    *CAIRO,
    *SANTIAGO,
    *TROLL,
    *DUBLIN,
    *LONG_AGO,
]


def named(value: object) -> str | None:
    return (" ".join(value.values()) or "default") if isinstance(value, dict) else None


@pytest.mark.parametrize(("expression", "timezone", "start", "rules", "expected"), ROWS, ids=named)
def test_where_clocks_are_set_these_are_the_slots(
    expression: str, timezone: str, start: str, rules: Rules, expected: list[str]
) -> None:
    schedule, slots = cron_schedule(expression, timezone=timezone, **rules), [utc(text) for text in expected]

    assert slots_after(schedule, utc(start), len(slots)) == slots
    assert [*reversed(slots_until(schedule, slots[-1], len(slots)))] == slots
    assert schedule.count_between(slots[0], slots[-1]) == (len(slots), True)


@pytest.mark.parametrize(("expression", "timezone", "start", "rules", "expected"), ROWS, ids=named)
def test_the_oracle_knows_the_slots_where_clocks_are_set(
    expression: str, timezone: str, start: str, rules: Rules, expected: list[str]
) -> None:
    slots = [utc(text) for text in expected]
    oracle = Oracle(
        expression, timezone, runs_after_gap="dst_gap" not in rules, runs_in_both_passes="dst_overlap" in rules
    )

    assert [*islice(oracle.slots_after(utc(start)), len(slots))] == slots
    assert [*reversed([*islice(oracle.slots_until(slots[-1]), len(slots))])] == slots


def test_what_only_a_gap_has_never_comes() -> None:
    """From 2007 on New York has no 02:30 on the second Sunday of March, for as long as its rule is that."""
    skipping = cron_schedule("30 2 8-14 3 */7", timezone="America/New_York", dst_gap=DstGap.SKIP)
    following = cron_schedule("*/30 2 8-14 3 */7", timezone="America/New_York")

    assert skipping.next_after(utc("2026-01-01")) is None
    assert following.next_after(utc("2026-01-01")) is None
    assert (
        skipping.latest_until(utc("2026-01-01")) == following.latest_until(utc("2026-01-01")) == utc("2006-03-12T07:30")
    )
