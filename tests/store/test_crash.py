"""A process killed in the middle of its writes: what it was told is kept is kept, and the file is sound."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from engine.nouns import JobStatus, RunState
from engine.recovery import lose_abandoned_runs
from store import open_store
from tests.factories import NOON
from tests.store.test_locks import ROOT

WORK = """
import sys
from store import open_store
from tests.factories import make_advance, make_job, make_outcome

store = open_store(sys.argv[1])
job = make_job()
store.add_job(job)
print(job.id, flush=True)
while True:
    advance = make_advance(store.job(job.id))
    store.advance([advance])
    print(advance.run.id, flush=True)
    store.finish([make_outcome(advance.run)])
"""
CLAIMS_BEFORE_THE_END = 200


@pytest.mark.real_time
def test_what_was_acknowledged_before_a_kill_is_there_after_it(sqlite_path: Path, sqlite_url: str) -> None:
    command = [sys.executable, "-c", WORK, sqlite_url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        job_id = UUID(process.stdout.readline().strip())
        for _ in range(CLAIMS_BEFORE_THE_END):
            process.stdout.readline()
        process.kill()
        told = CLAIMS_BEFORE_THE_END + len(process.stdout.read().split())

    store = open_store(sqlite_url)
    runs = store.views.runs_page(job_id=job_id, state=None, before=None, limit=100_000)
    job = store.job(job_id)
    assert job is not None
    # The last claim may have been kept and not told of; the run before it is over.
    assert len(runs) in {told, told + 1}
    assert {run.state for run in runs[1:]} == {RunState.SUCCEEDED}
    # Law 3: as many slots left behind as there are runs.
    assert job.version == len(runs) + 1
    assert job.last_scheduled_for == runs[0].scheduled_for
    was_running = runs[0].state is RunState.RUNNING
    assert lose_abandoned_runs(store, now=NOON)[0] == was_running
    (recovered,) = store.jobs_by_id([job_id])
    assert recovered.status is (JobStatus.FAILED if was_running else JobStatus.ACTIVE)
    store.close()
    with closing(sqlite3.connect(sqlite_path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
