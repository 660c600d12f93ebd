"""A start that is refused says why in one line, without a traceback."""

import sys

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import SchedulerError
from registry import RegistryError


class StartupRefusal:
    """Shortens what the server logs when a start ends with one of `refusals`; other errors keep their traceback."""

    def __init__(self, app: ASGIApp, refusals: tuple[type[Exception], ...] = (SchedulerError, RegistryError)) -> None:
        self.app = app
        self.refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the life of the application."""
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_shortened(message: Message) -> None:
            # Starlette tells of the failed start while it handles the error, with the whole traceback as message.
            error = sys.exception()
            if message["type"] == "lifespan.startup.failed" and isinstance(error, self.refusals):
                message = {**message, "message": str(error)}
            await send(message)

        await self.app(scope, receive, send_shortened)
