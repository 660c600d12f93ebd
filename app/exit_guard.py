"""The end of the process after a stop signal, also when a job function never returns."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)

LINGER_SECONDS = 2.0
"""What the server gets, once the stop is complete, to end the process by itself."""


class ExitGuard:
    """After a stop signal, tells the deployment at once and ends the process when its time is over.

    Python waits at its exit for the threads of every pool, so one function that never returns would hold the process
    for ever. The server's own handlers are called as well: this only listens. Signals reach the main thread only.
    """

    def __init__(
        self, *, limit_seconds: float, on_signal: Callable[[], None], flush_logs: Callable[[], object]
    ) -> None:
        self._limit_seconds = limit_seconds
        self._on_signal = on_signal
        self._flush_logs = flush_logs
        self._is_signalled = False
        self._is_stopped = threading.Event()

    def watch(self) -> None:
        """Listen from now on, where the server has handlers of its own (a test client has none)."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            known = signal.getsignal(number)
            if callable(known) and known is not signal.default_int_handler:
                signal.signal(number, self._listening_before(known))

    def stop_is_complete(self) -> None:
        """The stop came to its end; what holds the process now is not worth waiting for."""
        self._is_stopped.set()

    def _listening_before(
        self, known: Callable[[int, FrameType | None], object]
    ) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            if not self._is_signalled:
                self._is_signalled = True
                # A thread, because a handler runs inside whatever the main thread is doing, locks and all.
                threading.Thread(target=self._see_it_through, name="exit-guard", daemon=True).start()
            known(number, frame)

        return handle

    def _see_it_through(self) -> None:
        self._on_signal()
        # Events and not the clock (law 8): real time is what an operator waits for, whatever the engine's clock says.
        is_stopped = self._is_stopped.wait(self._limit_seconds)
        threading.Event().wait(LINGER_SECONDS)
        self._flush_logs()
        os._exit(0 if is_stopped else 1)
