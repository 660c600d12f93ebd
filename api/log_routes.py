"""The route of logs: what a run printed and logged, afterwards or while it runs."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.exceptions import RequestValidationError

from api.errors import documented
from api.json_bodies import StrictRoute
from api.limits import MAX_EVENT_ID_LENGTH
from api.log_stream import LogStream, LogStreamResponse
from api.refusals import InvalidRunId, TooManyStreams
from api.responses import RunLogsView
from api.service import RunId, Service, TheService
from engine.captured_log import CapturedLog
from engine.errors import RunNotFound, StoreUnavailable
from engine.nouns import WAITING_STATES, RunState

router = APIRouter(tags=["runs"], route_class=StrictRoute)

EVENT_STREAM = "text/event-stream"

FOLLOWED = """event: line
data: {"number":0,"at":"2026-11-23T10:00:00Z","stream":"stdout","text":"hello","level":null,"logger":null,"facts":{}}
id: 0

event: end
data: {"state":"succeeded"}

"""

STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}, "example": FOLLOWED}}}
}
"""The answer to those who follow, for the documentation."""


@router.get(
    "/runs/{run_id}/logs",
    summary="Get or follow what a run printed and logged",
    response_model=RunLogsView,
    responses=STREAMED
    | documented(InvalidRunId, RunNotFound, RequestValidationError, TooManyStreams, StoreUnavailable),
)
def get_run_logs(
    run_id: RunId,
    service: TheService,
    request: Request,
    follow: Annotated[
        bool, Query(description="Stream server-sent events; as does asking for `text/event-stream`")
    ] = False,
    last_event_id: Annotated[
        str | None, Header(description="The `id` of the last event that was received: go on behind it")
    ] = None,
) -> RunLogsView | LogStreamResponse:
    """The newest lines, oldest first; `dropped` older ones are gone. `is_complete` once the run is over.

    Followed, each line is an event `line`, what was lost an event `dropped`; after `end`, which tells the state of the
    run, the client is to close. A stream that closes without it is asked for again, as browsers do by themselves.
    """
    if not follow and not _asks_for_events(request):
        return _logs_by_now(run_id, service)
    if service.live_logs.get(run_id) is None and service.store.run(run_id) is None:
        raise RunNotFound
    stream = LogStream(
        live_logs=service.live_logs,
        store=service.store,
        run_id=run_id,
        first_number=_number_after(last_event_id),
    )
    return LogStreamResponse(stream, service.open_streams)


def _logs_by_now(run_id: UUID, service: Service) -> RunLogsView:
    live = service.live_logs.get(run_id)
    if live is not None:
        return RunLogsView.of(run_id, live.captured(), is_complete=False)
    run = service.store.run(run_id)
    if run is None:
        raise RunNotFound
    log = service.store.run_log(run_id) or CapturedLog()
    return RunLogsView.of(run_id, log, is_complete=run.state not in {RunState.RUNNING, *WAITING_STATES})


def _asks_for_events(request: Request) -> bool:
    accepted = request.headers.get("accept", "").lower().split(",")
    return EVENT_STREAM in [media_range.partition(";")[0].strip() for media_range in accepted]


def _number_after(event_id: str | None) -> int:
    """The next line's number. What is no id of ours is none at all: such a client gets everything."""
    is_number = event_id is not None and event_id.isdecimal() and len(event_id) <= MAX_EVENT_ID_LENGTH
    return int(event_id) + 1 if is_number and event_id is not None else 0
