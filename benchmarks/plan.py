"""What every contender has to do, and what came of it. Needs nothing but the standard library."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import ceil, floor
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """`jobs` jobs, each due once a second from its first slot on: job k at `start_at + spread_seconds * k / jobs`.

    Instants are seconds since the epoch. Slots of the first `warm_up_seconds` are left out, and those from the end of
    `seconds` on.
    """

    jobs: int
    start_at: float
    seconds: float
    warm_up_seconds: float
    spread_seconds: float = 1.0

    def first_slot(self, number: int) -> float:
        """The first slot of a job, to the microsecond, as schedulers have it."""
        return round(self.start_at + self.spread_seconds * number / self.jobs, 6)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Plan":
        return cls(**json.loads(path.read_text()))


@dataclass(frozen=True)
class Starts:
    """How late the measured slots started, in milliseconds, in order; how many there were, and what went wrong."""

    lateness: list[float]
    slots: int
    lost: int
    doubled: int

    @property
    def is_complete(self) -> bool:
        return not self.lost and not self.doubled

    def at(self, share: float) -> float:
        """The lateness within which this share of the slots started."""
        return self.lateness[min(int(len(self.lateness) * share), len(self.lateness) - 1)]


def starts_of(plan: Plan, calls: Iterable[tuple[int, float]]) -> Starts:
    """What the calls were to the slots of the plan: each is that of the latest slot of its job before it.

    So who starts a slot more than a second late has lost it, and started the next one twice.
    """
    of_job: defaultdict[int, list[float]] = defaultdict(list)
    for number, instant in calls:
        of_job[number].append(instant - plan.first_slot(number))
    lateness: list[float] = []
    slots = lost = doubled = 0
    for number in range(plan.jobs):
        due, since = _measured_slots(plan, number), of_job[number]
        counted = Counter(floor(seconds) for seconds in since)
        slots += len(due)
        lost += sum(counted[index] == 0 for index in due)
        doubled += sum(counted[index] > 1 for index in due)
        lateness += [seconds % 1.0 * 1_000 for seconds in since if floor(seconds) in due]
    return Starts(sorted(lateness), slots, lost, doubled)


def _measured_slots(plan: Plan, number: int) -> range:
    """The slots of a job that count, by their number."""
    begin = plan.start_at - plan.first_slot(number)
    return range(max(ceil(begin + plan.warm_up_seconds), 0), ceil(begin + plan.seconds))
