"""Requests that the database does not serve: the log tells of the first, and of when they are served again."""

import threading

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from api.service import Service

log = structlog.get_logger("scheduler.api")

SETTLED_SECONDS = 5.0
"""Nothing is said to be over sooner after the last failure: where only changes fail, reads would end it every time."""


class Outage:
    """One for the application. May be used from any thread; instants are monotonic."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed_at: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether requests were not served, and the database has not answered since."""
        return self._failed_at is not None

    def begin(self, now: float) -> bool:
        """A request was not served; True if this is news."""
        with self._lock:
            is_news = self._failed_at is None
            self._failed_at = now
            return is_news

    def is_settled(self, now: float) -> bool:
        """Whether there was an outage and no sign of it for a while."""
        failed_at = self._failed_at
        return failed_at is not None and now - failed_at >= SETTLED_SECONDS

    def look(self, service: Service) -> None:
        """Ask the database whether it is over, one thread at a time."""
        if self._takes_its_turn(service.clock.monotonic()) and service.scheduler.health().is_store_reachable:
            with self._lock:
                self._failed_at = None
            log.info("requests served again")

    def _takes_its_turn(self, now: float) -> bool:
        with self._lock:
            if not self.is_settled(now):
                return False
            # Unsettles it for the others, and for a while if the database still does not answer.
            self._failed_at = now
            return True


class OutageWatch:
    """Looks after a request, once no other has failed for a while, whether an outage is over."""

    def __init__(self, app: ASGIApp, *, unconcerned: str) -> None:
        """`unconcerned` is the path that has nothing to do with the database."""
        self.app = app
        self.unconcerned = unconcerned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await self.app(scope, receive, send)
        state = scope["app"].state
        if state.outage.is_on and scope["type"] == "http" and scope["path"] != self.unconcerned:
            await self._look(state.outage, state.service)

    async def _look(self, outage: Outage, service: Service) -> None:
        if outage.is_settled(service.clock.monotonic()):
            await run_in_threadpool(outage.look, service)
