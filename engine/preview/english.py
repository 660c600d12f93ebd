"""Lists, counts, durations, times of day and instants in English, for the sentences of description and lint."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from itertools import pairwise

UNITS = ((3_600, "hour"), (60, "minute"), (1, "second"))


def listed(words: Sequence[str], last: str = "and") -> str:
    """As in "a, b and c"."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def counted(number: float, noun: str) -> str:
    """As in "1 run", "3 runs", "1,000 runs"."""
    return f"{spelt(number)} {noun}{'' if spelt(number) == '1' else 's'}"


def spelt(number: float) -> str:
    """Without an exponent as long as that is readable; to the microsecond, as durations are."""
    if number >= 10**15:
        return f"{number:g}"
    return f"{round(number, 6):,.6f}".rstrip("0").rstrip(".")


def duration(seconds: float) -> str:
    """In the largest unit of which it is a whole number: "90 minutes", "24 hours", "0.5 seconds"."""
    length, unit = next(((length, unit) for length, unit in UNITS if seconds % length == 0), UNITS[-1])
    return counted(seconds / length, unit)


def clock_times(walls: Sequence[time]) -> list[str]:
    """As in "09:30"; all with their seconds if any has some: "09:30:15"."""
    precision = "seconds" if any(wall.second for wall in walls) else "minutes"
    return [wall.isoformat(precision) for wall in walls]


def instant_text(instant: datetime) -> str:
    """In UTC, as in "2026-12-01 09:00:00Z"."""
    return f"{instant.astimezone(UTC).replace(tzinfo=None)}Z"


def spans(values: Sequence[int]) -> list[tuple[int, int]]:
    """The first and last of each run of neighbours in rising numbers."""
    found: list[tuple[int, int]] = []
    for value in values:
        if found and found[-1][1] == value - 1:
            found[-1] = found[-1][0], value
        else:
            found.append((value, value))
    return found


def common_step(values: Sequence[int]) -> int | None:
    """The one distance between rising numbers; None if there are several."""
    steps = {after - before for before, after in pairwise(values)}
    return steps.pop() if len(steps) == 1 else None


def spanned(values: Sequence[int], names: Sequence[str] | None = None, *, last: str = "and") -> str:
    """As in "1, 3 and 5 to 9": three neighbours or more become a range. `names` are to stand for the numbers."""
    words: list[str] = []
    for first, end in spans(values):
        run = [names[value] if names else str(value) for value in range(first, end + 1)]
        words += run if len(run) < 3 else [f"{run[0]} to {run[-1]}"]
    return listed(words, last)
