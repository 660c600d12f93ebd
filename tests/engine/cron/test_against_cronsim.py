"""Random schedules against cronsim, another reading of Debian's cron, where none of its known faults spoils it."""

from itertools import islice

import pytest
from cronsim import CronSimError

from engine.cron import cron_schedule
from tests.engine.cron.cases import Case, random_case
from tests.engine.cron.cronsim_reference import FAULTS, Endless, Fault, Question
from tests.engine.cron.oracle import Oracle
from tests.engine.cron.stepping import shown, slots_after, slots_until, utc
from tests.engine.cron.test_against_oracle import GATE, LONG, numbered

pytestmark = pytest.mark.once


@pytest.mark.parametrize("numbers", GATE, ids=numbered)
def test_random_schedules_have_the_slots_of_cronsim(numbers: range) -> None:
    assert_agreement(numbers)


@pytest.mark.slow
@pytest.mark.parametrize("numbers", LONG, ids=numbered)
def test_many_random_schedules_have_the_slots_of_cronsim(numbers: range) -> None:
    assert_agreement(numbers)


def assert_agreement(numbers: range) -> None:
    """All that it can be asked; which is the most by far, or the faults would excuse everything."""
    asked = [question for number in numbers for question in questions(random_case(number))]
    sound = [question for question in asked if fault_in(question) is None]

    assert [said for question in sound if (said := disagreement(question))] == []
    assert len(sound) > 0.8 * len(asked)


def questions(case: Case) -> list[Question]:
    """Forward and back. The rules for gaps and overlaps are the default ones: it knows no others."""
    schedule = cron_schedule(case.expression, timezone=case.timezone)
    due, been = slots_after(schedule, case.instant, 3), slots_until(schedule, case.instant, 3)
    return [
        Question(case.expression, case.timezone, case.instant, is_back=False, expected=due),
        Question(case.expression, case.timezone, case.instant, is_back=True, expected=been),
    ]


def fault_in(question: Question) -> Fault | None:
    return next((fault for fault in FAULTS if fault.spoils(question)), None)


def disagreement(question: Question) -> str | None:
    said = question.answers()
    return None if said == question.expected else f"{question}: {shown(said)}"


SAO_PAULO = "America/Sao_Paulo"
NEW_YORK, SANTIAGO, ST_JOHNS, LORD_HOWE = (
    "America/New_York",
    "America/Santiago",
    "America/St_Johns",
    "Australia/Lord_Howe",
)
FORWARD, BACK = False, True

EXAMPLES = [
    ("W", "0 0 15W * *", "UTC", "2026-01-05", FORWARD, CronSimError, "2026-01-15"),
    ("5-5/1", "5-5/1 * * * *", "UTC", "2026-01-05T00:05", FORWARD, "2026-01-05T00:06", "2026-01-05T01:05"),
    ("never", "0 0 31 2 *", "UTC", "2026-01-05", FORWARD, CronSimError, None),
    # 02:30 is in a gap that ends at 07:00Z.
    ("six fields", "0 30 2 * * *", NEW_YORK, "2026-03-08", FORWARD, "2026-03-09T06:30", "2026-03-08T07:00"),
    # 06:10Z is 01:10 again; the 01:30 of that day was at 05:30Z, before the instant.
    ("second pass", "30 1 * * *", NEW_YORK, "2026-11-01T06:10", FORWARD, "2026-11-01T05:30", "2026-11-02T06:30"),
    ("second pass", "30 1 * * *", NEW_YORK, "2026-11-01T06:10", BACK, "2026-10-31T05:30", "2026-11-01T05:30"),
    # Local mean time was 3 h 6 min 28 s behind: at that time 00:00:00 became 00:06:28.
    ("gap of seconds", "0 0 1 1 *", SAO_PAULO, "1913-12-01", FORWARD, "1914-01-01T03:07", "1914-01-01T03:06:28"),
    # At 02:31Z, 00:01 becomes 23:01 of the day before.
    ("part hours", "30 */5 * * *", ST_JOHNS, "2010-11-06T23:00", FORWARD, Endless, "2010-11-07T04:00"),
    ("part hours", "0 * * * 0-5", ST_JOHNS, "2005-10-30T02:31", FORWARD, "2005-10-30T02:30", "2005-10-30T03:30"),
    # Half an hour, at 15:00Z of the day before, from which it counts whole hours: 17:00 and 17:30 on this 3 April.
    ("part hours", "*/12 17 3 4 *", LORD_HOWE, "2016-04-02T14:12:08", FORWARD, "2016-04-03T07:06", "2016-04-03T06:30"),
    # 24:00 becomes 01:00: the day has no hour 0, and 04:00Z is 01:00.
    ("midnight", "*/30 0 8 9 *", SANTIAGO, "2019-09-07T12:00", FORWARD, "2019-09-08T04:00", "2020-09-08T03:00"),
    # Three hours, from 02:00 to 23:00 of the day before, at 15:00Z: midnight was at 13:00Z and is at 16:00Z again.
    (
        "midnight",
        "*/30 * 5 3 *",
        "Antarctica/Casey",
        "2010-03-04T15:00",
        FORWARD,
        "2010-03-04T13:00",
        "2010-03-04T16:00",
    ),
    # 24:00 becomes 23:00: the last hour of the day is twice, at 02:00Z and at 03:00Z.
    ("midnight", "30 * * * 6", SANTIAGO, "2026-04-05T12:00", BACK, "2026-04-05T02:30", "2026-04-05T03:30"),
]


@pytest.mark.parametrize(("name", "expression", "timezone", "instant", "is_back", "theirs", "ours"), EXAMPLES)
def test_a_known_fault_of_cronsim_is_there_and_not_in_the_engine(
    name: str,
    expression: str,
    timezone: str,
    instant: str,
    is_back: bool,
    theirs: str | type[Exception],
    ours: str | None,
) -> None:
    schedule, oracle, start = cron_schedule(expression, timezone=timezone), Oracle(expression, timezone), utc(instant)
    expected = [] if ours is None else [utc(ours)]
    question = Question(expression, timezone, start, is_back, expected)

    assert name in [fault.name for fault in FAULTS if fault.spoils(question)]
    assert (slots_until if is_back else slots_after)(schedule, start, 1) == expected
    assert list(islice(oracle.slots_until(start) if is_back else oracle.slots_after(start), 1)) == expected
    if isinstance(theirs, str):
        assert question.answers() == [utc(theirs)]
    else:
        with pytest.raises(theirs):
            question.answers()


def test_every_known_fault_has_an_example() -> None:
    assert {fault.name for fault in FAULTS} == {name for name, *_ in EXAMPLES}
