"""What functions print and log, kept and followed in a real service: through its log set-up, server and signals."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.service import Service, running_service, serve_command

pytestmark = [pytest.mark.real_time, pytest.mark.once]

JOBS = """
import asyncio
import logging
import sys
import threading

import structlog

from registry import register_job


@register_job("talks")
def talks(job_id, run):
    print("printed")
    print("to stderr", file=sys.stderr)
    logging.getLogger("billing").warning("paid %d", 5, extra={"customer": "c-1"})
    structlog.get_logger("billing").info("paid", cents=5)
    run.log.info("mine", cents=7)
    logging.getLogger("billing").debug("not at this level")
    asyncio.run(asyncio.to_thread(print, "from a thread"))
    try:
        int("nonsense")
    except ValueError:
        logging.getLogger("billing").exception("failed")


@register_job("never_returns")
def never_returns(job_id):
    print("here for ever")
    threading.Event().wait()


@register_job("floods")
def floods(job_id):
    for number in range(20_000):
        print("line", number)
"""

SCHEDULER_SERVE = (sys.executable, "-m", "app.cli", "serve", "--port", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "e2e_log_jobs.py").write_text(JOBS)
    return tmp_path


def run_now(service: Service, function_name: str) -> str:
    job = service.create(function_name=function_name, interval_seconds=3_600)
    answer = service.client.post(f"/jobs/{job['id']}/run")
    assert answer.status_code == 200, answer.text
    run_id: str = answer.json()["id"]
    return run_id


def events_of(response: httpx2.Response) -> Iterator[tuple[str, Any]]:
    """The events of a stream, in names and data, until it ends."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield fields["event"], json.loads(fields["data"])
            fields = {}


def followed(service: Service, run_id: str) -> Any:
    return service.client.stream("GET", f"/runs/{run_id}/logs", headers={"Accept": "text/event-stream"})


def test_whatever_way_a_function_speaks_it_is_kept_with_the_run(folder: Path) -> None:
    with running_service(folder, JOB_MODULES="e2e_log_jobs") as service:
        run_id = run_now(service, "talks")
        with followed(service, run_id) as response:
            events = list(events_of(response))
        kept = service.get(f"/runs/{run_id}/logs")

    assert [line for kind, line in events if kind == "line"] == kept["lines"]
    assert events[-1] == ("end", {"state": "succeeded"})
    assert (kept["dropped"], kept["is_complete"]) == (0, True)
    *lines, failed = kept["lines"]
    assert [(line["stream"], line["level"], line["logger"], line["text"], line["facts"]) for line in lines] == [
        ("stdout", None, None, "printed", {}),
        ("stderr", None, None, "to stderr", {}),
        ("log", "warning", "billing", "paid 5", {"customer": "c-1"}),
        ("log", "info", "billing", "paid", {"cents": 5}),
        ("log", "info", "scheduler.job", "mine", {"cents": 7}),
        ("stdout", None, None, "from a thread", {}),
    ]
    assert failed["facts"]["exception"].startswith("Traceback")
    assert service.garbage == []


def test_a_run_that_floods_keeps_its_end_and_says_what_is_gone(folder: Path) -> None:
    with running_service(folder, JOB_MODULES="e2e_log_jobs") as service:
        run_id = run_now(service, "floods")
        with followed(service, run_id) as response:
            events = list(events_of(response))
        kept = service.get(f"/runs/{run_id}/logs")

    lines = [line for kind, line in events if kind == "line"]
    dropped = sum(facts["dropped"] for kind, facts in events if kind == "dropped")
    assert len(lines) + dropped == 20_000
    assert lines[-1]["text"] == "line 19999"
    assert (kept["dropped"], len(kept["lines"])) == (19_000, 1_000)


@pytest.mark.parametrize("command", [serve_command(), SCHEDULER_SERVE], ids=["uvicorn", "scheduler serve"])
def test_an_open_stream_does_not_hold_the_exit(folder: Path, command: tuple[str, ...]) -> None:
    with running_service(folder, *command, JOB_MODULES="e2e_log_jobs", STOP_GRACE_SECONDS="0.5") as service:
        run_id = run_now(service, "never_returns")
        with followed(service, run_id) as response:
            events = events_of(response)
            assert next(events)[1]["text"] == "here for ever"
            service.process.send_signal(signal.SIGTERM)
            rest = list(events)
        service.await_end()
        service.await_event("scheduler stopped", outcomes_recorded=True)

    assert rest == []
    assert [line["event"] for line in service.lines if str(line["event"]).startswith("Cancel ")] == []
    with running_service(folder, JOB_MODULES="e2e_log_jobs") as service:
        run = service.get(f"/runs/{run_id}")
        kept = service.get(f"/runs/{run_id}/logs")
    assert run["state"] == "lost"
    assert [line["text"] for line in kept["lines"]] == ["here for ever"]
