"""What may not happen, as pure functions over grids, rows, lines and faults; test_checks.py shows each of them fail."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.facts import NEVER_CALLED, SECOND, UNSETTLED, Fault, Grid, Line, Row, as_text, starts

CLOCK_TOLERANCE = SECOND // 100
"""Two readings of the time of one host, one of them by a database, taken for the same."""

SET_BACK = "clock set back"
"""A fault, from when to when on the new time: what was claimed on the old one may start in it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach; `kind` is what is counted."""

    kind: str
    job_id: str
    slot: int
    detail: str = ""

    def __str__(self) -> str:
        if not self.slot:
            return f"{self.kind}: {self.detail}"
        return f"{self.kind}: job {self.job_id} slot {as_text(self.slot)} {self.detail}"


@dataclass(frozen=True)
class Story:
    """All that is known of what happened, up to `horizon`: the latest slot that everything must be known of."""

    grids: Sequence[Grid]
    rows: Sequence[Row]
    lines: Sequence[Line]
    horizon: int
    faults: Sequence[Fault] = ()
    late_limit: int = 1 * SECOND
    late_allowance: int = 2 * SECOND
    """So long after a fault starts may be late beyond the limit."""
    loss_limit: int = 20 * SECOND
    """So soon after its process was killed an interrupted attempt is on record as lost."""
    must_start: bool = False
    """Whether there is always somebody to start a slot, so that none is skipped or missed."""


def check(story: Story) -> list[Finding]:
    """Every breach there is."""
    return [finding for each in CHECKS for finding in each(story)]


def slots_and_rows(story: Story) -> Iterator[Finding]:
    """Each slot has exactly one row, and nothing is off the grid (nothing silent)."""
    grids = {grid.job_id: grid for grid in story.grids}
    covered: dict[str, Counter[int]] = defaultdict(Counter)
    for row in story.rows:
        if row.trigger != "schedule" or row.job_id not in grids:
            continue
        grid = grids[row.job_id]
        slots = range(row.slot, (row.last_slot or row.slot) + 1, grid.interval)
        if not grid.has(row.slot) or not grid.has(slots[-1]):
            yield Finding("off the grid", row.job_id, row.slot, row.run_id)
        elif len(slots) != row.slot_count:
            yield Finding("miscounted stretch", row.job_id, row.slot, f"{row.slot_count}, not {len(slots)}")
        covered[row.job_id].update(slots)
    for grid in story.grids:
        yield from _gaps_and_doubles(grid, covered[grid.job_id], story.horizon)


def _gaps_and_doubles(grid: Grid, covered: Counter[int], horizon: int) -> Iterator[Finding]:
    yield from (Finding("slot without a row", grid.job_id, slot) for slot in grid.slots(horizon) if slot not in covered)
    yield from (Finding("slot in two rows", grid.job_id, slot) for slot, rows in covered.items() if rows > 1)


def starts_once(story: Story) -> Iterator[Finding]:
    """An attempt of a slot starts at most once, under whatever run id."""
    counts = Counter((line.job_id, line.slot, line.attempt) for line in starts(story.lines))
    for (job_id, slot, attempt), count in counts.items():
        if count > 1:
            yield Finding("double start", job_id, slot, f"attempt {attempt}: {count} times")


def starts_in_time(story: Story) -> Iterator[Finding]:
    """Nothing starts before its slot; late only around a fault."""
    for line in starts(story.lines):
        if line.at < line.slot - CLOCK_TOLERANCE and not _has_just_been_set_back(line, story):
            yield Finding("early start", line.job_id, line.slot, f"by {(line.slot - line.at) / SECOND:.3f} s")
        elif line.attempt == 1 and line.at - line.slot > story.late_limit and not _is_excused(line, story):
            yield Finding("late start", line.job_id, line.slot, f"by {(line.at - line.slot) / SECOND:.3f} s")


def _has_just_been_set_back(line: Line, story: Story) -> bool:
    """Whether the clock, of which the line's is one reading, was right for the claim and then set back."""
    return any(fault.kind == SET_BACK and fault.at <= line.at <= fault.until for fault in story.faults)


def _is_excused(line: Line, story: Story) -> bool:
    return any(line.at >= fault.at and line.slot <= fault.until + story.late_allowance for fault in story.faults)


