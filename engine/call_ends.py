"""How a call of a job function came back: plain values, so that they also cross from a worker process."""

import inspect
from typing import Any

from engine.limits import MAX_REASON_LENGTH, MAX_RETRY_DELAY_SECONDS
from engine.nouns import RunError
from engine.text import clean_text, describe_error, encode_result
from engine.values import quick_dataclass
from registry import Cancel, JobFunction, Retry, UnsuitableFunction


@quick_dataclass(frozen=True, slots=True)
class Returned:
    """It returned. `result_json` is the result as JSON; `reason` says why there is none that could be kept."""

    result_json: str | None = None
    reason: str | None = None


@quick_dataclass(frozen=True, slots=True)
class Raised:
    """It raised. A final error is not worth another attempt; `retry_after_seconds` is the delay that it asked for."""

    error: RunError
    is_final: bool = False
    retry_after_seconds: float | None = None


@quick_dataclass(frozen=True, slots=True)
class GaveUp:
    """It raised Cancel, with this reason."""

    reason: str


@quick_dataclass(frozen=True, slots=True)
class Killed:
    """Its call was ended from outside, because the run was to be cancelled or its time was over."""


@quick_dataclass(frozen=True, slots=True)
class Died:
    """Its worker process ended under it by itself, as `reason` says: a crash, an exit, a lack of memory."""

    reason: str


CallEnd = Returned | Raised | GaveUp | Killed | Died


def end_of_return(function: JobFunction, result: Any) -> CallEnd:
    """What a returned value means: never raises, whatever object it is."""
    unfinished = _unfinished(function, result)
    if unfinished is not None:
        return Raised(describe_error(unfinished))
    result_json, reason = encode_result(result)
    return Returned(result_json, reason)


def end_of_raise(function: JobFunction, error: BaseException) -> CallEnd:
    """What a raised exception means: never raises, whatever its class does."""
    if isinstance(error, Cancel):
        return GaveUp(_text(error.reason) or "the function cancelled its run")
    if isinstance(error, Retry):
        return Raised(describe_error(error), retry_after_seconds=_delay(error.after))
    return Raised(describe_error(error), is_final=isinstance(error, function.final_errors))


def _delay(seconds: Any) -> float | None:
    try:
        # HTTP's Retry-After is a text.
        asked = float(seconds)
    except (TypeError, ValueError, OverflowError):
        return None
    return min(asked, MAX_RETRY_DELAY_SECONDS) if asked >= 0 else None


def _text(reason: Any) -> str:
    return clean_text(reason, at_most=MAX_REASON_LENGTH) if isinstance(reason, str) else ""


def _unfinished(function: JobFunction, result: Any) -> UnsuitableFunction | None:
    """What is only a promise of work: a wrapper may hide from the registry that its function is one."""
    if inspect.iscoroutine(result) or inspect.isgenerator(result):
        result.close()
    elif not inspect.isawaitable(result):
        return None
    return UnsuitableFunction(
        f'job function "{function.name}" returned {type(result).__name__}, of which nothing has run: '
        "use a plain def or async def"
    )
