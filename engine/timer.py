"""The timer thread: waits for what is due and has it dispatched. It outlives whatever it calls (law 9)."""

import threading

from engine.agenda import Agenda
from engine.backoff import Backoff
from engine.dispatcher import Dispatcher
from engine.pausing import Pausing
from engine.ports import Clock


class Timer:
    """A daemon thread around `tick`. Started and stopped once, from the scheduler's thread."""

    def __init__(self, *, agenda: Agenda, dispatcher: Dispatcher, pausing: Pausing, clock: Clock) -> None:
        self._agenda = agenda
        self._dispatcher = dispatcher
        self._pausing = pausing
        self._clock = clock
        self._backoff = Backoff(
            clock=clock,
            condition=agenda.condition,
            is_stopping=lambda: agenda.is_stopped,
            failing="timer failing",
            over="timer works again",
        )
        self._ticked_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="scheduler-timer", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def is_failing(self) -> bool:
        """Whether its last turn failed: nothing is started then, however alive the thread is."""
        return self._backoff.is_pausing

    @property
    def seconds_since_tick(self) -> float | None:
        """How long ago the loop last came round; None before the first time."""
        return None if self._ticked_at is None else self._clock.monotonic() - self._ticked_at

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the thread to end after the agenda was stopped; says whether it did."""
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def tick(self) -> None:
        """One turn: wait once, dispatch what is due by then. The body of the loop; raises what the store raises."""
        self._ticked_at = self._clock.monotonic()
        self._dispatcher.settle_doubt()
        self._pausing.look_at_clock()
        self._dispatcher.dispatch(self._agenda.take_due())

    def _run(self) -> None:
        while not self._agenda.is_stopped:
            self._backoff.attempt(self.tick)
