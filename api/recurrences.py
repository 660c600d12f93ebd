"""The days of a recurrence rule (RFC 5545, 3.3.10), by `dateutil`, within bounds that it does not have itself."""

from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any, Literal

from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule, weekday
from icalendar.prop import vRecur

from api.icalendar_events import Event, LeftOut, read_value, shown
from api.limits import MAX_RECURRENCE_EFFORT, MAX_RULE_VALUES
from api.refusals import InvalidICalendar

Frequency = Literal[0, 1, 2, 3]

FREQUENCIES: dict[str, Frequency] = {"YEARLY": YEARLY, "MONTHLY": MONTHLY, "WEEKLY": WEEKLY, "DAILY": DAILY}

COST_OF_A_YEAR: dict[Frequency, int] = {YEARLY: 20, MONTHLY: 40, WEEKLY: 100, DAILY: 350}
"""Microseconds that dateutil takes for a year of a rule with few values, as measured; for each day it finds come 2."""

COST_OF_A_DAY = 2
COST_OF_A_RULE = 100
VALUES_THAT_DOUBLE_THE_COST = 4

LISTS = {
    "BYMONTH": ("bymonth", range(1, 13)),
    "BYMONTHDAY": ("bymonthday", range(-31, 32)),
    "BYYEARDAY": ("byyearday", range(-366, 367)),
    "BYWEEKNO": ("byweekno", range(-53, 54)),
    "BYSETPOS": ("bysetpos", range(-366, 367)),
}
"""The lists of numbers in a rule: what dateutil calls them, and what may be in them, but for 0."""

TIMES_OF_DAY = {"BYHOUR", "BYMINUTE", "BYSECOND"}
"""RFC 5545: to be ignored where the event has no time of day."""

KNOWN_PARTS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST", *LISTS, *TIMES_OF_DAY}
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MAX_INTERVAL = 10_000

YEARS_OF_A_CYCLE = 400
DAYS_OF_A_CYCLE = 146_097
"""The Gregorian calendar repeats itself after so many years, weekdays included."""


class Effort:
    """What the rules of one text may still cost, in about microseconds."""

    def __init__(self) -> None:
        self._left = MAX_RECURRENCE_EFFORT

    def spend(self, cost: int, event: Event) -> None:
        """Take the cost of a piece of work. Raises InvalidICalendar where there is not so much left."""
        self._left -= cost
        if self._left < 0:
            raise InvalidICalendar(
                f"its recurrence rules take too long to follow, at {event.label}: "
                "give fewer of them, later DTSTARTs, or the single dates"
            )


def days_of_rule(event: Event, text: str, *, until: date, effort: Effort) -> Iterator[date]:
    """The days on which the rule has the event begin, from its own start to `until`, in order.

    Raises LeftOut for a rule that cannot be followed, InvalidICalendar for one that costs too much or is impossible.
    """
    rule = read_value(vRecur, "RRULE", text)
    _check(rule, text)
    last = min([until, *(_until(value, text) for value in rule.get("UNTIL", []))])
    if event.start > last:
        return
    effort.spend(_cost(rule, event, until=last), event)
    # dateutil looks for the next day until the year 9999, also where there is none. In the last cycle that is not far.
    cycles = (date.max.year - until.year) // YEARS_OF_A_CYCLE
    shift = cycles * DAYS_OF_A_CYCLE
    day = None
    for day in _ordinals(rule, event.start.replace(year=event.start.year + cycles * YEARS_OF_A_CYCLE)):
        if day - shift > last.toordinal():
            return
        effort.spend(COST_OF_A_DAY, event)
        yield date.fromordinal(day - shift)
    if day is None:
        # One such rule costs more than hundreds of others, so the text is not read any further.
        raise InvalidICalendar(f"the rule {shown(text)} of {event.label} never gives a day: mend it, or take it out")


