"""The limit on request bodies: counted while they arrive, before anything is kept of them."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.limits import MAX_BODY_BYTES
from api.problems import refusal
from api.refusals import BodyTooLarge


class BodyLimit:
    """Refuses bodies over the limit, whether they declare their length or come in chunks.

    FastAPI's own `max_body_size` does it too, but answers with plain text where the length is declared.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif _declared_bytes(scope) > MAX_BODY_BYTES:
            await _refuse(scope, receive, send)
        else:
            await self.app(scope, _counting(receive), send)


def _declared_bytes(scope: Scope) -> int:
    declared = Headers(scope=scope).get("content-length", "0")
    # The server refuses what is no number; anything else would be counted as it arrives.
    return int(declared) if declared.isdecimal() else 0


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    error = BodyTooLarge()
    response = refusal(error.status_code, error.detail, dict(error.headers or {}), kind=BodyTooLarge)
    await response(scope, receive, send)


def _counting(receive: Receive) -> Receive:
    received = 0

    async def receive_counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise BodyTooLarge
        return message

    return receive_counted
