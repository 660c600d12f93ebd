"""Waiting in real time: for a condition with a generous bound, or for an instant."""

import time
from collections.abc import Callable
from threading import Event

REAL_SECONDS = 120.0
"""How long something is waited for that should happen within seconds on a quiet machine."""

POLL_SECONDS = 0.02


def pause(seconds: float) -> None:
    """Let real time go by."""
    Event().wait(seconds)


def wait_until(
    condition: Callable[[], object], what: str, *, seconds: float = REAL_SECONDS, poll_seconds: float = POLL_SECONDS
) -> float:
    """Returns the seconds that it took; raises TimeoutError with `what` was waited for."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"waited {seconds:g} s in vain: {what}")
        pause(poll_seconds)
    return time.monotonic() - began


def wait_until_instant(at: int) -> None:
    """Until the wall clock shows this instant, in microseconds since 1970."""
    pause(max(0.0, at / 1_000_000 - time.time()))
