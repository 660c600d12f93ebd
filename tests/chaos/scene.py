"""A scene: servers on one database, jobs on grids that the judge knows, the lines of their bodies, and the faults."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.bodies import LINES_FILE
from tests.chaos.checks import Story, nothing_is_stuck, slots_and_rows
from tests.chaos.facts import SECOND, Fault, Grid, Line, as_text, lines_of
from tests.chaos.fleet import Fleet
from tests.chaos.run_table import RunTable
from tests.chaos.verdict import Verdict, judge
from tests.chaos.waiting import pause, wait_until_instant

SETTLE_SECONDS = 150.0
"""So long after the last fault everything must be over that was due before. A lost run should take no more than 20."""

TOLD_EVENTS = 8

LEAD_SECONDS = 1.5
"""How long before its first slot a job is created. Creating one takes some 10 ms on a quiet machine."""


@dataclass(frozen=True)
class Place:
    """A database: how the service names it, and how the judge reads it."""

    kind: str
    url: str
    table: RunTable
    folder: Path


@dataclass
class Scene:
    place: Place
    fleet: Fleet
    faults: list[Fault] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    reads_true_time: bool = False
    """Whether the lines count on the clock that no tool shifts, in place of the one that the service sees."""
    _read: int = 0
    _open: dict[tuple[str, int], Line] = field(default_factory=dict)
    _working: set[int] = field(default_factory=set)

    @property
    def lines_file(self) -> Path:
        return lines_file(self.place)

    def add_jobs(self, count: int, function: str, *, interval: float = 1.0, **fields: Any) -> None:
        """Jobs whose slots lie evenly spread over the interval."""
        wanted = {"function_name": function, "interval_seconds": interval} | fields
        # The first request of a process takes longer, as much is made for it.
        self.fleet.call("POST", "/jobs?dry_run=true", json={"name": function} | wanted)
        start, step = now(), round(interval * SECOND)
        for index in range(count):
            phase = start + step * index // count
            self.grids.append(self._created({"name": f"{function} {index}"} | wanted, phase, step))

    def _created(self, wanted: dict[str, Any], phase: int, step: int) -> Grid:
        """A job whose slots lie on `phase + k * step`, the first of them after it was there for certain."""
        lead = round(LEAD_SECONDS * SECOND)
        while True:
            at = phase - (phase - now() - lead) // step * step
            job = self.fleet.call("POST", "/jobs", json=wanted | {"start_at": as_text(at)})
            if now() < at:
                return Grid(job["id"], at, step, overlaps=wanted.get("overlap_policy") == "allow")
            self.fleet.call("DELETE", f"/jobs/{job['id']}?confirm=true")
            lead *= 2

    def fault(self, kind: str, *, pid: int | None = None, since: int | None = None, witnesses: int = 0) -> None:
        """Write down a fault that is over now, and began now or `since`."""
        self.faults.append(Fault(kind, since or now(), now(), pid, witnesses))

    def await_slots(self) -> None:
        """Until each job has had its first."""
        wait_until_instant(max(grid.start_at for grid in self.grids) + SECOND // 10)

    def new_lines(self) -> list[Line]:
        """What bodies wrote since the last look."""
        if not self.lines_file.exists():
            return []
        with self.lines_file.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return lines_of(whole.decode(), steady_to_wall=self._steady_to_wall())

    def in_flight(self) -> list[Line]:
        """Starts in processes that are alive, without their end so far."""
        for line in self.new_lines():
            self._working.add(line.pid)
            if line.kind == "start":
                self._open[line.run_id, line.attempt] = line
            else:
                self._open.pop((line.run_id, line.attempt), None)
        alive = set(self.fleet.pids())
        self._working &= alive
        self._open = {key: line for key, line in self._open.items() if line.pid in alive}
        return list(self._open.values())

    def others_at_work(self, pid: int) -> int:
        """How many of the processes that are alive have run something, as far as `in_flight` has seen."""
        return len(self._working - {pid})

    def finish(self, **limits: Any) -> Verdict:
        """Wait until all is over that was due by now, stop everything, and judge."""
        horizon = now()
        stuck = self._settle(horizon)
        self.fleet.stop()
        lines = lines_of(self.lines_file.read_text(), steady_to_wall=self._steady_to_wall())
        rows = self.place.table.rows()
        # As evidence: a schema on a server of the tests is gone with it.
        (self.place.folder / "rows.txt").write_text("".join(f"{row}\n" for row in rows))
        (self.place.folder / "faults.txt").write_text("".join(f"{fault}\n" for fault in self.faults))
        story = Story(self.grids, rows, lines, horizon=horizon, faults=self.faults, **limits)
        verdict = judge(story, stuck, collapses=self.fleet.collapses)
        told = self.fleet.events().most_common(TOLD_EVENTS)
        verdict.facts["in the logs"] = ", ".join(f"{count} x {event}" for event, count in told) or "nothing"
        return verdict

    def _settle(self, horizon: int) -> Story:
        """The rows when nothing was open any more, or when that was waited for long enough."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            self.fleet.revive()
            story = Story(self.grids, self.place.table.rows(), [], horizon=horizon)
            is_over = not any(nothing_is_stuck(story)) and not any(slots_and_rows(story))
            if is_over or time.monotonic() > deadline:
                return story
            pause(0.5)

    def _steady_to_wall(self) -> float | None:
        return wall_behind_steady() if self.reads_true_time else None


@contextmanager
def scene(
    place: Place,
    sizes: Sequence[int],
    *,
    environments: Sequence[Mapping[str, str]] = (),
    reads_true_time: bool = False,
    **settings: str,
) -> Iterator[Scene]:
    """Servers of these sizes on the place, ready; gone at the end, whatever happens."""
    environment = {
        "DATABASE_URL": place.url,
        "JOB_MODULES": "tests.chaos.bodies",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "WARNING",
        "HISTORY_DAYS": "0",
        "HISTORY_RUNS_PER_JOB": "0",
        "STOP_GRACE_SECONDS": "5",
        LINES_FILE: str(lines_file(place)),
    }
    fleet = Fleet(place.folder, sizes, environment=environment | settings, environments=environments)
    with fleet.running():
        yield Scene(place, fleet, reads_true_time=reads_true_time)


def lines_file(place: Place) -> Path:
    return place.folder / "lines.jsonl"


def wall_behind_steady() -> float:
    """What the wall clock shows more than the monotonic one, in seconds: by the reading that was interrupted least."""

    def reading() -> tuple[float, float]:
        before, wall, after = time.monotonic(), time.time(), time.monotonic()
        return after - before, wall - before

    return min(reading() for _ in range(20))[1]


def now() -> int:
    return round(time.time() * SECOND)
