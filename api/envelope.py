"""What goes for every answer, whoever gives it: the id of its request, and what a browser may do with it."""

import re
from urllib.parse import quote
from uuid import uuid4

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import path_of
from engine.ports import Clock

log = structlog.get_logger("scheduler.request")

REQUEST_ID = "X-Request-ID"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)

HARDENING = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"
"""For answers that are data: whoever has a browser show one sees text, and nothing runs."""

OWN_CONTENT = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'"
)
"""For the pages about the API, which bring a script of a few lines along."""

PAGES = ("/docs", "/redoc", "/static-offline-docs/")


class Envelope:
    """Gives each request an id, its own if it came with a fit one, for the answer and for every log line about it; and
    tells of each request, once it is answered."""

    def __init__(self, app: ASGIApp, *, clock: Clock) -> None:
        self.app = app
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _id_of(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        is_page = path_of(scope).startswith(PAGES)
        begun, status = self.clock.monotonic(), None

        async def send_enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(MutableHeaders(scope=message), request_id, is_page=is_page)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_enveloped)
            finally:
                _tell(scope, status, self.clock.monotonic() - begun)


def _tell(scope: Scope, status: int | None, seconds: float) -> None:
    """`status` None: the client went before it was answered."""
    client, query = scope.get("client"), scope["query_string"]
    path = str(scope.get("raw_path") or quote(scope["path"]).encode(), "latin-1")
    log.info(
        "request",
        client=f"{client[0]}:{client[1]}" if client else "",
        method=scope["method"],
        path=f"{path}?{str(query, 'latin-1')}" if query else path,
        status=status,
        duration_ms=round(seconds * 1_000, 1),
    )


def _id_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = str(value, "latin-1")
            return given if _WELL_FORMED.fullmatch(given) else uuid4().hex
    return uuid4().hex


def _add_headers(headers: MutableHeaders, request_id: str, *, is_page: bool) -> None:
    headers[REQUEST_ID] = request_id
    for name, value in HARDENING.items():
        headers[name] = value
    headers["Content-Security-Policy"] = OWN_CONTENT if is_page else NO_CONTENT
    # Pages and their files may be kept for a while; what the API says is of the moment, and nobody else's.
    if not is_page:
        headers["Cache-Control"] = "no-store"
