"""Random (expression, zone, instant), the same for the same number, mostly where cron goes wrong: near transitions."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from engine.timing import DstGap, DstOverlap
from tests.engine.cron.oracle import MACROS, MONTHS, WEEKDAYS, Oracle
from tests.engine.cron.zones import Transition, all_zones, transitions_of

ODD_ZONES = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "America/Asuncion",
    "America/Caracas",
    "America/Havana",
    "America/Juneau",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Casey",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Manila",
    "Asia/Pyongyang",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Amsterdam",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Kwajalein",
    "Pacific/Norfolk",
]
"""Half hours and stranger, gaps and overlaps at midnight, days that never were or were twice, offsets with seconds."""


Special = Callable[[Random], str]
"""Makes an element that only one of the fields knows."""


@dataclass(frozen=True, slots=True)
class Case:
    """A question to all who claim to know cron."""

    expression: str
    timezone: str
    instant: datetime
    dst_gap: DstGap
    dst_overlap: DstOverlap

    def oracle(self) -> Oracle:
        """Our own reading of the expression."""
        return Oracle(
            self.expression,
            self.timezone,
            runs_after_gap=self.dst_gap is DstGap.RUN_AFTER,
            runs_in_both_passes=self.dst_overlap is DstOverlap.BOTH,
        )

    @property
    def has_default_rules(self) -> bool:
        return self.dst_gap is DstGap.RUN_AFTER and self.dst_overlap is DstOverlap.FIRST


def random_case(number: int) -> Case:
    """The case of this number."""
    random = Random(number)
    timezone = random.choice(ODD_ZONES if random.random() < 0.35 else all_zones())
    year = random_year(random)
    transitions = transitions_of(timezone, year, year)
    transition = random.choice(transitions) if transitions and random.random() < 0.85 else None
    expression = random_expression(random, transition)
    while len(expression) > 256:
        expression = random_expression(random, transition)
    return Case(
        expression,
        timezone,
        random_instant(random, year, transition),
        random.choice([DstGap.RUN_AFTER, DstGap.RUN_AFTER, DstGap.SKIP]),
        random.choice([DstOverlap.FIRST, DstOverlap.FIRST, DstOverlap.BOTH]),
    )


def random_year(random: Random) -> int:
    first, last = random.choices([(1990, 2040), (1840, 1990), (2040, 2400)], [12, 4, 1])[0]
    return random.randint(first, last)


def random_instant(random: Random, year: int, transition: Transition | None) -> datetime:
    if transition is None:
        return datetime(year, 1, 1, tzinfo=UTC) + timedelta(microseconds=random.randrange(365 * 86_400_000_000))
    width = random.choice([0, 3_600, 3 * 3_600, 2 * 86_400])
    near = transition.at + timedelta(seconds=random.randint(-width, width))
    if random.random() < 0.3:
        near = near.replace(second=0)
    return near + timedelta(microseconds=random.choice([0, 0, 0, 1, -1, 500_000, -1_000_000]))


def random_expression(random: Random, transition: Transition | None) -> str:
    if random.random() < 0.02:
        return random.choice(list(MACROS))
    wall = transition.expected_wall + timedelta(minutes=random.randint(-90, 90)) if transition else None
    minutes = [wall.minute, wall.minute, 0, 30, 59] if wall else [0, 30, 59]
    hours = [wall.hour, wall.hour, (wall.hour + 1) % 24] if wall else [0, 2, 23]
    fields = [random_field(random, 0, 59, near=minutes, star=0.25), random_field(random, 0, 23, near=hours, star=0.25)]
    if random.random() < 0.2:
        fields.insert(0, random_field(random, 0, 59, near=[0, 59], star=0.1))
    return " ".join([*fields, *random_days(random, wall)])


def random_days(random: Random, wall: datetime | None) -> list[str]:
    """The three day fields: a chance each of every day, of anything, and of what seldom or never comes."""
    kind = random.random()
    if kind < 0.4:
        return ["*", "*", "*"]
    if kind < 0.48:
        return random.choice(SPARSE_DAYS).split()
    near_day = [wall.day, wall.day, wall.day, min(wall.day + 1, 31)] if wall else [1, 28, 29, 30, 31]
    near_month = [wall.month] if wall else [1, 2, 12]
    return [
        random_field(random, 1, 31, near=near_day, star=0.4, special=special_day),
        random_field(random, 1, 12, near=near_month, star=0.7, names=MONTHS),
        random_field(
            random,
            0,
            7,
            near=[wall.isoweekday() % 7] if wall else [0, 7],
            star=0.4,
            names=WEEKDAYS,
            special=special_weekday,
        ),
    ]


SPARSE_DAYS = [
    "29 2 *",
    "29 2 *",
    "29 2 */5",
    "*/31 2-12/2 mon",
    "31 * *",
    "30,31 2,4,6 *",
    "31 */2 sun#5,sun#1",
    "*/13 * fri",
    "13 * */5",
    "31W * *",
    "LW 2 *",
    "1W,15W,L * *",
    "L 2 */6",
    "* 2 6#5",
    "*/28 2 satL",
    "1-7 */12 0L",
    "*/10,LW 12 7#4",
]


def special_day(random: Random) -> str:
    return random.choice(["L", "LW", f"{random.randint(1, 31)}W", "31W", "1W"])


def special_weekday(random: Random) -> str:
    weekday = random.choice([str(random.randint(0, 7)), random.choice(WEEKDAYS), random.choice(WEEKDAYS).upper()])
    return random.choice([f"{weekday}L", f"{weekday}#{random.randint(1, 5)}"])


def random_field(
    random: Random,
    lowest: int,
    highest: int,
    *,
    near: list[int],
    star: float,
    names: list[str] | None = None,
    special: Special | None = None,
) -> str:
    if random.random() < star:
        return "*"
    if random.random() < 0.05:
        return ",".join(str(number) for number in range(lowest, highest + 1))
    length = random.choice([1, 1, 1, 2, 3])
    return ",".join(random_element(random, lowest, highest, near, names or [], special) for _ in range(length))


def random_element(
    random: Random, lowest: int, highest: int, near: list[int], names: list[str], special: Special | None
) -> str:
    if special and random.random() < 0.2:
        return special(random)
    kind = random.random()
    if kind < 0.2:
        # A star of weekdays goes to Saturday.
        return f"*/{random.randint(1, min(highest, 6 if names is WEEKDAYS else highest) - lowest + 1)}"
    if kind < 0.25:
        return "*"
    first, last = sorted([random.choice([*near, random.randint(lowest, highest)]), random.randint(lowest, highest)])
    if kind < 0.4:
        return f"{spelt(random, first, lowest, names)}-{spelt(random, last, lowest, [])}"
    if kind < 0.5:
        return f"{first}-{last}/{random.randint(1, last - first + 1)}"
    number = random.choice(near) if random.random() < 0.7 else random.randint(lowest, highest)
    return spelt(random, number, lowest, names)


def spelt(random: Random, number: int, lowest: int, names: list[str]) -> str:
    """As a number, with a nought in front, or by its name in any case."""
    if names and random.random() < 0.4 and number - lowest < len(names):
        name = names[number - lowest]
        return random.choice([name, name.upper(), name.title()])
    return f"{number:02}" if random.random() < 0.1 else str(number)
