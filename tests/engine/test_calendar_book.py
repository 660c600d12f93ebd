"""Calendars, and what becomes of the jobs that list them, in the running engine."""

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from engine.calendars import Calendar, Weekday
from engine.errors import CalendarExists, CalendarInUse, CalendarNotFound, StoreUnavailable, UnknownCalendar
from engine.nouns import Job, JobStatus, RunState
from engine.requests import CalendarDraft, JobChange
from engine.timing import OnExcluded
from store import SqlStore
from tests.engine.interference import Interference, once
from tests.fakes import NOON, Node

DAY = timedelta(days=1)
NINE = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
"""Thursday, before the tests begin."""
FRIDAY, SATURDAY, SUNDAY, MONDAY, TUESDAY = (NINE + number * DAY for number in range(1, 6))


def draft(name: str = "off", *, dates: Collection[datetime] = (), weekdays: Collection[Weekday] = ()) -> CalendarDraft:
    """The days of these slots."""
    return CalendarDraft(name, frozenset(slot.date() for slot in dates), frozenset(weekdays))


WEEKEND = draft("weekend", weekdays=[Weekday.SATURDAY, Weekday.SUNDAY])


@pytest.fixture
def chaos(store: SqlStore) -> Interference:
    return Interference(store)


@pytest.fixture
def node(chaos: Interference) -> Iterator[Node]:
    started = Node(chaos).start()
    started.scheduler.calendars.create(WEEKEND)
    yield started
    started.stop()


def add_daily(node: Node, **overrides: Any) -> Job:
    """A job of every day at nine but those of the weekend."""
    return node.add(**({"cron_expression": "0 9 * * *", "exclude_calendars": ("weekend",)} | overrides))


def add_moving(node: Node, **overrides: Any) -> Job:
    """The same, but moved to the next business day."""
    return add_daily(node, **({"on_excluded": OnExcluded.NEXT_BUSINESS_DAY} | overrides))


def recorded(node: Node, job: Job) -> list[tuple[datetime, str, str | None]]:
    return [(run.scheduled_for, run.state.value, run.reason) for run in node.runs(job)]


# --- Slots on days off ----------------------------------------------------------------------------------


def test_a_slot_on_a_day_off_is_skipped_and_its_row_names_the_calendar(node: Node) -> None:
    job = add_daily(node)

    with capture_logs() as lines:
        node.advance(5 * 86_400)

    reason = "excluded by calendar weekend"
    assert recorded(node, job) == [
        (FRIDAY, "succeeded", None),
        (SATURDAY, "skipped", reason),
        (SUNDAY, "skipped", reason),
        (MONDAY, "succeeded", None),
        (TUESDAY, "succeeded", None),
    ]
    assert [line["reason"] for line in lines if line["event"] == "slot skipped"] == [reason] * 2
    stored = node.job(job)
    assert (stored.status, stored.run_count, stored.last_run_at) == (JobStatus.ACTIVE, 3, TUESDAY)
    assert node.scheduler.health().permits_free == 4


def test_a_slot_on_a_day_off_runs_on_the_next_business_day(node: Node) -> None:
    node.scheduler.calendars.create(draft("feasts", dates=[MONDAY]))
    job = add_moving(node, cron_expression="0 9 * * 6", exclude_calendars=("feasts", "weekend"))

    node.advance(6 * 86_400)

    assert recorded(node, job) == [
        (SATURDAY, "skipped", "excluded by calendar weekend, moved to 2026-01-06T09:00:00Z"),
        (TUESDAY, "succeeded", None),
    ]
    assert node.job(job).next_run_at == SATURDAY + 7 * DAY


def test_a_slot_that_is_moved_onto_another_one_runs_once(node: Node) -> None:
    job = add_moving(node)

    node.advance(5 * 86_400)

    assert [run.scheduled_for for run in node.runs(job)] == [FRIDAY, SATURDAY, SUNDAY, MONDAY, TUESDAY]
    assert [at for _, at in node.calls] == [FRIDAY, MONDAY, TUESDAY]


def test_skipped_days_do_not_use_up_the_number_of_runs(node: Node) -> None:
    job = add_daily(node, max_runs=3)

    node.advance(10 * 86_400)

    assert [at for _, at in node.calls] == [FRIDAY, MONDAY, TUESDAY]
    assert node.job(job).status is JobStatus.COMPLETED


