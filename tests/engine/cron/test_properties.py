"""What is true of every schedule, and of every text."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.cron import cron_schedule
from engine.cron.schedule import CronSchedule
from engine.errors import InvalidSchedule
from engine.limits import MAX_CRON_EXPRESSION_LENGTH
from tests.engine.cron.cases import Case, random_case
from tests.engine.cron.stepping import MICROSECOND, slots_after, slots_until, utc

MONDAY = utc("2026-01-05")
STILL_COUNTED = timedelta(days=9 * 365)

cases = st.integers(100_000, 10**9).map(random_case)


def schedule_of(case: Case) -> CronSchedule:
    return cron_schedule(case.expression, timezone=case.timezone, dst_gap=case.dst_gap, dst_overlap=case.dst_overlap)


@given(cases)
def test_slots_strictly_increase_and_lie_on_whole_seconds_of_utc(case: Case) -> None:
    slots = slots_after(schedule_of(case), case.instant, 12)

    assert all(earlier < later for earlier, later in pairwise([case.instant, *slots]))
    assert all(slot.tzinfo is UTC and slot.microsecond == 0 for slot in slots)


@given(cases)
def test_going_back_meets_the_same_slots(case: Case) -> None:
    schedule = schedule_of(case)
    slots = slots_after(schedule, case.instant, 6)

    if slots:
        assert slots_until(schedule, slots[-1], len(slots)) == slots[::-1]
    for earlier, later in pairwise(slots):
        assert schedule.latest_until(later - MICROSECOND) == earlier


@given(cases)
def test_the_next_slot_is_the_latest_until_itself(case: Case) -> None:
    schedule = schedule_of(case)

    due = schedule.next_after(case.instant)

    assert due is None or schedule.latest_until(due) == due


@given(cases)
def test_the_latest_slot_is_the_next_after_just_before_it(case: Case) -> None:
    schedule = schedule_of(case)

    been = schedule.latest_until(case.instant)

    assert been is None or been <= case.instant
    assert been is None or schedule.next_after(been - MICROSECOND) == been


@given(cases)
def test_nothing_lies_between_the_latest_slot_and_the_next(case: Case) -> None:
    schedule = schedule_of(case)

    been, due = schedule.latest_until(case.instant), schedule.next_after(case.instant)

    if been is not None:
        assert schedule.next_after(been) == due
    if due is not None:
        assert schedule.latest_until(due - MICROSECOND) == been


@given(cases, st.integers(1, 60))
def test_counting_agrees_with_stepping(case: Case, count: int) -> None:
    schedule = schedule_of(case)
    slots = slots_after(schedule, case.instant, count)

    for first in (0, len(slots) // 2):
        counted = slots[first:]
        if counted and counted[-1] - counted[0] < STILL_COUNTED:
            assert schedule.count_between(counted[0], counted[-1]) == (len(counted), True)


CRON_ALPHABET = "0123456789*/-,@ aHLRWjanfriu#?()\x00\t\n~%\u0665\u3000"

ELEMENTS = "* 0 5 59 60 99999 */2 */0 1-5 5-1 1-5/2 L LW 15W 5L friL 5#3 fri#6 H H(1-5) H/7 H(1-5)/2 mon JAN 7 31 - ? R"
elements = st.sampled_from([*ELEMENTS.split(), "", "1,", "\u0665"])
fields = st.lists(elements, min_size=1, max_size=4).map(",".join)
expressions = st.lists(fields, min_size=4, max_size=7).map(" ".join)
texts = st.text(max_size=MAX_CRON_EXPRESSION_LENGTH) | st.text(CRON_ALPHABET, max_size=MAX_CRON_EXPRESSION_LENGTH)


@settings(max_examples=500)
@given(texts | expressions)
@example("*/" * 128)
@example("," * 256)
@example("9" * 256)
@example("((((((((( * * * *")
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        schedule = cron_schedule(text)
    except InvalidSchedule as refusal:
        assert refusal.field == "cron_expression"  # noqa: PT017 - a text that is read raises nothing
    else:
        slot, been = schedule.next_after(MONDAY), schedule.latest_until(MONDAY)
        assert slot is None or slot > MONDAY
        assert been is None or been <= MONDAY


@given(st.text(max_size=300))
@example("../../etc/passwd")
@example("UTC\x00")
@example("\ud800")
def test_any_name_is_a_zone_or_refused_and_nothing_else(name: str) -> None:
    try:
        cron_schedule("* * * * *", timezone=name)
    except InvalidSchedule as refusal:
        assert refusal.field == "timezone"  # noqa: PT017 - a name that is known raises nothing


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59), timezones=st.just(UTC)), cases)  # noqa: DTZ001
def test_every_instant_there_is_has_an_answer(instant: datetime, case: Case) -> None:
    schedule = schedule_of(case)

    due, been = schedule.next_after(instant), schedule.latest_until(instant)

    assert due is None or due > instant
    assert been is None or been <= instant
