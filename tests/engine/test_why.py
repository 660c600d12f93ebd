"""What became of an instant: each answer from the evidence that leads to it, and from a node that made the evidence."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calendars import Weekday
from engine.errors import JobNotFound
from engine.nouns import Attempt, Job, JobStatus, Pause, Run, RunError, RunState, Trigger
from engine.past import Around, KeptPause, Uptime
from engine.policies import OverlapPolicy, Policies
from engine.reason_codes import ReasonCode, calendar_and_target, day_off_reason, run_in_the_way
from engine.requests import CalendarDraft, JobChange
from engine.slots import schedule_of
from engine.timing import OnExcluded
from engine.why import Answer, Explanation
from engine.why.explaining import explain
from engine.why.values import Evidence, Moment
from engine.why.wording import span
from store import SqlStore
from tests.factories import make_job, make_run
from tests.fakes import NOON, Latch, Node, running

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
NODE, OTHER = UUID(int=1), UUID(int=2)
NOBODY_ELSE = (Uptime(NODE, NOON, NOON),)


def at(minutes: float) -> datetime:
    return NOON + minutes * MINUTE


def job_since_noon(**overrides: Any) -> Job:
    """Every minute, created at noon."""
    described = {"anchor_at": NOON, "created_at": NOON, "updated_at": NOON, "timing_since": NOON, "next_run_at": at(60)}
    return make_job(**(described | overrides))


def asked(
    minutes: float,
    *rows: Run,
    job: Job | None = None,
    now: float = 59.5,
    pauses: Iterable[KeptPause] = (),
    uptimes: tuple[Uptime, ...] = NOBODY_ELSE,
    is_deleted: bool = False,
) -> Explanation:
    """The explanation, from rows as the store would find them."""
    job = job or job_since_noon()
    schedule = schedule_of(job, {})
    instant = at(minutes)
    is_slot = not is_deleted and instant > (job.timing_since or NOON) and schedule.latest_until(instant) == instant
    end = instant + (timedelta(microseconds=1) if instant.microsecond else SECOND)
    slots = [row for row in rows if row.trigger is Trigger.SCHEDULE]
    around = Around(
        within=tuple(row for row in rows if instant <= row.scheduled_for < end),
        before=tuple(row for row in reversed(slots) if row.scheduled_for < instant),
        after=tuple(row for row in slots if row.scheduled_for >= end),
    )
    return explain(
        Evidence(
            moment=Moment(instant, end, instant if is_slot else None),
            now=at(now),
            node=NODE,
            job=None if is_deleted else job,
            schedule=None if is_deleted else schedule,
            schedule_since=None if is_deleted else job.timing_since,
            around=around,
            pauses=tuple(pauses),
            uptimes=uptimes,
        )
    )


def row(minutes: float, state: RunState = RunState.SUCCEEDED, **overrides: Any) -> Run:
    slot = at(minutes)
    is_called = state not in {RunState.SKIPPED, RunState.MISSED}
    facts = {
        "scheduled_for": slot,
        "state": state,
        "started_at": slot if is_called else None,
        "finished_at": slot + SECOND,
        "lateness_ms": 0.0 if is_called else None,
    }
    return make_run(**(facts | overrides))


def stretch(first: float, last: float, code: ReasonCode = ReasonCode.MISFIRE, **overrides: Any) -> Run:
    facts = {
        "slot_count": round(last - first) + 1,
        "last_scheduled_for": at(last),
        "finished_at": at(last + 0.5),
        "reason": "late by more than the grace of 5 s or not running: only the latest slot runs",
        "reason_code": code,
    }
    return row(first, RunState.MISSED, **(facts | overrides))


BLOCKER = UUID("11111111-1111-4111-8111-111111111111")

ROWS = [
    (row(7, duration_ms=1_500.0), Answer.RAN, "It ran, started at 2026-01-01T12:07:00Z, and succeeded after 1.5 s."),
    (
        row(7, RunState.FAILED, error=RunError("ValueError", "no", ""), lateness_ms=2_000.0),
        Answer.RAN,
        "It ran, started at 2026-01-01T12:07:00Z, 2 s late, and failed (ValueError).",
    ),
    (
        row(7, attempt=2, earlier_attempts=(Attempt(1, RunState.FAILED, at(7), error_type="KeyError"),)),
        Answer.RAN,
        "It ran, started at 2026-01-01T12:07:00Z; attempt 1 failed (KeyError); attempt 2 succeeded.",
    ),
    (row(7, RunState.LOST, reason="gone"), Answer.RAN, "It ran, started at 2026-01-01T12:07:00Z, and was lost: gone."),
    (row(7, RunState.TIMED_OUT), Answer.RAN, "It ran, started at 2026-01-01T12:07:00Z, and timed out."),
    (row(7, RunState.RUNNING), Answer.RUNNING, "It is running since 2026-01-01T12:07:00Z."),
    (
        row(7, RunState.QUEUED, reason=f"run {BLOCKER} of this job is still running"),
        Answer.WAITING,
        f"It waits for its turn: run {BLOCKER} of this job is still running.",
    ),
    (row(7, RunState.RETRYING, reason="soon"), Answer.WAITING, "It waits for its next attempt: soon."),
    (row(7, RunState.CANCELLED, reason="by request"), Answer.CANCELLED, "It was cancelled: by request."),
    (
        row(7, RunState.SKIPPED, reason=f"run {BLOCKER} of this job is still running", reason_code=ReasonCode.OVERLAP),
        Answer.SKIPPED_OVERLAP,
        f"It was skipped: run {BLOCKER} of this job is still running.",
    ),
    (
        row(7, RunState.SKIPPED, reason=day_off_reason("berlin"), reason_code=ReasonCode.DAY_OFF),
        Answer.SKIPPED_DAY_OFF,
        "It was skipped: excluded by calendar berlin.",
    ),
    (
        row(7, RunState.SKIPPED, reason="function f is not registered", reason_code=ReasonCode.ORPHANED),
        Answer.SKIPPED_ORPHANED,
        "It was skipped: function f is not registered.",
    ),
    (
        row(7, RunState.SKIPPED, reason="the scheduler stopped", reason_code=ReasonCode.STOPPED),
        Answer.SKIPPED,
        "It was skipped: the scheduler stopped.",
    ),
    (row(7, RunState.SKIPPED, reason="of release 2"), Answer.SKIPPED, "It was skipped: of release 2."),
    (
        row(7, RunState.MISSED, reason="the job was edited before", reason_code=ReasonCode.EDITED),
        Answer.SKIPPED,
        "It did not run: the job was edited before.",
    ),
    (
        row(7, RunState.MISSED, reason="too late", reason_code=ReasonCode.MISFIRE),
        Answer.MISSED_MISFIRE,
        "It was missed: it was 1 s late when it was looked at: too late.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("run", "answer", "sentence"), ROWS)
def test_the_row_of_a_slot_says_what_became_of_it(run: Run, answer: Answer, sentence: str) -> None:
    said = asked(7, row(6), run, row(8))
    assert (said.answer, said.sentence, said.run) == (answer, sentence, run)
    assert (said.before, said.after) == (at(6), at(8))
    assert said.facts["slot"] == at(7)


def test_the_run_in_the_way_and_the_calendar_are_facts() -> None:
    overlap = asked(7, row(7, RunState.SKIPPED, reason=f"run {BLOCKER} of this job", reason_code=ReasonCode.OVERLAP))
    assert overlap.facts["run_in_the_way"] == BLOCKER
    moved = day_off_reason("berlin", "moved to 2026-01-02T12:07:00Z")
    day_off = asked(7, row(7, RunState.SKIPPED, reason=moved, reason_code=ReasonCode.DAY_OFF))
    assert day_off.facts["calendar"] == "berlin"
    assert day_off.facts["moved_to"] == at(7) + timedelta(days=1)


def test_a_missed_slot_says_that_nobody_was_there_and_from_when_to_when() -> None:
    uptimes = (Uptime(OTHER, NOON, at(5.5), at(5.5)), Uptime(NODE, at(9.5), at(9.5)))
    said = asked(7, row(5), stretch(6, 9), row(10), uptimes=uptimes)
    assert said.answer is Answer.MISSED_DOWN
    assert said.sentence == (
        "It was missed, as the scheduler was not running: it stopped at 2026-01-01T12:05:30Z and came back at "
        "2026-01-01T12:09:30Z: late by more than the grace of 5 s or not running: only the latest slot runs. It is one "
        "of 4 slots from 2026-01-01T12:06:00Z to 2026-01-01T12:09:00Z that share a row."
    )
    assert said.facts["down"] == {"from": at(5.5), "to": at(9.5), "was_stopped": True}
    assert said.facts["late_by_seconds"] == 150.0
    assert (said.facts["misfire_policy"], said.facts["grace_seconds"]) == ("run_once", 5.0)


@pytest.mark.parametrize(
    ("minutes", "answer"),
    [(minutes, "missed_misfire") for minutes in (6, 7, 9)] + [(minutes, "not_a_slot") for minutes in (5.5, 7.5, 9.5)],
)
def test_a_stretch_covers_its_slots_and_no_other_instant(minutes: float, answer: str) -> None:
    said = asked(minutes, row(5), stretch(6, 9), row(10))
    assert said.answer == answer
    assert (said.run is None) is (answer == "not_a_slot")


def test_a_stretch_of_a_schedule_that_was_edited_since_is_named_and_the_rest_left_open() -> None:
    job = job_since_noon(timing_since=at(20))
    said = asked(7, row(5), stretch(6, 9), row(10), job=job)
    assert said.answer is Answer.SCHEDULE_CHANGED
    assert said.run is not None
    assert "cannot be told" in said.sentence
    assert asked(6, row(5), stretch(6, 9), row(10), job=job).answer is Answer.MISSED_MISFIRE
    assert asked(9, row(5), stretch(6, 9), row(10), job=job).answer is Answer.MISSED_MISFIRE


def test_what_is_on_record_of_a_former_schedule_is_said_and_nothing_else() -> None:
    job = job_since_noon(timing_since=at(20))
    assert asked(7.5, row(7.5), job=job).answer is Answer.RAN
    said = asked(7, row(6.5), row(7.5), job=job)
    assert said.answer is Answer.SCHEDULE_CHANGED
    assert (said.before, said.after) == (at(6.5), at(7.5))


ADA = Pause(at(5.5), until=at(30), by="Ada", note="cleaning")


@pytest.mark.parametrize("ended_at", [None, at(9.5)])
def test_a_slot_of_a_paused_job_says_who_paused_it_and_from_when_to_when(ended_at: datetime | None) -> None:
    is_over = ended_at is not None
    job = job_since_noon() if is_over else job_since_noon(status=JobStatus.PAUSED, pause=ADA, next_run_at=None)
    said = asked(7, row(5), job=job, pauses=[KeptPause(job.id, ADA, ended_at)] if is_over else [])
    assert said.answer is Answer.PAUSED
    to = "to 2026-01-01T12:09:30Z" if is_over else "on, to end by itself at 2026-01-01T12:30:00Z, and still is"
    assert said.sentence == f"The job was paused by Ada from 2026-01-01T12:05:30Z {to} (cleaning)."
    assert said.facts["pause"] == {
        "from": at(5.5), "to": ended_at, "until": at(30), "by": "Ada", "note": "cleaning", "reason": None,
    }  # fmt: skip


def test_a_pause_that_still_lasts_explains_no_slot_before_it() -> None:
    job = job_since_noon(status=JobStatus.PAUSED, pause=ADA, next_run_at=None)
    assert asked(5, row(5), job=job).answer is Answer.RAN


def test_a_slot_while_everything_is_paused_says_so() -> None:
    everything = KeptPause(None, Pause(at(5.5), by="Eve"), None)
    said = asked(7, row(5), job=job_since_noon(next_run_at=at(6)), pauses=[everything])
    assert said.answer is Answer.PAUSED_ALL
    assert said.sentence == "Everything was paused by Eve from 2026-01-01T12:05:30Z on, and still is."


def test_a_slot_missed_because_everything_was_paused_says_so_from_its_row() -> None:
    everything = KeptPause(None, Pause(at(5.5), by="Eve"), at(9.5))
    said = asked(7, row(5), stretch(6, 9, ReasonCode.PAUSED_ALL), row(10), pauses=[everything])
    assert said.answer is Answer.PAUSED_ALL
    caught_up = asked(7, row(5), stretch(6, 9), row(10), pauses=[everything])
    assert caught_up.answer is Answer.PAUSED_ALL


@pytest.mark.parametrize(
    ("minutes", "facts", "answer"),
    [
        (7.5, {}, Answer.NOT_A_SLOT),
        (-3, {}, Answer.BEFORE_CREATION),
        (0, {}, Answer.BEFORE_CREATION),
        (90, {}, Answer.IN_THE_FUTURE),
        (90.5, {}, Answer.IN_THE_FUTURE),
        (58, {"next_run_at": at(57)}, Answer.WAITING),
        (58, {"status": JobStatus.COMPLETED, "last_scheduled_for": at(50), "next_run_at": None}, Answer.ENDED),
        (90, {"status": JobStatus.COMPLETED, "last_scheduled_for": at(50), "next_run_at": None}, Answer.ENDED),
        (58, {"status": JobStatus.PAUSED, "last_scheduled_for": at(50), "next_run_at": None}, Answer.PAUSED),
        (7, {}, Answer.UNKNOWN),
    ],
)
def test_an_instant_without_a_row_is_explained_by_what_is_known_of_the_job(
    minutes: float, facts: dict[str, Any], answer: Answer
) -> None:
    assert asked(minutes, row(50), job=job_since_noon(**facts)).answer is answer


def test_history_that_was_deleted_is_said_to_be_gone() -> None:
    said = asked(7, row(50))
    assert said.answer is Answer.UNKNOWN
    assert said.sentence == (
        "It is older than what is kept of this job's history: "
        "the oldest slot on record is that of 2026-01-01T12:50:00Z."
    )


@pytest.mark.parametrize(("minutes", "is_slot"), [(90, True), (90.5, False)])
def test_what_is_to_come_is_a_slot_or_not(minutes: float, *, is_slot: bool) -> None:
    assert asked(minutes).facts["is_slot"] is is_slot


@pytest.mark.parametrize(
    ("minutes", "answer"),
    [(6, "ran"), (7, "not_a_slot"), (5, "unknown"), (10, "missed_misfire"), (11, "missed_misfire"), (20, "unknown")],
)
def test_a_deleted_job_answers_from_its_rows(minutes: float, answer: str) -> None:
    assert asked(minutes, row(6), row(8), stretch(10, 13), is_deleted=True).answer == answer


def test_a_deleted_job_that_was_paused_says_so() -> None:
    pauses = [KeptPause(uuid4(), ADA, at(9))]
    assert asked(7, row(5), is_deleted=True, pauses=pauses).answer is Answer.PAUSED


def test_a_run_by_hand_is_no_answer_to_what_became_of_a_slot() -> None:
    by_hand = row(7, trigger=Trigger.MANUAL)
    missed = row(7, RunState.MISSED, reason_code=ReasonCode.MISFIRE)
    said = asked(7, missed, by_hand)
    assert said.answer is Answer.MISSED_MISFIRE
    assert said.facts["also"] == [{"run": by_hand.id, "trigger": "manual", "state": "succeeded"}]
    assert asked(7.5, row(7.5, trigger=Trigger.MANUAL)).sentence.startswith("It was run by hand")
    assert asked(7, by_hand, job=job_since_noon(next_run_at=at(7))).answer is Answer.WAITING


def test_a_backfill_answers_where_the_schedule_has_no_row() -> None:
    assert asked(-3, row(-3, trigger=Trigger.BACKFILL)).sentence.startswith("It ran as part of a backfill")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0015, "0.002 s"), (2, "2 s"), (59.5, "59.5 s"), (60, "1 min"), (3_725, "1 h 2 min 5 s"), (90_000, "1 d 1 h")],
)
def test_spans_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert span(seconds * SECOND) == text


@given(calendar=st.from_regex(r"[a-z0-9][a-z0-9_.-]*", fullmatch=True))
def test_the_calendar_of_a_reason_is_read_back(calendar: str) -> None:
    assert calendar_and_target(day_off_reason(calendar)) == (calendar, None)
    moved = day_off_reason(calendar, "moved to 2026-01-02T12:07:00Z")
    assert calendar_and_target(moved) == (calendar, "2026-01-02T12:07:00Z")
    assert calendar_and_target(day_off_reason(calendar, "not moved: no business day is near enough"))[0] == calendar


def test_a_reason_that_names_no_run_has_none_in_the_way() -> None:
    assert run_in_the_way('concurrency key "door" is taken: 1 of at most 1 runs are going') is None
    assert run_in_the_way(f"cancelled for run {BLOCKER}, whose slot came") == BLOCKER


def why(node: Node, job: Job, instant: datetime) -> Explanation:
    return node.scheduler.why.of_job(job.id, at=instant)


def test_a_job_that_never_was_is_not_found(node: Node) -> None:
    with pytest.raises(JobNotFound):
        node.scheduler.why.of_job(uuid4(), at=NOON)


def test_a_deleted_job_with_history_is_found(node: Node) -> None:
    job = node.add()
    node.advance(10)
    node.scheduler.delete_job(job.id)
    assert why(node, job, NOON + 10 * SECOND).answer is Answer.RAN


def test_a_job_that_cannot_be_read_answers_from_its_rows(node: Node, store: SqlStore) -> None:
    job = node.add()
    node.advance(10)
    with store._writing() as connection:
        connection.exec_driver_sql("UPDATE jobs SET status = 'nonsense'")
    assert why(node, job, NOON + 10 * SECOND).answer is Answer.RAN
    said = why(node, job, NOON + 5 * SECOND)
    assert said.answer is Answer.UNKNOWN
    assert "cannot be read" in said.sentence


def test_a_whole_second_means_the_slot_in_it(node: Node) -> None:
    job = node.add(interval_seconds=10.5)
    node.advance(11)
    said = why(node, job, NOON + 10 * SECOND)
    assert (said.answer, said.facts["slot"]) == (Answer.RAN, NOON + 10.5 * SECOND)
    assert why(node, job, NOON + 10.25 * SECOND).answer is Answer.NOT_A_SLOT


def test_of_several_slots_in_a_second_the_exact_one_comes_first(node: Node) -> None:
    job = node.add(interval_seconds=0.25)
    node.advance(2)
    assert why(node, job, NOON + SECOND).facts["slot"] == NOON + SECOND
    assert why(node, job, NOON + 1.25 * SECOND).facts["slot"] == NOON + 1.25 * SECOND


def test_a_slot_that_jitter_has_moved_is_found_by_its_second(node: Node) -> None:
    job = node.add(interval_seconds=60.0, jitter_seconds=30.0)
    node.advance(130)
    first = node.runs(job)[0].scheduled_for
    assert first.microsecond
    assert why(node, job, first.replace(microsecond=0)).run == node.runs(job)[0]


def test_a_slot_that_another_jitter_had_moved_has_still_its_row(node: Node) -> None:
    job = node.add(interval_seconds=60.0, jitter_seconds=30.0)
    node.advance(50)
    node.scheduler.change_job(job.id, JobChange(timing={"jitter_seconds": 50.0}))
    node.advance(200)
    slots = [why(node, job, run.scheduled_for) for run in node.runs(job)]
    assert {said.answer for said in slots} == {Answer.RAN}
    spread = schedule_of(node.job(job), {}).next_after(NOON + 60 * SECOND)
    assert spread is not None
    assert why(node, job, spread).run == node.runs(job)[0]


def test_a_pause_by_the_scheduler_itself_is_told_with_its_reason(node: Node) -> None:
    def fail(job_id: str) -> None:
        raise ValueError

    node.functions.register("fail", fail)
    job = node.add(function_name="fail", policies=Policies(pause_after_failures=2))
    node.advance(60)
    said = why(node, job, NOON + 40 * SECOND)
    assert said.answer is Answer.PAUSED
    assert "by scheduler" in said.sentence
    assert "pause_after_failures is 2" in said.sentence


def test_a_slot_moved_from_a_day_off_names_the_day_it_was_moved_to(node: Node) -> None:
    every_day_but = frozenset({Weekday.THURSDAY})
    node.scheduler.calendars.create(CalendarDraft("no-thursdays", frozenset(), every_day_but))
    job = node.add(
        cron_expression="0 13 * * *", exclude_calendars=("no-thursdays",), on_excluded=OnExcluded.NEXT_BUSINESS_DAY
    )
    node.advance(2 * 3_600)
    said = why(node, job, NOON + HOUR)
    assert said.answer is Answer.SKIPPED_DAY_OFF
    assert said.facts["moved_to"] == NOON + 25 * HOUR


def test_an_overlapping_slot_names_the_run_in_its_way(node: Node) -> None:
    latch = Latch()
    node.functions.register("linger", latch)
    job = node.add(function_name="linger", policies=Policies(overlap_policy=OverlapPolicy.SKIP))
    node.advance(20, runs_end=False)
    latch.await_entry()
    first, second = node.runs(job)
    assert why(node, job, second.scheduled_for).facts["run_in_the_way"] == first.id
    assert why(node, job, first.scheduled_for).answer is Answer.RUNNING
    latch.release()


def test_a_job_whose_function_is_gone_says_so(store: SqlStore) -> None:
    with running(Node(store)) as node:
        node.functions.register("fleeting", lambda job_id: None)
        job = node.add(function_name="fleeting")
    with running(Node(store, node.clock)) as node:
        node.advance(10)
        assert why(node, job, NOON + 10 * SECOND).answer is Answer.SKIPPED_ORPHANED


def test_downtime_is_told_by_the_nodes_that_were_there(store: SqlStore) -> None:
    with running(Node(store)) as node:
        job = node.add()
        node.advance(15)
    node.clock.advance_to_next(100.0)
    with running(Node(store, node.clock)) as node:
        node.advance(1)
        said = why(node, job, NOON + 50 * SECOND)
        assert said.answer is Answer.MISSED_DOWN
        assert said.facts["down"] == {"from": NOON + 15 * SECOND, "to": NOON + 100 * SECOND, "was_stopped": True}
        assert why(node, job, NOON + 55 * SECOND).answer is Answer.NOT_A_SLOT
        assert why(node, job, NOON + 100 * SECOND).answer is Answer.RAN


def test_a_rename_does_not_make_the_schedule_a_new_one(node: Node) -> None:
    job = node.add()
    node.advance(10)
    renamed = node.scheduler.change_job(job.id, JobChange(name="another name"))
    assert renamed.timing_since == NOON
    changed = node.scheduler.change_job(job.id, JobChange(timing={"interval_seconds": 20.0}))
    assert changed.timing_since == NOON + 10 * SECOND
    assert node.job(job).timing_since == changed.timing_since


def test_a_job_of_an_earlier_release_goes_by_its_last_edit(node: Node, store: SqlStore) -> None:
    job = node.add()
    node.advance(10)
    stored = replace(node.job(job), timing_since=None, updated_at=NOON + 5 * SECOND, version=node.job(job).version + 1)
    assert store.replace_job(stored, expected_version=stored.version - 1, dropped=None)
    assert why(node, job, NOON + 3 * SECOND).answer is Answer.SCHEDULE_CHANGED
    assert why(node, job, NOON + 7 * SECOND).answer is Answer.NOT_A_SLOT