def test_a_one_shot_on_a_day_off_is_skipped_and_completed_or_moved_and_run(node: Node) -> None:
    skipped = add_daily(node, cron_expression=None, run_at=SATURDAY)
    moved = add_moving(node, cron_expression=None, run_at=SATURDAY)

    node.advance(10 * 86_400)

    assert [run.state.value for run in node.runs(skipped)] == ["skipped"]
    assert [(run.scheduled_for, run.state.value) for run in node.runs(moved)] == [
        (SATURDAY, "skipped"),
        (MONDAY, "succeeded"),
    ]
    assert {node.job(job).status for job in (skipped, moved)} == {JobStatus.COMPLETED}


def test_a_run_by_hand_does_not_ask_the_calendars(node: Node) -> None:
    job = add_daily(node)
    node.advance(2 * 86_400)
    calls = len(node.calls)

    node.scheduler.run_now(job.id)
    node.settle()

    assert len(node.calls) == calls + 1


def test_a_day_off_is_a_day_of_the_jobs_zone(node: Node) -> None:
    # Friday 23:30 in London is half past midnight on Saturday in Berlin.
    london = add_daily(node, cron_expression=None, run_at=FRIDAY + timedelta(hours=14.5), timezone="Europe/London")
    berlin = add_daily(node, cron_expression=None, run_at=FRIDAY + timedelta(hours=14.5), timezone="Europe/Berlin")

    node.advance(2 * 86_400)

    assert [run.state.value for run in (*node.runs(london), *node.runs(berlin))] == ["succeeded", "skipped"]


# --- Calendars that change ------------------------------------------------------------------------------


def test_a_day_that_is_added_counts_for_the_slots_to_come(node: Node) -> None:
    job = add_daily(node)

    node.scheduler.calendars.add_dates("weekend", [FRIDAY.date()])
    node.advance(86_400)

    assert recorded(node, job) == [(FRIDAY, "skipped", "excluded by calendar weekend")]


def at_least_once_moved(node: Node) -> Job:
    """On Sunday: a job whose slot of Saturday was moved to Monday."""
    job = add_moving(node, cron_expression="0 9 * * 6")
    node.advance(3 * 86_400)
    assert node.job(job).next_run_at == MONDAY
    return job


@pytest.mark.parametrize("how", ["replace", "add dates"])
def test_a_calendar_that_changes_moves_the_next_run_of_a_job_at_once(node: Node, how: str) -> None:
    job = at_least_once_moved(node)
    version = node.job(job).version

    with capture_logs() as lines:
        if how == "replace":
            changed = node.scheduler.calendars.replace(
                draft("weekend", dates=[MONDAY], weekdays=WEEKEND.weekly_days_off)
            )
        else:
            changed = node.scheduler.calendars.add_dates("weekend", [MONDAY.date()])

    assert changed.dates == {MONDAY.date()}
    assert (node.job(job).next_run_at, node.job(job).version) == (TUESDAY, version + 1)
    assert {"calendar": "weekend", "dates": 1, "jobs": 1} in [
        {name: line[name] for name in ("calendar", "dates", "jobs")}
        for line in lines
        if line["event"] == "calendar changed"
    ]
    node.advance(2 * 86_400)
    assert [at for _, at in node.calls] == [TUESDAY]


def test_a_slot_that_a_calendar_gives_back_wakes_the_timer(node: Node) -> None:
    node.scheduler.calendars.replace(draft("weekend", dates=[MONDAY], weekdays=WEEKEND.weekly_days_off))
    job = add_moving(node, cron_expression="0 9 * * 6")
    node.advance(3 * 86_400)
    assert node.job(job).next_run_at == TUESDAY

    node.scheduler.calendars.replace(WEEKEND)
    node.advance((MONDAY - node.clock.now()).total_seconds())

    assert [at for _, at in node.calls] == [MONDAY]


def test_a_calendar_without_days_lets_the_moved_slot_go(node: Node) -> None:
    job = at_least_once_moved(node)

    node.scheduler.calendars.replace(draft("weekend"))

    assert node.job(job).next_run_at == SATURDAY + 7 * DAY
    node.advance(3 * 86_400)
    assert node.calls == []


def test_a_change_of_a_calendar_drops_no_slot_that_is_due(node: Node) -> None:
    job = at_least_once_moved(node)
    node.clock.step_wall((MONDAY - node.clock.now()).total_seconds() + 1)

    node.scheduler.calendars.replace(draft("weekend"))
    assert node.job(job).next_run_at == MONDAY
    node.step_wall(0)
    node.advance(0)

    assert [run.scheduled_for for run in node.runs(job)] == [SATURDAY, MONDAY]
    assert node.job(job).next_run_at == SATURDAY + 7 * DAY


def test_a_change_of_a_calendar_leaves_paused_and_completed_jobs_alone(node: Node) -> None:
    paused = add_moving(node, status=JobStatus.PAUSED)
    completed = add_moving(node, cron_expression=None, run_at=NOON + timedelta(minutes=1))
    node.advance(60)
    before = [node.job(paused), node.job(completed)]

    node.scheduler.calendars.replace(draft("weekend"))

    assert [node.job(paused), node.job(completed)] == before


