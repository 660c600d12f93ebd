"""What a schedule will do, shown before it does: unsaved ones, jobs, and what a request would make of a job."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from engine.calendars import Weekday
from engine.errors import InvalidSchedule, InvalidStatus, JobNotFound, SchedulerError, UnknownCalendar, UnknownFunction
from engine.limits import DEFAULT_PREVIEWED_SLOTS, MAX_PREVIEWED_SLOTS
from engine.nouns import Job, JobStatus
from engine.preview import DstNote, Preview
from engine.requests import CalendarDraft, JobChange, JobDraft
from engine.timing import DstGap, DstOverlap, OnExcluded, Timing
from tests.factories import make_timing
from tests.fakes import NOON, Node

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MOVING: dict[str, Any] = {"exclude_calendars": ("weekend",), "on_excluded": OnExcluded.NEXT_BUSINESS_DAY}


def of_timing(node: Node, *, after: datetime | None = None, count: int = 10, **fields: Any) -> Preview:
    return node.scheduler.forecast.of_timing(make_timing(fields), after=after, count=count)


def at(preview: Preview) -> list[datetime]:
    return [slot.at for slot in preview.slots]


def draft(**overrides: Any) -> JobDraft:
    """Every 10 seconds, calling `note`."""
    fields: dict[str, Any] = {
        "name": "a job",
        "function_name": "note",
        "timing": make_timing(overrides, interval_seconds=10.0),
        "metadata": {},
    }
    return JobDraft(**(fields | overrides))


@pytest.fixture
def weekend(node: Node) -> None:
    weekdays = frozenset({Weekday.SATURDAY, Weekday.SUNDAY})
    node.scheduler.calendars.create(CalendarDraft("weekend", frozenset(), weekdays))


# --- Of an unsaved schedule -----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 7, MAX_PREVIEWED_SLOTS])
def test_as_many_slots_are_shown_as_are_asked_for(node: Node, count: int) -> None:
    preview = of_timing(node, cron_expression="* * * * *", count=count)

    assert at(preview) == [NOON + number * MINUTE for number in range(1, count + 1)]


def test_slots_are_shown_after_an_instant_or_after_now(node: Node) -> None:
    after = datetime.fromisoformat("2030-05-01T00:00:00Z")

    assert at(of_timing(node, cron_expression="0 9 * * *", count=1)) == [NOON + 21 * HOUR]
    assert at(of_timing(node, cron_expression="0 9 * * *", after=after, count=1)) == [after + 9 * HOUR]
    assert at(of_timing(node, cron_expression="0 9 * * *", after=after + 9 * HOUR, count=1)) == [after + 33 * HOUR]


def test_an_interval_is_shown_as_of_a_job_that_is_created_then(node: Node) -> None:
    assert at(of_timing(node, interval_seconds=90.0, count=2)) == [NOON + 1.5 * MINUTE, NOON + 3 * MINUTE]
    assert at(of_timing(node, interval_seconds=90.0, after=NOON + DAY, count=1)) == [NOON + DAY + 1.5 * MINUTE]
    start_at = NOON + DAY + timedelta(seconds=1)
    assert at(of_timing(node, interval_seconds=90.0, start_at=start_at, count=1)) == [start_at]


def test_a_slot_is_shown_in_utc_and_as_its_zone_has_it(node: Node) -> None:
    (slot,) = of_timing(node, cron_expression="0 9 * 7 *", timezone="Asia/Kathmandu", count=1).slots

    assert slot.at.isoformat() == "2026-07-01T03:15:00+00:00"
    assert slot.local.isoformat() == "2026-07-01T09:00:00+05:45"
    assert (slot.dst, slot.excluded_by, slot.moved_from) == (None, None, None)


def test_a_schedule_that_ends_is_shown_to_its_end(node: Node) -> None:
    assert at(of_timing(node, run_at=NOON + HOUR)) == [NOON + HOUR]
    assert at(of_timing(node, cron_expression="* * * * *", end_at=NOON + 3 * MINUTE)) == [
        NOON + number * MINUTE for number in (1, 2, 3)
    ]


def test_of_a_number_of_runs_no_more_slots_are_shown(node: Node) -> None:
    assert at(of_timing(node, interval_seconds=60.0, max_runs=3)) == [NOON + number * MINUTE for number in (1, 2, 3)]
    assert len(at(of_timing(node, interval_seconds=60.0, max_runs=3, count=2))) == 2


@pytest.mark.usefixtures("weekend")
def test_excluded_slots_are_shown_with_their_calendar_and_do_not_count_as_runs(node: Node) -> None:
    preview = of_timing(node, cron_expression="0 9 * * *", max_runs=2, exclude_calendars=("weekend",))

    # The first of January 2026 is a Thursday.
    assert [(slot.at - NOON, slot.excluded_by) for slot in preview.slots] == [
        (21 * HOUR, None),
        (21 * HOUR + DAY, "weekend"),
        (21 * HOUR + 2 * DAY, "weekend"),
        (21 * HOUR + 3 * DAY, None),
    ]


@pytest.mark.usefixtures("weekend")
def test_a_moved_slot_is_shown_beside_the_one_it_comes_from(node: Node) -> None:
    preview = of_timing(node, cron_expression="0 9 3 * *", timezone="Europe/Berlin", count=3, **MOVING)

    saturday = datetime.fromisoformat("2026-01-03T08:00:00Z")
    assert [(slot.at, slot.excluded_by, slot.moved_from) for slot in preview.slots] == [
        (saturday, "weekend", None),
        (saturday + 2 * DAY, None, saturday),
        (datetime.fromisoformat("2026-02-03T08:00:00Z"), None, None),
    ]


@pytest.mark.parametrize(
    ("expression", "fields", "notes"),
    [
        pytest.param("30 2 28 3 *", {}, [DstNote.AFTER_GAP], id="a time that the gap swallows"),
        pytest.param("0 3 28 3 *", {}, [None], id="the first time after the gap"),
        pytest.param("30 2,3 28 3 *", {}, [DstNote.AFTER_GAP, None], id="a swallowed time and one after the gap"),
        pytest.param("0,30 2,3 28 3 *", {}, [None, None], id="swallowed times that meet an ordinary one"),
        pytest.param("30 2 28 3 *", {"dst_gap": DstGap.SKIP}, [], id="a swallowed time that is skipped"),
        pytest.param("30 2 31 10 *", {}, [DstNote.FIRST_PASS], id="a time that is twice"),
        pytest.param(
            "30 2 31 10 *",
            {"dst_overlap": DstOverlap.BOTH},
            [DstNote.FIRST_PASS, DstNote.SECOND_PASS],
            id="a time that is twice and runs in both",
        ),
        pytest.param(
            "*/30 2 31 10 *",
            {},
            [DstNote.FIRST_PASS, DstNote.FIRST_PASS, DstNote.SECOND_PASS, DstNote.SECOND_PASS],
            id="elapsed time",
        ),
        pytest.param("0 1,3 31 10 *", {}, [None, None], id="times beside the overlap"),
    ],
)
def test_what_daylight_saving_makes_of_a_slot_is_noted(
    node: Node, expression: str, fields: dict[str, Any], notes: list[DstNote | None]
) -> None:
    preview = of_timing(
        node,
        cron_expression=expression,
        timezone="Europe/Berlin",
        after=datetime.fromisoformat("2027-01-01T00:00:00Z"),
        end_at=datetime.fromisoformat("2027-12-31T00:00:00Z"),
        **fields,
    )

    assert [slot.dst for slot in preview.slots] == notes


def test_an_interval_has_notes_too(node: Node) -> None:
    after = datetime.fromisoformat("2027-10-30T23:30:00Z")

    preview = of_timing(node, interval_seconds=3_600.0, timezone="Europe/Berlin", after=after, count=3)

    assert [slot.dst for slot in preview.slots] == [DstNote.FIRST_PASS, DstNote.SECOND_PASS, None]


def test_the_slots_of_a_job_with_this_id_are_shown_where_they_differ_from_job_to_job(node: Node) -> None:
    timing = Timing(cron_expression="H H * * *", jitter_seconds=50.0)
    job = node.add(cron_expression="H H * * *", jitter_seconds=50.0)

    shown = node.scheduler.forecast.of_timing(timing, after=NOON, count=1, job_id=job.id)

    assert at(shown) == [node.job(job).next_run_at]
    assert at(shown) != at(node.scheduler.forecast.of_timing(timing, after=NOON, count=1, job_id=uuid4()))


@pytest.mark.parametrize(
    "fields",
    [
        {"cron_expression": "0 0 31 2 *"},
        {"run_at": NOON},
        {"interval_seconds": 60.0, "end_at": NOON - DAY},
        {"interval_seconds": 1e15},
        {"cron_expression": "0 9 * * *", "start_at": NOON, "end_at": NOON + MINUTE},
    ],
)
def test_an_unsaved_schedule_that_never_fires_is_shown_with_a_warning(node: Node, fields: dict[str, Any]) -> None:
    preview = of_timing(node, **fields)

    assert preview.slots == ()
    assert preview.description
    assert preview.warnings


@pytest.mark.parametrize(
    "fields",
    [
        {"cron_expression": "61 * * * *"},
        {"interval_seconds": 0.01},
        {"interval_seconds": 60.0, "timezone": "Mars"},
        {"interval_seconds": 60.0, "exclude_calendars": ("moon",)},
        {"interval_seconds": 60.0, "start_at": NOON + DAY, "end_at": NOON},
        {"interval_seconds": 60.0, "run_at": NOON + DAY},
    ],
)
def test_an_unsaved_schedule_that_cannot_be_read_is_refused(node: Node, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        of_timing(node, **fields)

    with pytest.raises(InvalidSchedule) as refused:
        node.add(**fields)
    assert (refusal.value.field, str(refusal.value)) == (refused.value.field, str(refused.value))


def test_a_preview_has_a_sentence(node: Node) -> None:
    assert of_timing(node, cron_expression="0 9 * * 1").description.endswith(".")


# --- Of a job -------------------------------------------------------------------------------------------


def of_job(node: Node, job: Job, *, count: int = 3) -> list[timedelta]:
    """The next slots of a job, as of noon."""
    return [slot - NOON for slot in at(node.scheduler.forecast.of_job(job.id, count=count))]


def seconds(*values: float) -> list[timedelta]:
    return [timedelta(seconds=value) for value in values]


def test_a_job_is_shown_from_its_next_slot_on(node: Node) -> None:
    job = node.add()
    node.advance(25)

    assert of_job(node, job) == seconds(30, 40, 50)


def test_a_slot_that_is_due_and_not_claimed_is_shown_first(node: Node) -> None:
    job = node.add()
    node.settle()
    node.clock.step_wall(14)

    assert of_job(node, job) == seconds(10, 20, 30)


def test_a_paused_job_is_shown_as_if_it_were_resumed_now(node: Node) -> None:
    job = node.add(status=JobStatus.PAUSED)
    node.advance(25)

    assert of_job(node, job) == seconds(30, 40, 50)
    resumed = node.scheduler.resume_job(job.id)
    assert resumed.next_run_at == NOON + timedelta(seconds=30)


def test_a_paused_job_is_not_shown_with_slots_that_it_has_had_already(node: Node) -> None:
    job = node.add()
    node.advance(30)
    node.step_wall(-25)
    node.scheduler.pause_job(job.id)

    shown = of_job(node, job)

    assert node.scheduler.resume_job(job.id).next_run_at == NOON + shown[0]


def test_a_completed_job_has_nothing_to_show(node: Node) -> None:
    one_shot, counted = node.add(run_at=NOON + timedelta(seconds=5)), node.add(max_runs=1)
    node.advance(60)

    for job in (one_shot, counted):
        assert node.job(job).status is JobStatus.COMPLETED
        preview = node.scheduler.forecast.of_job(job.id, count=10)
        assert (preview.slots, bool(preview.description)) == ((), True)


def test_of_a_job_with_a_number_of_runs_those_left_are_shown(node: Node) -> None:
    job = node.add(max_runs=3)
    assert of_job(node, job, count=10) == seconds(10, 20, 30)
    node.advance(10)

    assert of_job(node, job, count=10) == seconds(20, 30)


def test_a_failed_job_is_shown_like_an_active_one(node: Node) -> None:
    def fail(job_id: str) -> None:
        raise ValueError(job_id)

    node.functions.register("fail", fail)
    job = node.add(function_name="fail")
    node.advance(10)
    assert node.job(job).status is JobStatus.FAILED

    assert of_job(node, job) == seconds(20, 30, 40)


def test_the_slots_shown_are_those_that_run(node: Node) -> None:
    fields = {"jitter_seconds": 40.0, "start_at": NOON + timedelta(seconds=100), "end_at": NOON + 10 * MINUTE}
    job = node.add(interval_seconds=60.0, max_runs=7, **fields)
    shown = at(node.scheduler.forecast.of_job(job.id, count=100))

    node.advance(20 * 60)

    assert len(shown) == 7
    assert [run.scheduled_for for run in node.runs(job)] == shown
    assert [called_at for _, called_at in node.calls] == shown


@pytest.mark.usefixtures("weekend")
def test_the_exclusions_and_moves_shown_are_those_that_happen(node: Node) -> None:
    job = node.add(cron_expression="0 9,18 * * 5,6", **MOVING)
    shown = node.scheduler.forecast.of_job(job.id, count=8)

    node.advance(8 * 86_400)

    assert [(run.scheduled_for, run.state == "skipped") for run in node.runs(job)] == [
        (slot.at, slot.excluded_by is not None) for slot in shown.slots[: len(node.runs(job))]
    ]
    assert len(node.runs(job)) == 7


def test_an_unknown_job_has_no_forecast(node: Node) -> None:
    with pytest.raises(JobNotFound):
        node.scheduler.forecast.of_job(uuid4(), count=1)


# --- Of what a request would make of a job --------------------------------------------------------------


def everything(node: Node) -> tuple[Any, ...]:
    """All that a trace could be left in."""
    store = node.store
    return (
        store.views.jobs_page(after=None, limit=100),
        node.runs(),
        store.views.all_calendars(),
        list(node._agenda._heap.hints()),
    )


def test_a_dry_run_shows_what_the_request_would_make_and_leaves_no_trace(node: Node) -> None:
    forecast = node.scheduler.forecast
    job = node.add()
    node.advance(10)
    before = everything(node)

    created = forecast.of_creation(draft(interval_seconds=60.0))
    replaced = forecast.of_replacement(job.id, draft(interval_seconds=70.0))
    changed = forecast.of_change(job.id, JobChange(timing={"interval_seconds": 80.0}))
    renamed = forecast.of_change(job.id, JobChange(name="renamed"))

    now = NOON + timedelta(seconds=10)
    assert [at(each)[0] - now for each in (created, replaced, changed, renamed)] == seconds(60, 70, 80, 10)
    assert {len(each.slots) for each in (created, replaced, changed, renamed)} == {DEFAULT_PREVIEWED_SLOTS}
    assert everything(node) == before


def test_a_dry_run_of_a_change_keeps_what_is_not_named(node: Node) -> None:
    job = node.add(interval_seconds=60.0, max_runs=3, timezone="Europe/Berlin")

    preview = node.scheduler.forecast.of_change(job.id, JobChange(timing={"max_runs": 2}))

    assert at(preview) == [NOON + MINUTE, NOON + 2 * MINUTE]
    assert {str(slot.local.tzinfo) for slot in preview.slots} == {"Europe/Berlin"}


def test_a_dry_run_for_a_paused_job_shows_it_as_if_it_were_resumed(node: Node) -> None:
    assert at(node.scheduler.forecast.of_creation(draft(status=JobStatus.PAUSED)))[0] == NOON + timedelta(seconds=10)


def test_a_dry_run_of_a_repeated_put_of_a_one_shot_shows_that_nothing_will_run(node: Node) -> None:
    job = node.add(run_at=NOON + MINUTE)
    node.advance(120)

    assert node.scheduler.forecast.of_replacement(job.id, draft(run_at=NOON + MINUTE)).slots == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"cron_expression": "H H * * *"},
        {"cron_expression": "0 9 * * *", "jitter_seconds": 86_400.0},
        {"run_at": NOON + DAY, "jitter_seconds": 3_600.0},
    ],
)
def test_a_dry_run_of_a_creation_begins_with_the_first_slot_whatever_id_the_job_will_get(
    node: Node, fields: dict[str, Any]
) -> None:
    wanted = at(of_timing(node, **fields))

    assert wanted
    for _ in range(20):
        assert at(node.scheduler.forecast.of_creation(draft(**fields))) == wanted


REFUSED: list[tuple[dict[str, Any], type[SchedulerError]]] = [
    ({"function_name": "nobody"}, UnknownFunction),
    ({"cron_expression": "61 * * * *"}, InvalidSchedule),
    ({"cron_expression": "0 0 31 2 *"}, InvalidSchedule),
    ({"run_at": NOON}, InvalidSchedule),
    ({"end_at": NOON}, InvalidSchedule),
    ({"timing": Timing()}, InvalidSchedule),
    ({"timezone": "Mars"}, InvalidSchedule),
    ({"exclude_calendars": ("moon",)}, UnknownCalendar),
    ({"status": JobStatus.FAILED}, InvalidStatus),
]


@pytest.mark.parametrize(("fields", "error"), REFUSED)
def test_a_dry_run_refuses_what_the_request_would_be_refused_for(
    node: Node, fields: dict[str, Any], error: type[SchedulerError]
) -> None:
    scheduler, job = node.scheduler, node.add()
    before = everything(node)

    def both(dry: Callable[[], object], real: Callable[[], object]) -> None:
        with pytest.raises(error) as refused:
            real()
        with pytest.raises(error) as refusal:
            dry()
        assert str(refusal.value) == str(refused.value)

    both(lambda: scheduler.forecast.of_creation(draft(**fields)), lambda: scheduler.create_job(draft(**fields)))
    both(
        lambda: scheduler.forecast.of_replacement(job.id, draft(**fields)),
        lambda: scheduler.replace_job(job.id, draft(**fields)),
    )
    if "timing" not in fields:
        both(
            lambda: scheduler.forecast.of_change(job.id, change_of(**fields)),
            lambda: scheduler.change_job(job.id, change_of(**fields)),
        )
    assert everything(node) == before


def change_of(function_name: str | None = None, status: JobStatus | None = None, **timing: Any) -> JobChange:
    return JobChange(function_name=function_name, status=status, timing=timing)


def test_a_dry_run_for_a_job_that_is_not_there_is_refused(node: Node) -> None:
    nobody: UUID = uuid4()
    with pytest.raises(JobNotFound):
        node.scheduler.forecast.of_replacement(nobody, draft())
    with pytest.raises(JobNotFound):
        node.scheduler.forecast.of_change(nobody, JobChange())


@pytest.mark.usefixtures("weekend")
def test_a_dry_run_goes_by_the_calendars_as_they_are(node: Node) -> None:
    node.scheduler.calendars.create(CalendarDraft("feasts", frozenset({date(2026, 1, 2)}), frozenset()))
    fields = MOVING | {"exclude_calendars": ("weekend", "feasts")}

    preview = node.scheduler.forecast.of_creation(draft(run_at=NOON + DAY, **fields))

    assert [(slot.at, slot.excluded_by) for slot in preview.slots] == [
        (NOON + DAY, "feasts"),
        (NOON + 4 * DAY, None),
    ]
