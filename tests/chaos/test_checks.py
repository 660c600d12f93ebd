"""A check that cannot fail is none: each kind of breach in a small story of its own."""

from dataclasses import replace

import pytest

from tests.chaos.checks import SET_BACK, Story, check
from tests.chaos.facts import SECOND, Attempt, Fault, Grid, Line, Row, as_text, lines_of

START = 1_800_000_000 * SECOND
GRID = Grid("job", START, SECOND)
PID = 7


def row(index: int, state: str = "succeeded", **fields: object) -> Row:
    slot = START + index * SECOND
    found = Row(f"run {index}", "job", slot, state, finished_at=slot + SECOND // 2)
    return replace(found, **fields)  # type: ignore[arg-type]  # each test names fields that there are


def call(index: int, *, after: int = 1_000, attempt: int = 1, lasts: int | None = 100_000) -> list[Line]:
    """The start of a run so many microseconds after its slot, and its end unless it `lasts` None."""
    slot = START + index * SECOND
    start = Line("start", f"run {index}", "job", slot, attempt, PID, slot + after)
    return [start] if lasts is None else [start, replace(start, kind="end", at=start.at + lasts)]


GOOD = Story(
    grids=[GRID],
    rows=[row(0), row(1), row(2, "missed", last_slot=START + 3 * SECOND, slot_count=2), row(4, "skipped"), row(5)],
    lines=[*call(0), *call(1), *call(5)],
    horizon=START + 5 * SECOND,
)


def kinds(story: Story) -> list[str]:
    return [finding.kind for finding in check(story)]


def with_row(changed: Row, *lines: Line) -> Story:
    """The good story with another row in the place of one, and further lines."""
    rows = [changed if each.slot == changed.slot else each for each in GOOD.rows]
    return replace(GOOD, rows=rows, lines=[*GOOD.lines, *lines])


def killed(after: float) -> Fault:
    at = START + round(after * SECOND)
    return Fault("kill", at, at, PID)


def test_a_story_without_a_breach_has_none() -> None:
    assert kinds(GOOD) == []


def test_a_slot_at_the_horizon_needs_a_row_and_one_beyond_does_not() -> None:
    assert kinds(replace(GOOD, horizon=GOOD.horizon + SECOND)) == ["slot without a row"]
    assert kinds(replace(GOOD, horizon=GOOD.horizon + SECOND - 1)) == []


def test_a_slot_before_all_rows_is_missed_too() -> None:
    assert kinds(replace(GOOD, grids=[Grid("job", START - SECOND, SECOND)])) == ["slot without a row"]


def test_a_job_without_any_row_is_not_overlooked() -> None:
    assert kinds(replace(GOOD, grids=[GRID, Grid("other", START + 4 * SECOND, SECOND)])) == ["slot without a row"] * 2


def test_a_slot_that_two_rows_stand_for() -> None:
    assert kinds(replace(GOOD, rows=[*GOOD.rows, replace(row(3, "missed"), run_id="another")])) == ["slot in two rows"]


def test_a_row_off_the_grid() -> None:
    stray = replace(row(3, "missed"), run_id="stray", slot=START + 3 * SECOND + 1)
    assert kinds(replace(GOOD, rows=[*GOOD.rows, stray])) == ["off the grid"]


def test_a_stretch_that_says_a_wrong_count() -> None:
    assert kinds(with_row(row(2, "missed", last_slot=START + 3 * SECOND, slot_count=3))) == ["miscounted stretch"]


def test_an_attempt_that_started_twice() -> None:
    assert "double start" in kinds(replace(GOOD, lines=[*GOOD.lines, *call(1, after=2_000)]))


def test_a_slot_that_two_runs_started() -> None:
    other = [replace(line, run_id="another") for line in call(1, after=200_000)]
    rows = [*GOOD.rows, replace(row(1), run_id="another")]
    assert set(kinds(replace(GOOD, rows=rows, lines=[*GOOD.lines, *other]))) == {"double start", "slot in two rows"}


def test_a_further_attempt_is_no_double_start() -> None:
    twice = row(1, attempt=2, earlier=(Attempt(1, "failed", START + SECOND + 150_000),))
    assert kinds(with_row(twice, *call(1, after=300_000, attempt=2))) == []


def test_a_start_before_its_slot() -> None:
    assert kinds(replace(GOOD, lines=[*call(0, after=-20_000), *call(1), *call(5)])) == ["early start"]


def test_a_start_before_its_slot_is_excused_right_after_the_clock_was_set_back_only() -> None:
    early = replace(GOOD, lines=[*call(0), *call(1), *call(5, after=-SECOND)])
    set_back = Fault(SET_BACK, START + 4 * SECOND, START + 5 * SECOND)
    assert kinds(early) == ["early start"]
    assert kinds(replace(early, faults=[set_back])) == []
    assert kinds(replace(early, faults=[replace(set_back, at=START + 4 * SECOND + 1)])) == ["early start"]
    assert kinds(replace(early, faults=[replace(set_back, kind="cut")])) == ["early start"]


@pytest.mark.parametrize(("fault_at", "expected"), [(4.0, []), (3.5, []), (2.0, ["late start"]), (6.9, ["late start"])])
def test_a_late_start_is_excused_by_a_fault_near_it_only(fault_at: float, expected: list[str]) -> None:
    at = START + round(fault_at * SECOND)
    late = replace(GOOD, lines=[*call(0), *call(1), *call(5, after=1_800_000)])
    assert kinds(late) == ["late start"]
    assert kinds(replace(late, faults=[Fault("cut", at, at)])) == expected


def test_a_start_that_no_row_knows() -> None:
    assert kinds(replace(GOOD, lines=[*GOOD.lines, *(replace(line, run_id="?") for line in call(4))])) == [
        "start without a row"
    ]


@pytest.mark.parametrize("state", ["skipped", "missed", "queued"])
def test_a_start_of_what_is_said_never_to_have_been_called(state: str) -> None:
    found = kinds(with_row(row(4, state), *call(4)))
    assert found[0] == "start that its row denies"


def test_a_start_of_an_attempt_that_was_taken_back() -> None:
    assert kinds(with_row(row(1), *call(1, after=500_000, attempt=2))) == ["start that its row denies"]


def test_a_start_after_its_run_was_lost() -> None:
    lost = row(4, "lost", finished_at=START + 4 * SECOND + 200_000)
    assert kinds(with_row(lost, *call(4, after=100_000))) == []
    assert kinds(with_row(lost, *call(4, after=300_000))) == ["zombie start"]


def test_a_start_after_its_attempt_was_lost_though_another_one_followed() -> None:
    again = row(4, attempt=2, earlier=(Attempt(1, "lost", START + 4 * SECOND + 200_000),))
    later = call(4, after=400_000, attempt=2)
    assert kinds(with_row(again, *later)) == []
    assert "zombie start" in kinds(with_row(again, *call(4, after=300_000), *later))


def test_a_success_without_an_end() -> None:
    assert kinds(replace(GOOD, lines=[*call(0), *call(1), *call(5, lasts=None)])) == ["success that never ended"]


def test_a_success_of_an_attempt_whose_end_another_attempt_wrote() -> None:
    again = row(4, attempt=2, earlier=(Attempt(1, "lost", START + 5 * SECOND),))
    assert kinds(with_row(again, *call(4), *call(4, after=600_000, attempt=2, lasts=None))) == [
        "success that never ended"
    ]


def test_a_failure_without_a_start() -> None:
    assert kinds(with_row(row(4, "failed"))) == ["failure that never started"]
    assert kinds(with_row(row(4, "timed_out"), *call(4))) == []


@pytest.mark.parametrize("state", ["running", "queued", "retrying"])
def test_a_row_that_is_not_over(state: str) -> None:
    assert kinds(with_row(row(4, state))) == [f"stuck {state}"]
    assert f"stuck {state}" not in kinds(replace(GOOD, rows=[*GOOD.rows, row(6, state)]))


def test_what_a_kill_interrupted_is_to_be_lost_and_soon() -> None:
    def killed_in(state: str, finished_after: float) -> Story:
        ended = row(4, state, finished_at=START + round(finished_after * SECOND))
        return replace(with_row(ended, *call(4, lasts=None)), faults=[killed(4.5)])

    assert kinds(killed_in("lost", 24.4)) == []
    assert kinds(killed_in("lost", 24.6)) == ["lost too late"]
    assert "interrupted and not lost" in kinds(killed_in("cancelled", 5))


def test_a_kill_before_the_start_or_of_another_process_interrupted_nothing() -> None:
    unended = with_row(row(4, "cancelled"), *call(4, lasts=None))
    assert kinds(replace(unended, faults=[killed(3.9), replace(killed(4.5), pid=8)])) == []


def test_two_runs_of_a_job_at_once() -> None:
    long = replace(GOOD, lines=[*call(0, lasts=1_200_000), *call(1), *call(5)])
    assert kinds(long) == ["two at once"]
    assert kinds(replace(long, grids=[replace(GRID, overlaps=True)])) == []


def test_what_was_lost_and_went_on_is_not_in_the_way() -> None:
    lost = row(0, "lost", finished_at=START + SECOND)
    rows = [lost, *GOOD.rows[1:]]
    assert kinds(replace(GOOD, rows=rows, lines=[*call(0, lasts=1_200_000), *call(1), *call(5)])) == []


def test_a_manual_run_takes_no_slot() -> None:
    manual = replace(row(3), run_id="by hand", trigger="manual", slot=START + 123)
    line = replace(call(3)[0], run_id="by hand", slot=START + 123, at=START + 600_000)
    ended = replace(line, kind="end", at=line.at + 1)
    assert kinds(replace(GOOD, rows=[*GOOD.rows, manual], lines=[*GOOD.lines, line, ended])) == []


def test_slots_that_did_not_start_where_all_must() -> None:
    assert kinds(replace(GOOD, must_start=True)) == ["slot that did not start"] * 2
    of_another = replace(row(4, "missed"), job_id="deleted", run_id="of a job that nobody asks for")
    assert len(kinds(replace(GOOD, must_start=True, rows=[*GOOD.rows, of_another]))) == 2


LINE = (
    '{"kind": "start", "job": "j", "run": "r", "slot": "2027-01-15T08:00:00.500000+00:00", "attempt": 2, "pid": 7,'
    ' "wall": 1800000003.25, "steady": 10.5}\n'
)


def test_a_line_is_read_on_its_own_clock_or_on_the_true_one() -> None:
    (line,) = lines_of(LINE)
    assert line == Line("start", "r", "j", START + SECOND // 2, 2, 7, START + 3_250_000)
    (line,) = lines_of(LINE, steady_to_wall=1_799_999_990.0)
    assert line.at == START + SECOND // 2
    assert as_text(line.at) == "2027-01-15T08:00:00.500000Z"
