"""What a start looks up again: next runs that another tz database, or a calendar, has put elsewhere meanwhile."""

import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, _common, _tzpath

import pytest
from structlog.testing import capture_logs

from engine import zones
from engine.calendars import Weekday
from engine.errors import StoreUnavailable
from engine.nouns import Job, JobStatus
from engine.requests import CalendarDraft
from engine.timing import OnExcluded
from store import SqlStore
from tests.engine.interference import Interference, away, once
from tests.fakes import NOON, Node, running

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BERLIN = "Europe/Berlin"
ISLAND = "Pacific/Nowhere"
"""A zone that only a tz database made here knows."""

Make = Callable[[str, str | None], None]


def rules_of(zone: str) -> bytes:
    path = _tzpath.find_tzfile(zone)
    with _common.load_tzdata(zone) if path is None else open(path, "rb") as file:  # noqa: PTH123 - either opens
        return file.read()


def forget_zones() -> None:
    """What a new process does not know yet."""
    ZoneInfo.clear_cache()
    zones.zone_names.cache_clear()
    zones._pieces.cache_clear()


@pytest.fixture
def make_like(tmp_path: Path) -> Iterator[Make]:
    """Gives a zone the rules of another one, or takes it away: as another tz database, from the next start on."""
    rules = {zone: rules_of(zone) for zone in ("Europe/Helsinki", "Europe/London", BERLIN, "Asia/Tokyo")}

    def make(zone: str, like: str | None) -> None:
        file = tmp_path / "zoneinfo" / zone
        file.parent.mkdir(parents=True, exist_ok=True)
        if like is None:
            file.unlink()
        else:
            file.write_bytes(rules[like])
        zoneinfo.reset_tzpath([tmp_path / "zoneinfo"])
        forget_zones()

    yield make
    zoneinfo.reset_tzpath()
    forget_zones()


def nine_in_berlin(node: Node, **overrides: Any) -> Job:
    return node.add(**({"cron_expression": "0 9 * * *", "timezone": BERLIN} | overrides))


def restarted(node: Node) -> Node:
    """Another process, on the same store and at the same time."""
    return Node(node.store, node.clock)


def day(number: int, hour: float) -> datetime:
    """Of January 2026, in UTC. It is noon on the first when a test begins."""
    return datetime(2026, 1, number, tzinfo=UTC) + hour * HOUR


def moved(lines: list[Any]) -> list[dict[str, Any]]:
    names = ("job_id", "old", "new")
    return [{name: line[name] for name in names} for line in lines if line["event"] == "next run moved"]


def test_a_changed_tz_database_moves_the_next_run_and_leaves_history_alone(store: SqlStore, make_like: Make) -> None:
    first = Node(store)
    with running(first):
        job = nine_in_berlin(first)
        first.advance(86_400)
    history = first.runs(job)
    assert first.job(job).next_run_at == day(3, 8)

    make_like(BERLIN, "Europe/Helsinki")
    second = restarted(first)
    with capture_logs() as lines, running(second):
        assert second.job(job).next_run_at == day(3, 7)
        assert second.runs(job) == history
        second.advance(86_400)

    assert moved(lines) == [{"job_id": str(job.id), "old": "2026-01-03T08:00:00Z", "new": "2026-01-03T07:00:00Z"}]
    (started,) = [line for line in lines if line["event"] == "scheduler started"]
    assert started["next_runs_moved"] == 1
    assert [run.scheduled_for for run in second.runs(job)] == [day(2, 8), day(3, 7)]
    assert second.runs(job)[:1] == history


def test_a_start_on_the_same_tz_database_moves_nothing(store: SqlStore) -> None:
    first = Node(store)
    with running(first):
        jobs = [
            nine_in_berlin(first),
            nine_in_berlin(first, jitter_seconds=600.0),
            nine_in_berlin(first, cron_expression="H H * * *"),
            nine_in_berlin(first, start_at=day(5, 0)),
            first.add(cron_expression="*/7 * * * *", timezone="America/St_Johns"),
        ]
        first.advance(3_000)
    before = [first.job(job) for job in jobs]

    second = restarted(first)
    with capture_logs() as lines, running(second):
        assert [second.job(job) for job in jobs] == before

    assert moved(lines) == []


def test_only_jobs_that_go_by_the_changed_rules_are_moved(store: SqlStore, make_like: Make) -> None:
    first = Node(store)
    with running(first):
        unmoved = [
            first.add(cron_expression="0 9 * * *"),
            first.add(interval_seconds=3_600.0, timezone=BERLIN),
            first.add(run_at=day(3, 8), timezone=BERLIN),
            nine_in_berlin(first, cron_expression="*/5 * * * *"),
            nine_in_berlin(first, timezone="America/New_York"),
            nine_in_berlin(first, status=JobStatus.PAUSED),
        ]
        job = nine_in_berlin(first)
    before = [first.job(each) for each in unmoved]

    make_like(BERLIN, "Europe/London")
    second = restarted(first)
    with running(second):
        assert [second.job(each) for each in unmoved] == before
        assert second.job(job).next_run_at == day(2, 9)
        paused = unmoved[-1]
        assert second.scheduler.resume_job(paused.id).next_run_at == day(2, 9)


