"""Warnings about what changes of the clocks do to a schedule."""

from datetime import UTC, datetime, timedelta

import pytest

from engine.timing import DstGap, DstOverlap, OnExcluded, Timing
from tests.engine.preview.linting import NEW_YORK, codes, cron, message
from tests.factories import NOON


@pytest.mark.parametrize(
    ("timing", "said"),
    [
        (
            cron("30 2 * * *", NEW_YORK),
            "02:30 does not exist on 2027-03-14 in America/New_York: it runs at 03:00 (dst_gap run_after); likewise on "
            "2028-03-12",
        ),
        (
            cron("30 2 * * *", NEW_YORK, dst_gap=DstGap.SKIP),
            "02:30 does not exist on 2027-03-14 in America/New_York: it is left out (dst_gap skip)",
        ),
        (
            cron("0,30 2 * * *", NEW_YORK),
            "02:00 and 02:30 do not exist on 2027-03-14 in America/New_York: they are one",
        ),
        (cron("0-45/15 2 * * *", NEW_YORK), "02:00 to 02:45 do not exist on 2027-03-14"),
        (
            cron("0 2,3 * * *", NEW_YORK),
            "02:00 does not exist on 2027-03-14 in America/New_York: it is one run with that",
        ),
        (
            cron("0 0 * * *", "America/Santiago"),
            "00:00 does not exist on 2027-09-05 in America/Santiago: it runs at 01:00",
        ),
        (cron("10 2 * * *", "Australia/Lord_Howe"), "02:10 does not exist on 2027-10-03"),
        (
            cron("0 1 * * *", "Antarctica/Troll"),
            "01:00 does not exist on 2027-03-28 in Antarctica/Troll: it runs at 03:00",
        ),
        (
            cron("*/15 2 * * *", NEW_YORK),
            "on 2027-03-14 in America/New_York the clocks skip 02:00 to 02:45, which is all that it names then, and "
            "nothing runs; likewise on 2028-03-12",
        ),
    ],
)
def test_gap_swallows_says_which_time_and_when(timing: Timing, said: str) -> None:
    assert said in message(timing, "gap_swallows")


def test_a_day_that_never_was_loses_all_of_its_runs() -> None:
    after = datetime(2011, 6, 1, tzinfo=UTC)

    said = message(cron("*/15 9 * * *", "Pacific/Apia"), "gap_swallows", after=after)

    assert "on 2011-12-30 in Pacific/Apia the clocks skip 09:00 to 09:45" in said


@pytest.mark.parametrize(
    "timing",
    [
        cron("30 3 * * *", NEW_YORK),
        cron("30 2 * * *"),
        cron("30 2 * 7 *", NEW_YORK),
        cron("30 2 * * 1", NEW_YORK),
        cron("*/15 1-2 * * *", NEW_YORK),
        cron("30 2 * * *", NEW_YORK, end_at=datetime(2027, 3, 1, tzinfo=UTC)),
        cron("30 2 * * *", NEW_YORK, exclude_calendars=("gap",)),
    ],
)
def test_no_gap_swallows_what_is_not_in_it(timing: Timing) -> None:
    assert "gap_swallows" not in codes(timing)


@pytest.mark.parametrize(
    ("timing", "said"),
    [
        (
            cron("*/15 1 * * *", NEW_YORK),
            "01:00 to 01:45 come twice on 2027-11-07 in America/New_York, and it runs both times (it follows",
        ),
        (cron("30 */1,1 * * *", NEW_YORK, dst_overlap=DstOverlap.BOTH), None),
        (cron("30 1 * * *", NEW_YORK), None),
        (cron("30 3 * * *", NEW_YORK, dst_overlap=DstOverlap.BOTH), None),
        (cron("30 1 * * *", NEW_YORK, dst_overlap=DstOverlap.BOTH, exclude_calendars=("overlap",)), None),
        (
            cron("30 1 * * *", NEW_YORK, dst_overlap=DstOverlap.BOTH),
            "01:30 comes twice on 2027-11-07 in America/New_York, and it runs both times (dst_overlap both); "
            "likewise on 2028-11-05",
        ),
    ],
)
def test_repeated_time_says_which_time_and_when(timing: Timing, said: str | None) -> None:
    if said is None:
        assert "repeated_time" not in codes(timing)
    else:
        assert said in message(timing, "repeated_time")


@pytest.mark.parametrize(
    ("timing", "said"),
    [
        (cron("*/5 * * * *", NEW_YORK, dst_gap=DstGap.SKIP), 'dst_gap "skip" changes nothing: it is for fixed times'),
        (cron("* 1 * * *", NEW_YORK, dst_overlap=DstOverlap.BOTH), 'dst_overlap "both" changes nothing'),
        (
            cron("30 1 * * *", "Asia/Kolkata", dst_gap=DstGap.SKIP),
            "no clock in Asia/Kolkata is put forward from 2026-11-23 to 2028-11-23",
        ),
        (cron("30 1 * * *", dst_overlap=DstOverlap.BOTH), "no clock in UTC is put back"),
        (Timing(interval_seconds=60, timezone=NEW_YORK), "timezone America/New_York changes nothing"),
        (Timing(run_at=NOON + timedelta(1), timezone=NEW_YORK), "run_at does not depend on a time zone"),
        (Timing(interval_seconds=60, dst_gap=DstGap.SKIP), 'dst_gap "skip" changes nothing'),
        (Timing(interval_seconds=60, dst_overlap=DstOverlap.BOTH), 'dst_overlap "both" changes nothing'),
        (
            Timing(interval_seconds=60, on_excluded=OnExcluded.NEXT_BUSINESS_DAY),
            'on_excluded "next_business_day" changes nothing',
        ),
    ],
)
def test_no_effect_names_the_setting(timing: Timing, said: str) -> None:
    assert said in message(timing, "no_effect")
