"""Sixty expressions around every change of every zone's clock from 1990 to 2040, against the oracle."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice, pairwise, product

import pytest

from engine.cron import cron_schedule
from engine.cron.schedule import CronSchedule
from engine.timing import DstGap, DstOverlap
from tests.engine.cron.oracle import Oracle
from tests.engine.cron.stepping import shown, slots_after, slots_until
from tests.engine.cron.zones import Transition, all_zones, transitions_of

YEARS = range(1990, 2041)

EXPRESSIONS = [
    # Fixed times: the hours at which clocks are set, and their neighbours.
    "0 0 * * *",
    "30 0 * * *",
    "1 0 * * *",
    "0 1 * * *",
    "30 1 * * *",
    "0 2 * * *",
    "15 2 * * *",
    "30 2 * * *",
    "45 2 * * *",
    "59 2 * * *",
    "0 3 * * *",
    "30 3 * * *",
    "30 4 * * *",
    "30 22 * * *",
    "30 23 * * *",
    "59 23 * * *",
    "0 12 * * *",
    "0,30 1-3 * * *",
    "5-55/10 0-4 * * *",
    "0-59 2 * * *",
    "0-59 0-23 * * *",
    "20,50 0,23 * * *",
    "1-59/29 0-23/3 * * *",
    "30 2 * * sun",
    "30 2 * * mon-sat",
    "0 0 * * sun",
    "0 0 1 * *",
    "15 1 L * *",
    "30 2 LW * 7L",
    "30 0 1W,15W * *",
    "30 2 8-14 * */7",
    "0 2 */2 * 0",
    "30 1 * * 0L,0#1,0#2",
    "0 0 13 * 5",
    "45 23 28-31 * 6,7",
    "@daily",
    "@weekly",
    # Six fields, fixed.
    "30 30 2 * * *",
    "0,59 0,59 0,1,2,3,23 * * *",
    "*/20 30 1 * * *",
    "59 59 23 * * *",
    # A star at the minute or the hour: these follow elapsed time.
    "* * * * *",
    "*/5 * * * *",
    "*/15 2 * * *",
    "*/30 0 * * *",
    "*/7 1-3 * * sun",
    "*/20 23 * * 6",
    "*,30 0-2 * * *",
    "0 * * * *",
    "@hourly",
    "30 * * * *",
    "1,59 * * * sun",
    "15 */2 * * *",
    "45 */6 * * *",
    "30 *,3 * * *",
    "0 */5 L * *",
    "10 * 15W,LW * 1#1",
    "30 */3 */7 * 0",
    # Six fields that follow elapsed time.
    "*/17 */29 * * * *",
    "30 0 * * * *",
]

Rules = tuple[DstGap, DstOverlap]
Question = tuple[str, Rules]

RULES: list[Rules] = [(DstGap.RUN_AFTER, DstOverlap.FIRST), (DstGap.SKIP, DstOverlap.BOTH)]

ODD = [
    ("Africa/Cairo", 2023, 2024),
    ("Africa/Casablanca", 2026, 2026),
    ("America/Havana", 2026, 2026),
    ("America/New_York", 2026, 2026),
    ("America/Santiago", 2026, 2026),
    ("America/St_Johns", 2010, 2011),
    ("Antarctica/Casey", 2020, 2021),
    ("Antarctica/Troll", 2026, 2026),
    ("Asia/Pyongyang", 2015, 2018),
    ("Australia/Lord_Howe", 2026, 2026),
    ("Europe/Dublin", 2026, 2026),
    ("Pacific/Apia", 2011, 2012),
    ("Pacific/Chatham", 2026, 2026),
    ("Pacific/Kwajalein", 1993, 1993),
]

QUESTIONS = [
    (expression, rules)
    for expression, rules in product(EXPRESSIONS, RULES)
    # The rules are for fixed times; that they change nothing for others is seen at the odd transitions.
    if rules == RULES[0] or expression in EXPRESSIONS[: EXPRESSIONS.index("* * * * *")]
]

MICROSECOND, HALF_A_DAY = timedelta(microseconds=1), timedelta(hours=13)


@pytest.mark.parametrize(("timezone", "first_year", "last_year"), ODD)
def test_at_the_odd_transitions_the_slots_are_those_of_the_oracle(
    timezone: str, first_year: int, last_year: int
) -> None:
    transitions = transitions_of(timezone, first_year, last_year)

    assert transitions
    every_question = [*product(EXPRESSIONS, RULES)]
    assert [said for transition in transitions for said in disagreements(transition, timezone, every_question)] == []


@pytest.mark.slow
@pytest.mark.parametrize("year", YEARS)
def test_at_every_transition_of_every_zone_the_slots_are_those_of_the_oracle(year: int) -> None:
    """Zones that set their clocks alike have the same slots then: one of them is asked closely, a new one each year."""
    zones = zones_by_transition(year)

    for transition, timezones in zones.items():
        closely = timezones[year % len(timezones)]
        assert [*disagreements(transition, closely, QUESTIONS)] == []
        expected = next_to(transition, closely)
        assert [timezone for timezone in timezones if next_to(transition, timezone) != expected] == []


@pytest.mark.slow
def test_no_zone_sets_its_clock_twice_within_six_days() -> None:
    """On which the windows rely: what is around a transition does not depend on the zone that it is in."""
    distances = [
        later.at - earlier.at
        for timezone in all_zones()
        for earlier, later in pairwise(transitions_of(timezone, YEARS[0], YEARS[-1]))
    ]

    assert len(distances) > 20_000
    assert min(distances) > timedelta(days=6)


def zones_by_transition(year: int) -> dict[Transition, list[str]]:
    """What happens in that year, and in which zones."""
    together: dict[Transition, list[str]] = {}
    for timezone in all_zones():
        for transition in transitions_of(timezone, year, year):
            together.setdefault(transition, []).append(timezone)
    return together


def disagreements(transition: Transition, timezone: str, questions: list[Question]) -> Iterator[str]:
    """For every expression and rule, what the engine says, and what the oracle does, if they differ."""
    for expression, (dst_gap, dst_overlap) in questions:
        schedule = cron_schedule(expression, timezone=timezone, dst_gap=dst_gap, dst_overlap=dst_overlap)
        oracle = Oracle(
            expression,
            timezone,
            runs_after_gap=dst_gap is DstGap.RUN_AFTER,
            runs_in_both_passes=dst_overlap is DstOverlap.BOTH,
        )
        said, expected = said_around(transition, schedule), expected_around(transition, oracle)
        if said != expected:
            yield f"{expression} {dst_gap} {dst_overlap} {timezone} {transition}: {shown(said)}, not {shown(expected)}"


def said_around(transition: Transition, schedule: CronSchedule) -> list[datetime]:
    """A few slots from where an overlap begins, around the transition, and around where an overlap ends."""
    begins, at, ends = landmarks(transition)
    slots = [
        *slots_after(schedule, begins - MICROSECOND, 3),
        *slots_until(schedule, at - MICROSECOND, 1),
        *slots_after(schedule, at - MICROSECOND, 1),
        *slots_until(schedule, ends - MICROSECOND, 1),
        *slots_after(schedule, ends - MICROSECOND, 1),
    ]
    return within(slots, transition)


def expected_around(transition: Transition, oracle: Oracle) -> list[datetime]:
    """The same, as the oracle has it."""
    begins, at, ends = landmarks(transition)
    first, last = begins - HALF_A_DAY, ends + HALF_A_DAY
    slots = [
        *islice(oracle.slots_after(begins - MICROSECOND, end=last), 3),
        *islice(oracle.slots_until(at - MICROSECOND, start=first), 1),
        *islice(oracle.slots_after(at - MICROSECOND, end=last), 1),
        *islice(oracle.slots_until(ends - MICROSECOND, start=first), 1),
        *islice(oracle.slots_after(ends - MICROSECOND, end=last), 1),
    ]
    return within(slots, transition)


def next_to(transition: Transition, timezone: str) -> list[list[datetime]]:
    """For every expression, the first slot from where an overlap begins."""
    begins, _, _ = landmarks(transition)
    schedules = [cron_schedule(expression, timezone=timezone) for expression in EXPRESSIONS]
    return [within(slots_after(schedule, begins - MICROSECOND, 1), transition) for schedule in schedules]


def within(slots: list[datetime], transition: Transition) -> list[datetime]:
    """Those that are near: each expression of the table that is due once a day has one."""
    begins, _, ends = landmarks(transition)
    return [slot for slot in slots if begins - HALF_A_DAY <= slot <= ends + HALF_A_DAY]


def landmarks(transition: Transition) -> tuple[datetime, datetime, datetime]:
    change = abs(transition.after - transition.before)
    return transition.at - change, transition.at, transition.at + change