def starts_on_record(story: Story) -> Iterator[Finding]:
    """No call without a row whose state admits it, and none of an attempt that was lost before (a zombie)."""
    rows = {row.run_id: row for row in story.rows}
    for line in starts(story.lines):
        row = rows.get(line.run_id)
        end = row.end_of(line.attempt) if row else None
        if row is None or (row.job_id, row.slot) != (line.job_id, line.slot):
            yield Finding("start without a row", line.job_id, line.slot, line.run_id)
        elif end is None or end[0] in NEVER_CALLED:
            yield Finding("start that its row denies", line.job_id, line.slot, f"attempt {line.attempt}: {row}")
        elif end[0] == "lost" and end[1] is not None and line.at > end[1] + CLOCK_TOLERANCE:
            yield Finding("zombie start", line.job_id, line.slot, f"{(line.at - end[1]) / SECOND:.3f} s after its loss")


def outcomes_are_true(story: Story) -> Iterator[Finding]:
    """What is said to have succeeded did end, and what is said to have failed did start."""
    seen = {(line.run_id, line.attempt, line.kind) for line in story.lines}
    for row in story.rows:
        for number in range(1, row.attempt + 1):
            state, _ = row.end_of(number) or ("", None)
            if state == "succeeded" and (row.run_id, number, "end") not in seen:
                yield Finding("success that never ended", row.job_id, row.slot, f"attempt {number} of {row.run_id}")
            if state in {"failed", "timed_out"} and (row.run_id, number, "start") not in seen:
                yield Finding("failure that never started", row.job_id, row.slot, f"attempt {number} of {row.run_id}")


def nothing_is_stuck(story: Story) -> Iterator[Finding]:
    for row in story.rows:
        if row.state in UNSETTLED and row.slot <= story.horizon:
            yield Finding(f"stuck {row.state}", row.job_id, row.slot, f"{row.run_id} {row.reason or ''}")


def losses_in_time(story: Story) -> Iterator[Finding]:
    """What a kill interrupted is lost, and soon."""
    rows = {row.run_id: row for row in story.rows}
    for line, fault in interrupted(story):
        row = rows.get(line.run_id)
        state, finished_at = (row and row.end_of(line.attempt)) or ("unknown", None)
        if state != "lost":
            yield Finding("interrupted and not lost", line.job_id, line.slot, f"{state}, {line.run_id}")
        elif finished_at is None or finished_at > fault.at + story.loss_limit:
            yield Finding("lost too late", line.job_id, line.slot, f"{((finished_at or 0) - fault.at) / SECOND:.1f} s")


def interrupted(story: Story) -> Iterator[tuple[Line, Fault]]:
    """The starts without an end in a process that was killed, with the kill."""
    ended = {(line.run_id, line.attempt) for line in story.lines if line.kind == "end"}
    kills: dict[int | None, list[Fault]] = defaultdict(list)
    for fault in story.faults:
        if fault.kind == "kill":
            kills[fault.pid].append(fault)
    for line in starts(story.lines):
        if (line.run_id, line.attempt) not in ended and line.slot <= story.horizon:
            # A pid may come back after a while: the first kill after the start is the one.
            yield from ((line, fault) for fault in [f for f in kills[line.pid] if f.at >= line.at][:1])


def one_at_a_time(story: Story) -> Iterator[Finding]:
    """Runs of one job do not overlap, but for what was lost and went on in a process that had been frozen."""
    alone = {grid.job_id for grid in story.grids if not grid.overlaps}
    rows = {row.run_id: row for row in story.rows}
    ends = {(line.run_id, line.attempt): line.at for line in story.lines if line.kind == "end"}
    calls: dict[str, list[tuple[Line, int]]] = defaultdict(list)
    for line in starts(story.lines):
        row = rows.get(line.run_id)
        end = row.end_of(line.attempt) if row else None
        if line.job_id in alone and end and end[0] != "lost" and (line.run_id, line.attempt) in ends:
            calls[line.job_id].append((line, ends[line.run_id, line.attempt]))
    for each in calls.values():
        yield from _overlaps(sorted(each, key=lambda call: call[0].at))


def _overlaps(calls: Iterable[tuple[Line, int]]) -> Iterator[Finding]:
    over_at = 0
    for line, end in calls:
        if line.at < over_at - CLOCK_TOLERANCE:
            yield Finding("two at once", line.job_id, line.slot, f"{(over_at - line.at) / SECOND:.3f} s")
        over_at = max(over_at, end)


def every_slot_starts(story: Story) -> Iterator[Finding]:
    """Where that is asked for: a row alone is not enough."""
    asked_for = {grid.job_id for grid in story.grids if story.must_start}
    for row in story.rows:
        if row.job_id in asked_for and row.state in NEVER_CALLED and row.slot <= story.horizon:
            yield Finding("slot that did not start", row.job_id, row.slot, f"{row.state} {row.reason or ''}")


CHECKS = (
    slots_and_rows,
    starts_once,
    starts_in_time,
    starts_on_record,
    outcomes_are_true,
    nothing_is_stuck,
    losses_in_time,
    one_at_a_time,
    every_slot_starts,
)
