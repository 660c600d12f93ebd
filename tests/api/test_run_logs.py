"""What a run printed and logged: in one answer, or followed as server-sent events while it runs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api import log_stream
from api.limits import MAX_OPEN_LOG_STREAMS
from api.open_streams import OpenStreams
from api.service import Service
from engine.captured_log import CapturedLog, LogLine
from engine.limits import MAX_LOG_LINES
from engine.live_logs import LiveLogs
from engine.nouns import RunState
from engine.run_log import RunLog
from store import SqlStore
from store.tables import run_logs
from tests.factories import make_advance, make_job, make_outcome
from tests.fakes import NOON, REAL_SECONDS, ManualClock


@pytest.fixture
def service(app: FastAPI, store: SqlStore) -> Service:
    run_logs.create(store._transactions.writing_database, checkfirst=True)
    service: Service = app.state.service
    return service


@pytest.fixture
def live(service: Service) -> LiveLogs:
    return service.live_logs


@pytest.fixture
def run_id(store: SqlStore, service: Service) -> UUID:
    """A run that is on record as running."""
    job = make_job()
    store.add_job(job)
    advance = make_advance(job)
    store.advance([advance])
    assert advance.run is not None
    return advance.run.id


@pytest.fixture
def log(live: LiveLogs, run_id: UUID) -> RunLog:
    """The log of that run, going on here."""
    log = RunLog(ManualClock())
    live.add(run_id, log)
    return log


def end(store: SqlStore, run_id: UUID, log: CapturedLog) -> None:
    """The run is over, and how it went is on record."""
    run = store.run(run_id)
    assert run is not None
    assert store.finish([make_outcome(run, log=log)]).late == set()


def printed(*texts: str, dropped: int = 0) -> CapturedLog:
    return CapturedLog(tuple(LogLine(at=NOON, stream="stdout", text=text) for text in texts), dropped)


def test_the_lines_of_a_run_that_is_going_on_are_there_by_now(client: TestClient, run_id: UUID, log: RunLog) -> None:
    log.write("stderr", "hello")
    log.append(LogLine(at=NOON, stream="log", text="paid", level="info", logger="billing", facts={"cents": 5}))

    answer = client.get(f"/runs/{run_id}/logs")

    assert answer.status_code == 200
    nothing: dict[str, Any] = {"level": None, "logger": None, "facts": {}}
    told: dict[str, Any] = {"level": "info", "logger": "billing", "facts": {"cents": 5}}
    assert answer.json() == {
        "run_id": str(run_id),
        "lines": [
            {"number": 0, "at": "2026-01-01T12:00:00Z", "stream": "stderr", "text": "hello", **nothing},
            {"number": 1, "at": "2026-01-01T12:00:00Z", "stream": "log", "text": "paid", **told},
        ],
        "dropped": 0,
        "is_complete": False,
    }


def test_the_lines_of_a_run_that_is_over_are_kept_with_it(client: TestClient, store: SqlStore, run_id: UUID) -> None:
    end(store, run_id, printed("eight", "nine", dropped=7))

    answer = client.get(f"/runs/{run_id}/logs").json()

    assert [(line["number"], line["text"]) for line in answer["lines"]] == [(7, "eight"), (8, "nine")]
    assert (answer["dropped"], answer["is_complete"]) == (7, True)


def test_a_run_that_has_not_started_yet_has_no_lines_and_is_not_complete(client: TestClient, run_id: UUID) -> None:
    answer = client.get(f"/runs/{run_id}/logs").json()

    assert (answer["lines"], answer["dropped"], answer["is_complete"]) == ([], 0, False)


def test_a_run_that_said_nothing_is_complete(client: TestClient, store: SqlStore, run_id: UUID) -> None:
    end(store, run_id, CapturedLog())

    answer = client.get(f"/runs/{run_id}/logs").json()

    assert (answer["lines"], answer["is_complete"]) == ([], True)


@pytest.mark.parametrize("query", ["", "?follow=true"])
def test_an_unknown_run_has_no_logs(client: TestClient, service: Service, query: str) -> None:
    answer = client.get(f"/runs/{uuid4()}/logs{query}")

    assert (answer.status_code, answer.json()["detail"]) == (404, "Run not found")
    assert client.get(f"/runs/nonsense/logs{query}").status_code == 400
    assert len(service.open_streams) == 0


def test_the_log_of_a_run_that_is_going_on_needs_no_database(
    client: TestClient, store: SqlStore, run_id: UUID, log: RunLog
) -> None:
    log.write("stdout", "hello")
    store.close()

    assert [line["text"] for line in client.get(f"/runs/{run_id}/logs").json()["lines"]] == ["hello"]
    assert client.get(f"/runs/{uuid4()}/logs").status_code == 503


Event = tuple[str, Any]


@dataclass
class Client:
    """A client that follows, as a server would have it: what was sent to it, and whether it is still there."""

    sent: asyncio.Queue[dict[str, Any]]
    gone: asyncio.Event
    taking: asyncio.Event
    answering: asyncio.Task[None]
    status: int = 0
    headers: dict[str, str] | None = None
    text: str = ""

    async def begin(self) -> None:
        """Wait for the head of the answer."""
        message = await asyncio.wait_for(self.sent.get(), REAL_SECONDS)
        self.status = message["status"]
        self.headers = {name.decode(): value.decode() for name, value in message["headers"]}

    async def events(self, count: int) -> list[Event]:
        """The next so many events, in names and data."""
        while self.text.count("\n\n") < count:
            message = await asyncio.wait_for(self.sent.get(), REAL_SECONDS)
            assert message["more_body"], f"the stream ended with {self.text!r}"
            self.text += message["body"].decode()
        *events, self.text = self.text.split("\n\n", count)
        return [read(event) for event in events]

    async def rest(self) -> list[Event]:
        """All events to the end of the stream, which must come."""
        while True:
            message = await asyncio.wait_for(self.sent.get(), REAL_SECONDS)
            self.text += message["body"].decode()
            if not message["more_body"]:
                return [read(event) for event in self.text.split("\n\n") if event]

    async def leave(self) -> None:
        self.gone.set()
        await asyncio.wait_for(asyncio.wait([self.answering]), REAL_SECONDS)


def read(event: str) -> Event:
    fields = dict(line.split(": ", 1) for line in event.split("\n"))
    if "" in fields:
        return "comment", fields[""]
    data = json.loads(fields["data"])
    if fields["event"] == "line":
        assert int(fields["id"]) == data["number"]
        return "line", data["text"]
    return fields["event"], data.get("state", data.get("dropped"))


@asynccontextmanager
async def following(app: FastAPI, run_id: UUID, **headers: str) -> AsyncIterator[Client]:
    """A client that asks for the stream, and has gone at the end."""
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    gone, taking = asyncio.Event(), asyncio.Event()
    taking.set()

    async def receive() -> dict[str, Any]:
        if not asked:
            asked.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        await taking.wait()
        sent.put_nowait(message)

    asked: list[bool] = []
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": f"/runs/{run_id}/logs",
        "raw_path": b"",
        "query_string": b"" if "accept" in headers else b"follow=true",
        "headers": given,
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
        "root_path": "",
    }
    client = Client(sent, gone, taking, asyncio.create_task(app(scope, receive, send)))
    try:
        await client.begin()
        yield client
    finally:
        taking.set()
        await client.leave()


Script = Callable[[], Coroutine[Any, Any, None]]


def played(script: Script) -> None:
    asyncio.run(script())


def test_a_follower_gets_what_is_there_then_each_line_then_the_end(
    app: FastAPI, store: SqlStore, live: LiveLogs, run_id: UUID, log: RunLog
) -> None:
    log.write("stdout", "before")

    async def script() -> None:
        async with following(app, run_id) as client:
            assert client.status == 200
            assert client.headers is not None
            assert client.headers["content-type"].startswith("text/event-stream")
            assert client.headers["cache-control"] == "no-store"
            assert await client.events(1) == [("line", "before")]
            for text in ("one", "two"):
                await asyncio.to_thread(log.write, "stdout", text)
                assert await client.events(1) == [("line", text)]
            log.write("stdout", "the last")
            log.close()
            end(store, run_id, log.captured())
            live.remove(run_id)
            assert await client.rest() == [("line", "the last"), ("end", "succeeded")]

    played(script)


def test_asking_for_an_event_stream_is_following(app: FastAPI, run_id: UUID, log: RunLog) -> None:
    log.write("stdout", "hello")

    async def script() -> None:
        async with following(app, run_id, accept="application/json;q=0.1, Text/Event-Stream") as client:
            assert await client.events(1) == [("line", "hello")]

    played(script)


def test_who_follows_before_the_start_is_woken_by_it(app: FastAPI, run_id: UUID, live: LiveLogs) -> None:
    async def script() -> None:
        async with following(app, run_id) as client:
            log = RunLog(ManualClock())
            live.add(run_id, log)
            log.write("stdout", "begun")
            assert await client.events(1) == [("line", "begun")]

    played(script)


def test_a_run_that_never_starts_ends_the_stream(app: FastAPI, store: SqlStore, run_id: UUID, live: LiveLogs) -> None:
    async def script() -> None:
        async with following(app, run_id) as client:
            end(store, run_id, CapturedLog())
            live.remove(run_id)
            assert await client.rest() == [("end", "succeeded")]

    played(script)


def test_a_run_that_goes_on_elsewhere_is_looked_up_until_it_ends(
    app: FastAPI, store: SqlStore, run_id: UUID, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "LOOK_UP_SECONDS", 0.01)

    async def script() -> None:
        async with following(app, run_id) as client:
            assert await client.events(2) == [("comment", "keep-alive")] * 2
            end(store, run_id, printed("from elsewhere"))
            assert [event for event in await client.rest() if event[0] != "comment"] == [
                ("line", "from elsewhere"),
                ("end", "succeeded"),
            ]

    played(script)


def test_a_run_that_is_over_is_sent_and_ended_at_once(client: TestClient, store: SqlStore, run_id: UUID) -> None:
    end(store, run_id, printed("eight", "nine", dropped=7))

    text = client.get(f"/runs/{run_id}/logs?follow=true").text

    assert [read(event) for event in text.split("\n\n") if event] == [
        ("dropped", 7),
        ("line", "eight"),
        ("line", "nine"),
        ("end", "succeeded"),
    ]


EVERYTHING = ["zero", "one", "two"]


@pytest.mark.parametrize(
    ("last_event_id", "texts"),
    [
        ("0", ["one", "two"]),
        ("2", []),
        ("99", []),
        ("nonsense", ["zero", "one", "two"]),
        ("-1", ["zero", "one", "two"]),
    ],
)
def test_a_client_that_comes_back_goes_on_where_it_was(
    client: TestClient, store: SqlStore, run_id: UUID, last_event_id: str, texts: list[str]
) -> None:
    end(store, run_id, printed("zero", "one", "two"))

    answer = client.get(f"/runs/{run_id}/logs", headers={"Accept": "text/event-stream", "Last-Event-ID": last_event_id})

    events = [read(event) for event in answer.text.split("\n\n") if event]
    assert events == [*(("line", text) for text in texts), ("end", "succeeded")]


def test_a_client_that_comes_back_to_a_run_that_goes_on_misses_nothing(app: FastAPI, run_id: UUID, log: RunLog) -> None:
    for text in ("zero", "one"):
        log.write("stdout", text)

    async def script() -> None:
        async with following(app, run_id, last_event_id="0") as client:
            log.write("stdout", "two")
            assert await client.events(2) == [("line", "one"), ("line", "two")]

    played(script)


def test_a_slow_client_is_told_what_it_missed_and_nothing_is_kept_for_it(
    app: FastAPI, run_id: UUID, log: RunLog
) -> None:
    log.write("stdout", "first")

    async def script() -> None:
        async with following(app, run_id) as client:
            assert await client.events(1) == [("line", "first")]
            client.taking.clear()
            for number in range(10 * MAX_LOG_LINES):
                log.write("stdout", str(number))
            client.taking.set()
            # What was on its way when it stopped taking is a part of the first lines.
            events: list[Event] = []
            while not events or events[-1] != ("line", str(10 * MAX_LOG_LINES - 1)):
                events += await client.events(1)
            seen = sum(value for kind, value in events if kind == "dropped")
            lines = [value for kind, value in events if kind == "line"]
            assert seen + len(lines) == 10 * MAX_LOG_LINES
            assert seen >= 8 * MAX_LOG_LINES
            assert lines[-MAX_LOG_LINES:] == [str(number) for number in range(9 * MAX_LOG_LINES, 10 * MAX_LOG_LINES)]

    played(script)


def test_a_silent_stream_says_that_it_is_alive(
    app: FastAPI, run_id: UUID, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "Look", _impatient)

    async def script() -> None:
        async with following(app, run_id) as client:
            assert await client.events(2) == [("comment", "keep-alive")] * 2
            log.write("stdout", "hello")
            while (event := (await client.events(1))[0])[0] == "comment":
                pass
            assert event == ("line", "hello")

    played(script)


Look = log_stream.Look


def _impatient(*arguments: Any, **keywords: Any) -> log_stream.Look:
    return Look(*arguments, **keywords | {"seconds": 0.01})


def test_at_a_stop_every_stream_ends_at_once_and_without_an_end_of_the_run(
    app: FastAPI, live: LiveLogs, run_id: UUID, log: RunLog, store: SqlStore
) -> None:
    job = make_job()
    store.add_job(job)
    advance = make_advance(job)
    store.advance([advance])
    assert advance.run is not None
    waiting_id = advance.run.id

    async def script() -> None:
        async with following(app, run_id) as running, following(app, waiting_id) as waiting:
            log.write("stdout", "hello")
            assert await running.events(1) == [("line", "hello")]
            await asyncio.to_thread(live.end_all)
            assert await running.rest() == []
            assert await waiting.rest() == []
        async with following(app, run_id) as late:
            assert await late.rest() == [("line", "hello")]

    played(script)
    assert store.run(run_id) is not None


@pytest.mark.parametrize("is_taking", [True, False], ids=["waiting for more", "being sent something"])
def test_a_client_that_leaves_leaves_nothing_behind(
    app: FastAPI, run_id: UUID, log: RunLog, service: Service, is_taking: bool
) -> None:
    async def script() -> None:
        async with following(app, run_id) as client:
            log.write("stdout", "hello")
            await client.events(1)
            assert len(service.open_streams) == 1
            assert len(log._waiting) == 1
            if not is_taking:
                client.taking.clear()
                log.write("stdout", "more")
                while not log._waiting:
                    await asyncio.to_thread(lambda: None)
            await client.leave()
            assert len(service.open_streams) == 0
            assert log._waiting == set()

    played(script)


def test_a_client_that_leaves_while_the_run_waits_for_a_thread_leaves_nothing_behind(
    app: FastAPI, live: LiveLogs, run_id: UUID, service: Service
) -> None:
    async def script() -> None:
        async with following(app, run_id):
            assert len(service.open_streams) == 1

    played(script)
    assert live._waiting == {}
    assert len(service.open_streams) == 0


def test_one_stream_too_many_is_refused_and_a_place_comes_back(
    client: TestClient, store: SqlStore, service: Service, run_id: UUID
) -> None:
    end(store, run_id, printed("hello"))
    open_streams = service.open_streams
    taken = [open_streams.one_more() for _ in range(MAX_OPEN_LOG_STREAMS)]
    for each in taken:
        each.__enter__()

    refused = client.get(f"/runs/{run_id}/logs?follow=true")
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "5"
    assert "100 logs are being followed" in refused.json()["detail"]
    assert client.get(f"/runs/{run_id}/logs").status_code == 200

    taken[0].__exit__(None, None, None)
    assert client.get(f"/runs/{run_id}/logs?follow=true").status_code == 200
    assert client.get(f"/runs/{run_id}/logs?follow=true").status_code == 200


def test_a_database_that_does_not_answer_ends_no_stream(
    app: FastAPI, store: SqlStore, live: LiveLogs, run_id: UUID, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "LOOK_UP_SECONDS", 0.01)

    async def script() -> None:
        async with following(app, run_id) as client:
            store._transactions._is_closed = True
            live.remove(run_id)
            assert await client.events(1) == [("comment", "keep-alive")]
            store._transactions._is_closed = False
            end(store, run_id, printed("hello"))
            events = [event for event in await client.rest() if event[0] != "comment"]
            assert events == [("line", "hello"), ("end", RunState.SUCCEEDED)]

    played(script)


def test_places_come_back_whatever_happens() -> None:
    open_streams = OpenStreams()
    with pytest.raises(ValueError, match="broken"), open_streams.one_more():
        raise ValueError("broken")

    assert len(open_streams) == 0
