"""The loggers of the service's own events, of which each run has two: they go to the log pipe without a detour."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import structlog
from structlog.typing import EventDict

from app.log_lines import LogEvent
from engine.clock import SystemClock
from engine.log_capture import LOGGER_OF_RUNS, OUR_LOGGERS, STRUCTLOG_FACTS

_CLOCK = SystemClock()


class OwnLoggers:
    """Loggers for structlog. Those of the service's own events go to the pipe without a detour, while nobody else
    listens: a record of the logging module costs several times as much, and each run logs two events."""

    def __init__(self, put: Callable[[LogEvent], None], *, handlers: Sequence[logging.Handler]) -> None:
        self._put = put
        self._handlers = list(handlers)
        self._known: dict[str, DirectLogger] = {}

    def logger_named(self, *names: str) -> "DirectLogger | logging.Logger":
        """A logger of this name; of ours if it is one of the service's own, but for those of job functions."""
        if not names or names[0] == LOGGER_OF_RUNS or not names[0].startswith(f"{OUR_LOGGERS}."):
            return logging.getLogger(*names)
        known = self._known.get(names[0])
        if known is None:
            known = self._known.setdefault(names[0], DirectLogger(names[0], self._put, self._handlers))
        return known


class DirectLogger:
    """A logger that makes an event of the pipe, or a record of the logging module if somebody else may want that."""

    def __init__(self, name: str, put: Callable[[LogEvent], None], handlers: list[logging.Handler]) -> None:
        self._name = name
        self._put = put
        self._handlers = handlers
        self._logger = logging.getLogger(name)
        self._root = logging.getLogger()

    def debug(self, message: str, **keywords: Any) -> None:
        self._log("debug", message, keywords)

    def info(self, message: str, **keywords: Any) -> None:
        self._log("info", message, keywords)

    def warning(self, message: str, **keywords: Any) -> None:
        self._log("warning", message, keywords)

    def error(self, message: str, **keywords: Any) -> None:
        self._log("error", message, keywords)

    def critical(self, message: str, **keywords: Any) -> None:
        self._log("critical", message, keywords)

    def exception(self, message: str, **keywords: Any) -> None:
        self._log("error", message, {"exc_info": True, **keywords})

    def tell(self, word: str, message: object, facts: dict[str, Any]) -> bool:
        """Make an event of the pipe at once; False, and nothing is done, if somebody else may want a record."""
        if not self._is_alone():
            return False
        if self._logger.isEnabledFor(_LEVELS[word]):
            facts = {**structlog.contextvars.get_contextvars(), **facts}
            self._put(LogEvent(_CLOCK.now().timestamp(), word, self._name, message, facts))
        return True

    def _log(self, word: str, message: str, keywords: dict[str, Any]) -> None:
        if len(keywords) > 1 or not self.tell(word, message, keywords["extra"][STRUCTLOG_FACTS]):
            self._logger.log(_LEVELS[word], message, **keywords)

    def _is_alone(self) -> bool:
        """Whether a record would come to our handlers, and to no other, and no filter would see it."""
        if self._root.handlers != self._handlers or self._root.filters:
            return False
        logger: logging.Logger | None = self._logger
        while logger is not None and logger is not self._root:
            if logger.handlers or logger.filters or logger.disabled or not logger.propagate:
                return False
            logger = logger.parent
        return True


def bound_logger(level: int) -> type[structlog.typing.FilteringBoundLogger]:
    """What structlog is to wrap loggers in: its own, which drops what is below the level; but an event of ours that
    nobody else would see goes to the pipe as it is, and not through structlog's processors, which cost as much again.
    """
    filtering: Any = structlog.make_filtering_bound_logger(level)

    class BoundLogger(filtering):  # type: ignore[misc]  # structlog makes the class for the level
        def _proxy_to_logger(self, method_name: str, event: str | None = None, *args: Any, **facts: Any) -> Any:
            if self._is_plain(method_name, args, facts) and self._logger.tell(
                method_name, event, self._context | facts
            ):
                return None
            return super()._proxy_to_logger(method_name, event, *args, **facts)

        def _is_plain(self, method_name: str, args: Sequence[Any], facts: Mapping[str, Any]) -> bool:
            is_ours = type(self._logger) is DirectLogger and self._processors == _OUR_PROCESSORS
            return is_ours and method_name in _LEVELS and not args and _TRACES.isdisjoint(facts)

    return cast("type[structlog.typing.FilteringBoundLogger]", BoundLogger)


def _to_record(_logger: object, _method: str, event: EventDict) -> tuple[tuple[object], dict[str, Any]]:
    """The last processor: the event as message and the facts beside it, for handlers of other makers as well."""
    keywords = {name: event.pop(name) for name in _TRACES if name in event}
    message = event.pop("event", None)
    return (message,), {**keywords, "extra": {STRUCTLOG_FACTS: cast("dict[str, object]", event)}}


PROCESSORS: list[structlog.typing.Processor] = [_to_record]
_OUR_PROCESSORS = [_to_record]
"""The same, to compare with: structlog's capture_logs changes the list that is in use."""
_LEVELS = {
    word: logging.getLevelNamesMapping()[word.upper()] for word in ("debug", "info", "warning", "error", "critical")
}
"""By the methods that say no more than their level."""
_TRACES = frozenset({"exc_info", "stack_info"})
"""The facts that only a record can carry."""
