"""What goes for every answer, whoever gives it: the id of its request, and what a browser may do with it."""

import re
from collections.abc import Iterable
from secrets import token_hex
from urllib.parse import quote

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import header_of, path_of
from engine.ports import Clock

log = structlog.get_logger("scheduler.request")

Header = tuple[bytes, bytes]

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
        is_page = path_of(scope).startswith(PAGES)
        begun, status = self.clock.monotonic(), None

        async def send_enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _enveloped(message.get("headers", ()), request_id, is_page=is_page)}
            await send(message)

        # Not taken back: each request has a context of its own, and where it has not, the next one binds its own id.
        structlog.contextvars.bind_contextvars(request_id=request_id)
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
    given = header_of(scope, _REQUEST_ID)
    return given if given is not None and _WELL_FORMED.fullmatch(given) else token_hex(16)


def _enveloped(headers: Iterable[Header], request_id: str, *, is_page: bool) -> list[Header]:
    """The headers of an answer, with those that go for all."""
    if is_page:
        # Pages and their files may be kept for a while; what the API says is of the moment, and nobody else's.
        return [*headers, (_REQUEST_ID, request_id.encode()), *_OF_PAGES]
    kept = [header for header in headers if header[0] != b"cache-control"]
    return [*kept, (_REQUEST_ID, request_id.encode()), *_OF_DATA]


_REQUEST_ID = REQUEST_ID.lower().encode()
_OF_ALL = [(name.lower().encode(), value.encode()) for name, value in HARDENING.items()]
_OF_PAGES = [*_OF_ALL, (b"content-security-policy", OWN_CONTENT.encode())]
_OF_DATA = [*_OF_ALL, (b"content-security-policy", NO_CONTENT.encode()), (b"cache-control", b"no-store")]