@pytest.mark.parametrize(
    ("like", "restart", "slots"),
    [
        pytest.param("Europe/Helsinki", day(2, 7.5), [day(2, 7), day(3, 7)], id="what is due by the new rules runs"),
        pytest.param("Europe/London", day(2, 8.5), [day(2, 9), day(3, 9)], id="what is not due any more waits"),
        pytest.param("Europe/London", day(2, 9.5), [day(2, 9), day(3, 9)], id="what is due by both is due by the new"),
        pytest.param("Asia/Tokyo", day(2, 0.5), [day(2, 0), day(3, 0)], id="hours earlier"),
    ],
)
def test_a_slot_that_came_due_during_downtime_goes_by_the_new_rules(
    store: SqlStore, make_like: Make, like: str, restart: datetime, slots: list[datetime]
) -> None:
    first = Node(store)
    with running(first):
        job = nine_in_berlin(first)
    first.clock.step_wall((restart - NOON).total_seconds())

    make_like(BERLIN, like)
    second = restarted(first)
    with running(second):
        second.advance((day(3, 10) - restart).total_seconds())

    assert [(run.scheduled_for, run.state.value) for run in second.runs(job)] == [(slot, "succeeded") for slot in slots]


def test_a_slot_that_was_claimed_is_not_claimed_again_by_the_new_rules(store: SqlStore, make_like: Make) -> None:
    first = Node(store)
    with running(first):
        job = nine_in_berlin(first)
        first.advance((day(2, 8) - NOON).total_seconds())
    assert len(first.runs(job)) == 1

    # By these, today's nine o'clock was an hour ago.
    make_like(BERLIN, "Europe/Helsinki")
    second = restarted(first)
    with running(second):
        second.advance(12 * 3_600)
        assert second.job(job).next_run_at == day(3, 7)

    assert len(second.runs(job)) == 1


def test_a_zone_that_is_gone_costs_no_other_job_its_runs_and_no_job_is_lost(store: SqlStore, make_like: Make) -> None:
    make_like(ISLAND, "Asia/Tokyo")
    first = Node(store)
    with running(first):
        job = first.add(cron_expression="2 21 * * *", timezone=ISLAND)
        other = first.add(cron_expression="5 13 * * *", timezone=BERLIN)
    before = first.job(job)

    make_like(ISLAND, None)
    second = restarted(first)
    with capture_logs() as lines, running(second):
        second.advance(600)
        assert second.job(job) == before
        assert [run.state.value for run in second.runs(other)] == ["succeeded"]
    # At the start, though it is not due, and when it is.
    at_start, when_due = [line for line in lines if line["event"] == "job unreadable"]
    assert at_start["job_id"] == when_due["job_id"] == str(job.id)
    assert f'timezone "{ISLAND}" is not known' in at_start["error"]

    make_like(ISLAND, "Asia/Tokyo")
    third = restarted(second)
    with running(third):
        third.advance(60)
    assert [(run.scheduled_for, run.state.value) for run in third.runs(job)] == [
        (NOON + timedelta(minutes=2), "succeeded")
    ]


def test_a_calendar_whose_change_was_not_told_to_its_jobs_is_told_at_the_next_start(store: SqlStore) -> None:
    chaos = Interference(store)
    first = Node(chaos)
    with running(first):
        first.scheduler.calendars.create(CalendarDraft("off", frozenset(), frozenset({Weekday.SATURDAY})))
        job = first.add(
            cron_expression="0 9 * * 6", exclude_calendars=("off",), on_excluded=OnExcluded.NEXT_BUSINESS_DAY
        )
        first.advance(2 * 86_400)
        assert first.job(job).next_run_at == day(4, 9)
        chaos.after["replace_calendar"] = once(away)
        with pytest.raises(StoreUnavailable):
            first.scheduler.calendars.replace(
                CalendarDraft("off", frozenset(), frozenset({Weekday.SATURDAY, Weekday.SUNDAY}))
            )
        assert first.job(job).next_run_at == day(4, 9)

    second = restarted(first)
    with capture_logs() as lines, running(second):
        assert second.job(job).next_run_at == day(5, 9)

    assert moved(lines) == [{"job_id": str(job.id), "old": "2026-01-04T09:00:00Z", "new": "2026-01-05T09:00:00Z"}]


def test_a_job_that_the_new_rules_leave_without_a_slot_is_completed(store: SqlStore, make_like: Make) -> None:
    first = Node(store)
    with running(first):
        job = nine_in_berlin(first, end_at=day(2, 8.5))

    make_like(BERLIN, "Europe/London")
    second = restarted(first)
    with capture_logs() as lines, running(second):
        assert (second.job(job).status, second.job(job).next_run_at) == (JobStatus.COMPLETED, None)
        second.advance(86_400)

    assert moved(lines) == [{"job_id": str(job.id), "old": "2026-01-02T08:00:00Z", "new": None}]
    assert second.runs(job) == []