def _ordinals(rule: vRecur, start: date) -> Iterator[int]:
    lists: dict[str, Any] = {
        keyword: [int(value) for value in rule[part]] for part, (keyword, _) in LISTS.items() if part in rule
    }
    moments = rrule(
        _frequency(rule),
        dtstart=datetime.combine(start, time.min),
        interval=_interval(rule),
        count=rule.get("COUNT", [None])[0],
        wkst=_weekday(rule["WKST"][0]) if "WKST" in rule else None,
        byweekday=[_weekday(day) for day in rule["BYDAY"]] if "BYDAY" in rule else None,
        **lists,
    )
    try:
        yield from (moment.toordinal() for moment in moments)
    except ValueError:
        # A week that begins in the year 9999 and ends in the next.
        return


def _check(rule: vRecur, text: str) -> None:
    """Refuse what dateutil would follow for ever, or in a sense that is not the rule's."""
    fault = next(_faults(rule), None)
    if fault is not None:
        raise LeftOut(f"has the rule {shown(text)}: {fault}")


def _faults(rule: vRecur) -> Iterator[str]:
    # Whoever asks for the next one has mended those before it: the later checks rely on the earlier ones.
    for part in {part.upper() for part in rule} - KNOWN_PARTS:
        yield f"{shown(part)} is not understood"
    if str(rule.get("FREQ", [""])[0]).upper() not in FREQUENCIES:
        yield "FREQ of DAILY, WEEKLY, MONTHLY or YEARLY is wanted"
    if _interval(rule) not in range(1, MAX_INTERVAL + 1):
        yield f"INTERVAL of 1 to {MAX_INTERVAL} is wanted"
    if int(rule.get("COUNT", [1])[0]) < 1:
        yield "COUNT of 1 or more is wanted"
    if _values(rule) > MAX_RULE_VALUES:
        yield f"it has {_values(rule)} values, and at most {MAX_RULE_VALUES} are taken"
    for part, (_, allowed) in LISTS.items():
        # As texts: the fifth month of a leap year in another calendar, 5L, would pass for the number 5.
        if {str(value) for value in rule.get(part, [])} - {str(number) for number in allowed if number}:
            yield f"{part} of {allowed[0]} to {allowed[-1]}, and not 0, is wanted"
    # RFC 5545: the number in 2MO is for rules by month or year. dateutil drops it otherwise, or runs off a list.
    if any(abs(day.relative or 0) > _weekdays_in_period(rule) for day in rule.get("BYDAY", [])):
        yield f"BYDAY with a number of {_weekdays_in_period(rule)} at most is wanted here"


def _weekdays_in_period(rule: vRecur) -> int:
    """How often each weekday comes in what the rule counts them in; 0 where it does not count them."""
    if _frequency(rule) in (WEEKLY, DAILY):
        return 0
    return 5 if _frequency(rule) == MONTHLY or "BYMONTH" in rule else 53


def _cost(rule: vRecur, event: Event, *, until: date) -> int:
    """About how many microseconds dateutil will take to go through the rule, whatever it finds."""
    years = (until - event.start).days // 365 + 1
    factor = 1 + _values(rule) / VALUES_THAT_DOUBLE_THE_COST
    return COST_OF_A_RULE + int(years * COST_OF_A_YEAR[_frequency(rule)] * factor / _interval(rule))


def _frequency(rule: vRecur) -> Frequency:
    return FREQUENCIES[str(rule["FREQ"][0]).upper()]


def _interval(rule: vRecur) -> int:
    return int(rule.get("INTERVAL", [1])[0])


def _values(rule: vRecur) -> int:
    return sum(len(rule.get(part, [])) for part in ("BYDAY", *LISTS))


def _weekday(day: Any) -> weekday:
    return weekday(WEEKDAYS.index(day.weekday), day.relative)


def _until(value: Any, text: str) -> date:
    if not isinstance(value, date):
        raise LeftOut(f"has the rule {shown(text)}: UNTIL should be a date")
    return date(value.year, value.month, value.day)