def test_a_job_that_only_skips_keeps_its_next_run_and_its_version(node: Node) -> None:
    job = add_daily(node)
    before = node.job(job)

    node.scheduler.calendars.replace(draft("weekend", dates=[FRIDAY]))

    assert node.job(job) == before


def test_a_job_that_is_paused_over_a_change_goes_by_the_new_days_when_it_is_resumed(node: Node) -> None:
    job = at_least_once_moved(node)
    node.scheduler.pause_job(job.id)
    node.scheduler.calendars.add_dates("weekend", [MONDAY.date()])

    assert node.scheduler.resume_job(job.id).next_run_at == TUESDAY


@pytest.mark.parametrize("writing", ["create", "change", "resume", "claim"])
def test_a_calendar_that_changes_while_a_job_is_written_decides_on_its_next_run(
    node: Node, chaos: Interference, writing: str
) -> None:
    """The calendars are read before; whoever changes them does not know yet what is about to be written."""
    moving = {"exclude_calendars": ("weekend",), "on_excluded": OnExcluded.NEXT_BUSINESS_DAY}
    saturdays = {"cron_expression": "0 9 * * 6"}
    add_monday = once(lambda: node.scheduler.calendars.add_dates("weekend", [MONDAY.date()]))

    if writing == "claim":
        job = node.add(**saturdays, **moving)
        chaos.before["advance"] = add_monday
    node.advance(3 * 86_400)
    if writing == "create":
        chaos.before["add_job"] = add_monday
        job = node.add(**saturdays, **moving)
    elif writing == "change":
        job = node.add(**saturdays, status=JobStatus.PAUSED)
        chaos.before["replace_job"] = add_monday
        node.scheduler.change_job(job.id, JobChange(status=JobStatus.ACTIVE, timing=moving))
    elif writing == "resume":
        job = node.add(**saturdays, **moving, status=JobStatus.PAUSED)
        chaos.before["replace_job"] = add_monday
        node.scheduler.resume_job(job.id)

    assert node.job(job).next_run_at == TUESDAY


# --- The book itself ------------------------------------------------------------------------------------


def test_a_calendar_is_kept_as_it_was_described(node: Node) -> None:
    created = node.scheduler.calendars.create(draft("feasts", dates=[MONDAY], weekdays=[Weekday.WEDNESDAY]))
    wanted = Calendar(
        "feasts", frozenset({date(2026, 1, 5)}), frozenset({Weekday.WEDNESDAY}), created_at=NOON, updated_at=NOON
    )

    assert created == wanted == node.store.views.calendar("feasts")


def test_replacing_a_calendar_keeps_when_it_was_created(node: Node) -> None:
    node.advance(60)

    replaced = node.scheduler.calendars.replace(draft("weekend", dates=[MONDAY]))

    assert (replaced.created_at, replaced.updated_at) == (NOON, NOON + timedelta(seconds=60))
    assert node.store.views.calendar("weekend") == replaced


def test_dates_are_added_to_those_that_are_there(node: Node) -> None:
    node.scheduler.calendars.create(draft("feasts", dates=[MONDAY]))

    added = node.scheduler.calendars.add_dates("feasts", [MONDAY.date(), TUESDAY.date()])

    assert added.dates == {MONDAY.date(), TUESDAY.date()}


def test_what_cannot_be_done_to_a_calendar_is_refused(node: Node) -> None:
    book = node.scheduler.calendars
    with pytest.raises(CalendarExists):
        book.create(WEEKEND)
    for request in (
        lambda: book.replace(draft("moon")),
        lambda: book.add_dates("moon", []),
        lambda: book.delete("moon"),
    ):
        with pytest.raises(CalendarNotFound, match="moon"):
            request()


@pytest.mark.parametrize("status", [JobStatus.ACTIVE, JobStatus.PAUSED])
def test_a_calendar_in_use_is_not_deleted_and_the_refusal_names_the_jobs(node: Node, status: JobStatus) -> None:
    job = add_daily(node, status=status, name="report")

    with pytest.raises(CalendarInUse, match=f"in use by 1 job: report \\({job.id}\\)") as refusal:
        node.scheduler.calendars.delete("weekend")

    assert (refusal.value.jobs, refusal.value.count) == (((job.id, "report"),), 1)
    assert node.store.views.calendar("weekend") is not None


