"""What a cron schedule costs: its next slot, a preview, its worst call, and reading whatever a client may send."""

import contextlib
import gc
import multiprocessing
import statistics
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from engine.cron import cron_schedule
from engine.errors import InvalidSchedule
from engine.limits import MAX_CRON_EXPRESSION_LENGTH
from engine.preview import Preview
from engine.preview.forecast import Outlook, look_ahead
from engine.timing import DstGap, DstOverlap, Timing

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
JOB_ID = UUID("00000000-0000-4000-8000-00000000000a")
YEAR = timedelta(days=365)
LIMIT_MILLISECONDS, LIMIT_KILOBYTES = 5.0, 1_000.0
REPETITIONS = 3

ORDINARY = [
    ("* * * * *", "UTC"),
    ("*/5 * * * *", "Europe/Berlin"),
    ("30 2 * * *", "America/New_York"),
    ("0 9-17 * * mon-fri", "Australia/Lord_Howe"),
    ("*/10 * * * * *", "UTC"),
    ("0 0 L * *", "America/New_York"),
    ("0 9 15W,LW * *", "Europe/Berlin"),
    ("0 18 * * 5#3,5L", "America/New_York"),
    ("H H * * *", "Asia/Kolkata"),
    ("0 0 29 2 */7", "Europe/Berlin"),
]

