"""The answer to what nobody expected: one traceback in the log, nothing of it on the wire."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import refusal

log = structlog.get_logger("scheduler.api")


class UnexpectedErrors:
    """Ends the way of every exception that no handler took; Starlette would pass it on to be logged once more."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_started = False

        async def send_and_remember(message: Message) -> None:
            nonlocal is_started
            is_started = is_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_and_remember)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            # Once an answer has begun, the server cuts it off, which no client takes for its end.
            if not is_started:
                await refusal(500, "Internal error")(scope, receive, send)
