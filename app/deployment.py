"""One process of the service: opens, starts, stops and closes the parts in their order."""

import atexit
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from socket import gethostname
from uuid import uuid4

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import Access
from api.application import attach_service
from app import VERSION
from app.exit_guard import ExitGuard
from app.first_key import show_first_key
from app.forks import let_go_in_children
from app.interpreter import serve_quickly, stop_serving
from app.patience import PatientStart
from app.settings import Settings
from engine.access import new_key_text
from engine.clock import DatabaseClock, SystemClock
from engine.key_ring import KeyRing
from engine.nodes import Presence
from engine.ports import Clock
from engine.requests import Capacity
from engine.retention import HistoryLimits
from engine.scheduler import Scheduler
from registry import JobFunction
from store import SqlStore, open_store

STOP_MARGIN_SECONDS = 15.0
"""What a stop may take beyond the grace: open requests, the last outcomes, closing the database."""


class Deployment:
    """Starts with the application's lifespan, or with its first request where the server speaks none, and can be
    started again after a stop, as test suites do. `flush_logs` is called when a stop is complete. A start waits for a
    database that is away, for `patience_seconds` at most."""

    def __init__(
        self,
        *,
        settings: Settings,
        functions: Mapping[str, JobFunction],
        flush_logs: Callable[[], object],
        show_key: Callable[[str], object] = show_first_key,
        patience_seconds: float = 0.0,
    ) -> None:
        """`show_key` is given the text of the first key, where there was none: nobody can tell it again."""
        self._show_key = show_key
        # One for all tries of a start: of the first it may be unknown whether the key was kept.
        self._first_key: str | None = new_key_text()
        self._settings = settings
        self._functions = functions
        self._flush_logs = flush_logs
        self._patient_start = PatientStart(clock=SystemClock(), seconds=patience_seconds)
        # Held over I/O, against law 5: a start must wait for the stop before it, and nothing else asks for it.
        self._lock = threading.Lock()
        self._store: SqlStore | None = None
        self._scheduler: Scheduler | None = None
        self._exit_guard = ExitGuard(
            limit_seconds=settings.stop_grace_seconds + STOP_MARGIN_SECONDS,
            on_signal=self.begin_stop,
            flush_logs=flush_logs,
        )

    @property
    def is_started(self) -> bool:
        """Whether requests can be served."""
        return self._scheduler is not None

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Start, serve, stop."""
        # Before the start, which a signal may end; and in this order, as the guard's handlers hide the server's.
        let_go_in_children()
        self._exit_guard.watch()
        await run_in_threadpool(self.start, app)
        try:
            yield
        finally:
            await run_in_threadpool(self.stop)

    def start(self, app: FastAPI) -> None:
        """Open the store and start the scheduler, once. Raises StoreRefused and, after the wait, StoreUnavailable."""
        with self._lock:
            if self._scheduler is None:
                self._patient_start.run(lambda: self._start(app))

    def start_without_lifespan(self, app: FastAPI) -> None:
        """Start, and stop when the interpreter ends."""
        self.start(app)
        atexit.register(self.stop)

    def begin_stop(self) -> None:
        """Wait for no database and claim nothing more from now on; the stop itself follows."""
        self._patient_start.end()
        # Without the lock, which a start or a stop may hold for long.
        scheduler = self._scheduler
        if scheduler is not None:
            scheduler.begin_stop()

    def stop(self) -> None:
        """Stop the scheduler and close the store. Does nothing if it is not started."""
        with self._lock:
            if self._scheduler is None or self._store is None:
                return
            self._scheduler.stop(grace_seconds=self._settings.stop_grace_seconds)
            self._store.close()
            self._scheduler = None
            stop_serving()
        self._flush_logs()
        self._exit_guard.stop_is_complete()

    def _start(self, app: FastAPI) -> None:
        """One try; it leaves nothing behind if it fails."""
        self._store = open_store(self._settings.database_url)
        clock = DatabaseClock(SystemClock())
        try:
            access = self._access(self._store, clock)
            scheduler = self._started_scheduler(self._store, clock)
        except BaseException:
            self._store.close()
            raise
        attach_service(app, scheduler=scheduler, store=self._store.views, clock=clock, access=access)
        serve_quickly()
        self._scheduler = scheduler

    def _access(self, store: SqlStore, clock: Clock) -> Access:
        keys = KeyRing(store=store.keys, clock=clock, new_id=uuid4)
        if self._settings.requires_key and self._settings.role.serves_api and self._first_key is not None:
            if keys.create_first(self._first_key):
                self._show_key(self._first_key)
            self._first_key = None
        return Access(
            keys,
            requires_key=self._settings.requires_key,
            serves_network=self._settings.serves_network,
            shows_documentation=self._settings.env == "development",
        )

    def _started_scheduler(self, store: SqlStore, clock: Clock) -> Scheduler:
        scheduler = Scheduler(
            store=store,
            functions=self._functions,
            clock=clock,
            capacity=Capacity(
                threads=self._settings.pool_size,
                processes=self._settings.process_pool_size,
                coroutines=self._settings.async_pool_size,
                process_memory_bytes=self._settings.process_memory_bytes,
            ),
            history=HistoryLimits(self._settings.history_days, self._settings.history_runs_per_job),
            presence=Presence(role=self._settings.role, version=VERSION, host=gethostname(), process_id=os.getpid()),
        )
        store.hold_node(scheduler.node)
        scheduler.start()
        store.watch(scheduler.changed)
        return scheduler


class StartWithFirstRequest:
    """Middleware for servers and test clients that run no lifespan: without it they would meet a service unstarted."""

    def __init__(self, app: ASGIApp, deployment: Deployment) -> None:
        self.app = app
        self.deployment = deployment

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and not self.deployment.is_started:
            await run_in_threadpool(self.deployment.start_without_lifespan, scope["app"])
        await self.app(scope, receive, send)