def test_a_calendar_that_no_job_lists_any_more_is_deleted(node: Node) -> None:
    job = add_daily(node)
    node.scheduler.change_job(job.id, JobChange(timing={"exclude_calendars": ()}))

    node.scheduler.calendars.delete("weekend")

    assert node.store.views.calendar("weekend") is None
    with pytest.raises(UnknownCalendar):
        node.scheduler.change_job(job.id, JobChange(timing={"exclude_calendars": ("weekend",)}))


def test_a_job_whose_calendar_was_deleted_behind_our_back_is_put_off_and_comes_back_with_it(
    node: Node, store: SqlStore
) -> None:
    job, other = add_daily(node, cron_expression="* * * * *"), node.add(interval_seconds=60.0)
    with store._writing() as connection:
        connection.execute(text("DELETE FROM calendars"))

    with capture_logs() as lines:
        node.advance(120)
    assert [line["job_id"] for line in lines if line["event"] == "job unreadable"] == [str(job.id)]
    assert len(node.runs(other)) == 2
    assert node.runs(job) == []

    node.scheduler.calendars.create(WEEKEND)
    node.advance(120)
    assert [run.state for run in node.runs(job)][:2] == [RunState.MISSED, RunState.SUCCEEDED]


def test_a_job_that_is_written_is_not_refused_because_the_calendars_cannot_be_read_again(
    node: Node, chaos: Interference
) -> None:
    chaos.before["job"] = once(_away)

    job = node.add(
        cron_expression="0 9 * * *", exclude_calendars=("weekend",), on_excluded=OnExcluded.NEXT_BUSINESS_DAY
    )

    assert node.job(job) == job


def _away() -> None:
    raise StoreUnavailable("away")


BROKEN = ['["soon"]', "null", "7"]


@pytest.mark.parametrize("dates", BROKEN)
def test_a_calendar_that_cannot_be_read_holds_only_the_jobs_that_list_it(
    node: Node, chaos: Interference, dates: str
) -> None:
    held = node.add(interval_seconds=10.0, exclude_calendars=("weekend",))
    other = node.add(interval_seconds=10.0)
    with chaos.real._transactions.writing_database.begin() as connection:
        connection.execute(text("UPDATE calendars SET dates = :dates"), {"dates": dates})

    with capture_logs() as lines:
        node.advance(10)

    assert [run.state for run in node.runs(other)] == [RunState.SUCCEEDED]
    assert node.runs(held) == []
    assert "calendar unreadable" in {line["event"] for line in lines}
    assert node.scheduler.pause_job(held.id).status is JobStatus.PAUSED
    node.scheduler.delete_job(held.id)


def test_a_job_whose_list_of_calendars_cannot_be_read_holds_no_other(node: Node, chaos: Interference) -> None:
    held, other = node.add(interval_seconds=10.0), node.add(interval_seconds=10.0)
    with chaos.real._transactions.writing_database.begin() as connection:
        change = text("UPDATE jobs SET exclude_calendars = :listed WHERE id = :id")
        connection.execute(change, {"listed": '[["off"]]', "id": held.id.hex})

    node.advance(10)

    assert [run.state for run in node.runs(other)] == [RunState.SUCCEEDED]
    assert node.runs(held) == []


def test_a_job_whose_calendar_was_deleted_by_hand_can_be_changed_and_paused(node: Node, chaos: Interference) -> None:
    job = node.add(cron_expression="0 9 * * *", exclude_calendars=("weekend",))
    with chaos.real._transactions.writing_database.begin() as connection:
        connection.execute(text("DELETE FROM calendars"))

    assert node.scheduler.change_job(job.id, JobChange(name="another")).name == "another"
    assert node.scheduler.pause_job(job.id).status is JobStatus.PAUSED
    assert node.scheduler.change_job(job.id, JobChange(timing={"exclude_calendars": ()})).timing.exclude_calendars == ()


def test_a_job_that_cannot_be_looked_up_again_does_not_keep_the_others_from_a_changed_calendar(
    node: Node, chaos: Interference
) -> None:
    odd = node.add(cron_expression="0 9 * * *", exclude_calendars=("weekend",), timezone="Europe/Berlin")
    moving = node.add(
        cron_expression="0 9 * * 6", exclude_calendars=("weekend",), on_excluded=OnExcluded.NEXT_BUSINESS_DAY
    )
    with chaos.real._transactions.writing_database.begin() as connection:
        connection.execute(text("UPDATE jobs SET timezone = 'Nowhere/Land' WHERE id = :id"), {"id": odd.id.hex})
    node.advance((SATURDAY - NOON).total_seconds())

    node.scheduler.calendars.replace(draft("weekend", weekdays=[Weekday.SATURDAY, Weekday.SUNDAY, Weekday.MONDAY]))

    assert node.job(moving).next_run_at == TUESDAY
