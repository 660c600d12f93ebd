"""Logs of runs come back from both databases as they were kept."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete

from engine.captured_log import CapturedLog, LogLine
from engine.limits import MAX_LINE_LENGTH, MAX_LOG_BYTES, MAX_LOG_LINES
from engine.run_log import RunLog
from store import SqlStore, log_rows
from store.tables import run_logs
from tests.fakes import NOON, ManualClock

PRINTED = LogLine(at=NOON, stream="stdout", text="one")
LOGGED = LogLine(
    at=NOON + timedelta(microseconds=1),
    stream="log",
    text="Gr\u00fc\u00dfe \u20ac \U0001f600",
    level="warning",
    logger="billing",
    facts={"cents": 5, "nested": {"list": [1, 2.5, None, True]}, "nul": "\x00", "big": 2**63},
)


@pytest.fixture(autouse=True)
def table(store: SqlStore) -> None:
    run_logs.create(store._transactions.writing_database, checkfirst=True)
    with store._writing() as connection:
        connection.execute(delete(run_logs))


def keep(store: SqlStore, *logs: tuple[UUID, CapturedLog | None]) -> None:
    with store._writing() as connection:
        log_rows.keep_logs(connection, logs)


def test_every_field_of_a_line_comes_back_as_it_was(store: SqlStore) -> None:
    run_id, other_id = uuid4(), uuid4()
    log = CapturedLog(lines=(PRINTED, LOGGED), dropped=7)

    keep(store, (run_id, log), (other_id, CapturedLog(lines=(PRINTED,))))

    assert store.views.run_log(run_id) == log
    assert store.views.run_log(other_id) == CapturedLog(lines=(PRINTED,), dropped=0)


def test_a_run_without_a_line_has_no_row(store: SqlStore) -> None:
    run_ids = [uuid4() for _ in range(3)]

    keep(store, (run_ids[0], None), (run_ids[1], CapturedLog()))

    assert [store.views.run_log(run_id) for run_id in run_ids] == [None, None, None]


def test_of_a_run_that_comes_twice_the_first_log_counts(store: SqlStore) -> None:
    run_id, silent_id = uuid4(), uuid4()

    keep(
        store,
        (run_id, CapturedLog(lines=(PRINTED,))),
        (run_id, CapturedLog(lines=(LOGGED,))),
        (silent_id, None),
        (silent_id, CapturedLog(lines=(LOGGED,))),
    )

    assert store.views.run_log(run_id) == CapturedLog(lines=(PRINTED,))
    assert store.views.run_log(silent_id) is None


def test_only_dropped_lines_are_on_record_too(store: SqlStore) -> None:
    run_id = uuid4()

    keep(store, (run_id, CapturedLog(lines=(), dropped=3)))

    assert store.views.run_log(run_id) == CapturedLog(lines=(), dropped=3)


@pytest.mark.parametrize("text", ["short", "\U0001f600" * MAX_LINE_LENGTH, "\x00\ud800\x1b\u2028\x85"])
def test_the_largest_log_of_whatever_text_comes_back(store: SqlStore, text: str) -> None:
    log, run_id = RunLog(ManualClock()), uuid4()
    for _ in range(MAX_LOG_LINES):
        log.write("stdout", text)

    keep(store, (run_id, log.captured()))

    kept = store.views.run_log(run_id)
    assert kept == log.captured()
    assert kept.lines
    assert sum(len(line.text.encode()) for line in kept.lines) <= MAX_LOG_BYTES
