"""A call in the lane of processes as the tests watch it: what it wrote, how it ended, how often."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine.call_ends import CallEnd
from engine.lanes.calls import FunctionReference, ProcessCall
from engine.lanes.entries import WrittenLine
from engine.lanes.process_call import CallHandle
from engine.lanes.process_lane import ProcessLane
from tests.fakes import REAL_SECONDS

FUNCTIONS = "tests.engine.lanes.functions"
NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def make_call(qualname: str, metadata: Any = None, *, module: str = FUNCTIONS, **overrides: Any) -> ProcessCall:
    fields: dict[str, Any] = {
        "function": FunctionReference(name=overrides.pop("name", qualname), module=module, qualname=qualname),
        "job_id": "a-job",
        "job_metadata": metadata,
        "run_id": "a-run",
        "scheduled_for": NOON,
        "attempt": 2,
        "log_keys": {"run_id": "a-run"},
    }
    return ProcessCall(**(fields | overrides))


@dataclass
class Watch:
    """Stands for the run path: counts and keeps all that it is told, in order."""

    gate: Callable[[], bool] = lambda: True
    told: list[str] = field(default_factory=list)
    lines: list[WrittenLine] = field(default_factory=list)
    ends: list[CallEnd] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)
    handle: CallHandle | None = None

    def submit(self, lane: ProcessLane, call: ProcessCall) -> "Watch":
        self.handle = lane.submit(call, started=self._started, ended=self._ended, wrote=self._wrote)
        return self

    def kill(self) -> None:
        assert self.handle is not None
        self.handle.kill()

    def end(self) -> CallEnd:
        assert self.is_over.wait(REAL_SECONDS), f"no end; {self.told[-3:]}"
        assert len(self.ends) == 1
        return self.ends[0]

    def await_line(self, start: str) -> str:
        """The first line that starts so."""
        with self.changed:
            assert self.changed.wait_for(lambda: self._found(start), REAL_SECONDS), f"no such line; {self.ends}"
        return self._found(start)[0]

    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    def _found(self, start: str) -> list[str]:
        return [line.text for line in self.lines if line.text.startswith(start)]

    def _started(self) -> bool:
        self.told.append("started")
        return self.gate()

    def _wrote(self, line: WrittenLine) -> None:
        with self.changed:
            self.lines.append(line)
            self.told.append("wrote")
            self.changed.notify_all()

    def _ended(self, end: CallEnd) -> None:
        self.ends.append(end)
        self.told.append("ended")
        self.is_over.set()


def run(lane: ProcessLane, qualname: str, metadata: Any = None, **overrides: Any) -> Watch:
    """Submit a call of one of the functions."""
    return Watch().submit(lane, make_call(qualname, metadata, **overrides))
