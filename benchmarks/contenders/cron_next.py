"""One maker of cron schedules: reads questions as JSON from standard input, tells what each answer was and took."""

import gc
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

REPETITIONS = 3

NextSlot = Callable[[datetime], datetime | None]


def service(expression: str, timezone: str) -> NextSlot:
    from engine.cron import cron_schedule  # noqa: PLC0415 - each contender has an environment of its own

    return cron_schedule(expression, timezone=timezone).next_after


def croniter(expression: str, timezone: str) -> NextSlot:
    from croniter import croniter as make  # noqa: PLC0415 - likewise

    zone, slots = ZoneInfo(timezone), make(expression)

    def next_after(instant: datetime) -> datetime:
        slots.set_current(instant.astimezone(zone), force=True)
        found: datetime = slots.get_next(datetime)
        return found

    return next_after


def apscheduler3(expression: str, timezone: str) -> NextSlot:
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - likewise

    trigger = CronTrigger.from_crontab(expression, timezone=ZoneInfo(timezone))
    # None is the slot before this one: it has no say in the next one.
    return lambda instant: trigger.get_next_fire_time(None, instant)


MAKERS = {"service": service, "croniter": croniter, "apscheduler3": apscheduler3}


def main() -> None:
    make = MAKERS[sys.argv[1]]
    told = []
    for question in json.load(sys.stdin):
        next_after = make(question["expression"], question["timezone"])
        answers = [ask(next_after, datetime.fromtimestamp(at, UTC)) for at in question["instants"]]
        told.append({"slots": [slot for slot, _ in answers], "microseconds": [took for _, took in answers]})
    json.dump(told, sys.stdout)


def ask(next_after: NextSlot, instant: datetime) -> tuple[float | None, float]:
    """The slot in seconds since 1970, and the best of three times, so that noise does not count."""
    costs: list[float] = []
    slot: Any = None
    for _ in range(REPETITIONS):
        gc.disable()
        began = time.perf_counter()
        slot = next_after(instant)
        costs.append(time.perf_counter() - began)
        gc.enable()
    return None if slot is None else slot.timestamp(), min(costs) * 1_000_000


if __name__ == "__main__":
    main()