SIXTY, TWENTY_FOUR = ",".join(map(str, range(60))), ",".join(map(str, range(24)))
HOSTILE = [
    # Seldom, or never, and found out only by looking.
    ("0 0 29 2 */7", "America/New_York"),
    ("59 59 23 29 2 */6", "Pacific/Apia"),
    ("* * * 2 sun#5", "Africa/Casablanca"),
    ("0 0 31 2 *", "America/New_York"),
    ("0 0 30 2 */2", "UTC"),
    ("0 0 LW * */6", "America/New_York"),
    ("0 0 */14 * 2#2", "America/New_York"),
    ("59 23 31W 12 */6", "Europe/Berlin"),
    # Days that come, at times that a gap swallows: each year from 2007 on.
    ("*/30 2 8-14 3 */7", "America/New_York"),
    ("30 2 8-14 3 */7", "America/New_York"),
    ("0 30 2 8-14 3 */7", "America/Los_Angeles"),
    ("*/5 2 * 3 */7,sun#2", "America/New_York"),
    ("15 2 1-7 10 */7", "Australia/Lord_Howe"),
    ("*/15 0 2-8 9 */7", "America/Santiago"),
    # Much of everything.
    ("* * * * * *", "Africa/Casablanca"),
    (f"{SIXTY} {TWENTY_FOUR} * * *", "America/New_York"),
    (f"*/59 */59 23 {','.join(map(str, range(1, 32)))} * *", "America/St_Johns"),
    ("0 0 1W,2W,3W,4W,5W,6W,7W,8W,9W,10W,11W,12W,13W,14W,15W,16W,17W,18W,19W,20W,21W,22W,23W,LW,L 2 *", "Asia/Gaza"),
    ("0 0 * 2 0#1,1#2,2#3,3#4,4#5,5L,6L,0#5,1#5,2#5,3#5,5#5,6#5", "Asia/Tehran"),
    ("59 59 23 31 12 *", "Pacific/Kiritimati"),
]
INSTANTS = [
    NOW,
    datetime(2026, 3, 8, 6, 59, 59, tzinfo=UTC),
    datetime(2026, 11, 1, 6, 0, tzinfo=UTC),
    datetime(1900, 1, 1, tzinfo=UTC),
    datetime(2400, 2, 29, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
]
RULES: list[dict[str, Any]] = [{}, {"dst_gap": DstGap.SKIP, "dst_overlap": DstOverlap.BOTH}]

ELEMENTS = [*"*?-R", "0", "5", "59", "7", "31", "99999", "mon", "JAN", "*/2", "*/59", "1-5", "0-59", "1-28/3"]
ELEMENTS += ["L", "LW", "15W", "5L", "friL", "5#3", "H", "H(1-5)", "H/7", "H(1-5)/2"]
ALPHABETS = [
    "0123456789*/-,@ aHLRWjanfriu#?()\x00\t\n~%",
    "*/,- 0123456789",
    "9",
    ",",
    "*",
    "H()",
    "\u0665\u3000\U0001f600 *",
]

Costs = dict[str, float]
"""Milliseconds by what was called."""


def main() -> None:
    """Measure and print."""
    for expression, timezone in ORDINARY:
        print_next_slot(expression, timezone)
    print_previews()
    print_worst("call", fresh_processes(call_costs))
    print_worst("reading", fresh_processes(reading_costs))
    print_memory()


def print_next_slot(expression: str, timezone: str) -> None:
    """At 1,000 instants of a year, each the best of three, so that noise does not count."""
    schedule = cron_schedule(expression, timezone=timezone, job_id=JOB_ID)
    instants = [NOW + number * YEAR / 1_000 for number in range(1_000)]
    costs = [min(milliseconds(schedule.next_after, at) for _ in range(REPETITIONS)) * 1_000 for at in instants]
    print(
        f"next slot of {expression} in {timezone}: median {statistics.median(costs):.0f} us, "
        f"p99 {statistics.quantiles(costs, n=100)[98]:.0f} us, max {max(costs):.0f} us"
    )


def print_previews() -> None:
    """Of 1,000 slots, as the engine makes them; best of three."""
    timings = [Timing(interval_seconds=10.0)]
    timings += [Timing(cron_expression=expression, timezone=timezone) for expression, timezone in ORDINARY[:3]]
    timings.append(Timing(cron_expression="0 9 * * mon-fri", timezone="Europe/Berlin", jitter_seconds=60.0))
    for timing in timings:
        costs = [milliseconds(preview, timing) for _ in range(REPETITIONS)]
        print(f"preview of 1,000 slots, {preview(timing).description} {min(costs):.0f} ms")


def preview(timing: Timing) -> Preview:
    """Without a store: no calendar is asked for."""
    return look_ahead(Outlook(timing, NOW, NOW, JOB_ID, runs_left=None), {}, count=1_000)


def print_worst(what: str, measured: list[Costs]) -> None:
    """The most expensive ones, of each the cheapest of its measurements."""
    best = {name: min(costs[name] for costs in measured) for name in measured[0]}
    worst = sorted(best, key=best.__getitem__, reverse=True)
    over = [name for name in worst if best[name] > LIMIT_MILLISECONDS]
    print(
        f"worst {what} of {len(best)}: {best[worst[0]]:.2f} ms, median {statistics.median(best.values()):.3f} ms, "
        f"{len(over)} over {LIMIT_MILLISECONDS} ms"
    )
    for name in worst[: min(max(len(over), 3), 10)]:
        print(f"  {best[name]:.2f} ms: {name[:100]}")


def print_memory() -> None:
    """The most that is held at once while one text is read, and what stays after all of them."""
    texts = hostile_texts()
    read(texts[0])
    tracemalloc.start()
    peaks = [peak_kilobytes(text) for text in texts]
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    over = sum(peak > LIMIT_KILOBYTES for peak in peaks)
    print(
        f"memory of a reading of {len(texts)}: peak {max(peaks):.0f} kB, median {statistics.median(peaks):.1f} kB, "
        f"{over} over {LIMIT_KILOBYTES:.0f} kB; {kept / 1_000:.0f} kB kept after all"
    )


def fresh_processes(measure: Callable[[int], Costs]) -> list[Costs]:
    """The same in three processes, one after another: so each call is a first one, and still noise does not count."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return pool.map(measure, range(REPETITIONS), chunksize=1)


def call_costs(_repetition: int) -> Costs:
    """Every call of every hostile schedule."""
    cron_schedule("1 1 1 1 1").next_after(NOW)
    costs = {}
    for expression, timezone in HOSTILE:
        for rules in RULES:
            schedule = cron_schedule(expression, timezone=timezone, **rules)
            for at in INSTANTS:
                name = f"({at:%Y-%m-%d}) of {expression} in {timezone} {' '.join(rules.values())}"
                costs[f"next_after{name}"] = milliseconds(schedule.next_after, at)
                costs[f"latest_until{name}"] = milliseconds(schedule.latest_until, at)
            first, last = schedule.latest_until(NOW), schedule.latest_until(NOW + 100 * YEAR)
            if first is not None and last is not None:
                name = f"(a century) of {expression} in {timezone} {' '.join(rules.values())}"
                costs[f"count_between{name}"] = milliseconds(schedule.count_between, first, last)
    return costs


def reading_costs(_repetition: int) -> Costs:
    """Every hostile text, read for the first time."""
    read("1 1 1 1 1")
    return {repr(text): milliseconds(read, text) for text in hostile_texts()}


def read(text: str) -> None:
    """Made into a schedule, or refused."""
    with contextlib.suppress(InvalidSchedule):
        cron_schedule(text, timezone="America/New_York", job_id=JOB_ID)


def hostile_texts() -> list[str]:
    """Up to the cap on length: what is legal and large, what is nearly legal, and noise; always the same."""
    random = Random(3)
    texts = [expression for expression, _ in HOSTILE]
    texts += [(alphabet * MAX_CRON_EXPRESSION_LENGTH)[:MAX_CRON_EXPRESSION_LENGTH] for alphabet in ALPHABETS]
    for _ in range(1_000):
        fields = (",".join(random.choices(ELEMENTS, k=random.randint(1, 20))) for _ in range(random.randint(5, 6)))
        texts.append(" ".join(fields)[:MAX_CRON_EXPRESSION_LENGTH])
        texts.append("".join(random.choices(random.choice(ALPHABETS), k=random.randint(1, MAX_CRON_EXPRESSION_LENGTH))))
    texts += [f"{element},{SIXTY} * * * *"[:MAX_CRON_EXPRESSION_LENGTH] for element in ELEMENTS]
    return list(dict.fromkeys(texts))


def milliseconds(call: Callable[..., object], *arguments: object) -> float:
    """What one call takes, with the garbage collector off."""
    gc.disable()
    began = time.perf_counter()
    call(*arguments)
    took = time.perf_counter() - began
    gc.enable()
    return took * 1_000


def peak_kilobytes(text: str) -> float:
    """How much more is held at once while it is read than before."""
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    read(text)
    _, peak = tracemalloc.get_traced_memory()
    return (peak - before) / 1_000


if __name__ == "__main__":
    main()
