"""Putting off jobs that fail by themselves."""

from uuid import uuid4

from structlog.testing import capture_logs

from engine.limits import MAX_QUARANTINE_SECONDS, MAX_QUARANTINED_JOBS
from engine.quarantine import Quarantine

ERROR = ValueError("no luck")


def test_a_job_is_put_off_for_longer_each_time_and_told_of_once() -> None:
    quarantine, job_id = Quarantine(), uuid4()

    with capture_logs() as lines:
        pauses = [quarantine.put_off(job_id, "job unreadable", ERROR) for _ in range(8)]

    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, MAX_QUARANTINE_SECONDS, MAX_QUARANTINE_SECONDS]
    assert [line["error"] for line in lines] == ["ValueError: no luck"]


def test_a_job_that_was_released_begins_anew() -> None:
    quarantine, job_id = Quarantine(), uuid4()
    quarantine.put_off(job_id, "job unreadable", ERROR)
    quarantine.put_off(job_id, "job unreadable", ERROR)

    quarantine.release(job_id)

    assert quarantine.put_off(job_id, "job unreadable", ERROR) == 1.0


def test_only_the_latest_are_remembered() -> None:
    quarantine, first, second = Quarantine(), uuid4(), uuid4()
    for job_id in (first, second, first, *(uuid4() for _ in range(MAX_QUARANTINED_JOBS - 1))):
        quarantine.put_off(job_id, "job unreadable", ERROR)

    assert quarantine.put_off(first, "job unreadable", ERROR) == 4.0
    assert quarantine.put_off(second, "job unreadable", ERROR) == 1.0
