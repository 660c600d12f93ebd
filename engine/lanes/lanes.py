"""The three lanes together: which run goes where, started when there is something for them."""

import threading
from collections.abc import Callable, Mapping

from engine.lanes.drivers import Driver, LoopDriver, ProcessDriver, ThreadDriver
from engine.lanes.loop_lane import LoopLane
from engine.lanes.process_lane import ProcessLane
from engine.lanes.start_line import StartLine
from engine.limits import LANE_SECONDS_AT_STOP
from engine.nouns import Assignment
from engine.ports import Clock
from engine.run_path import RunPath
from registry import JobFunction, Lane


class Lanes:
    """Starts runs, each in the lane of its function. May be used from any thread.

    Worker processes and the loop of coroutines are there only if some function needs them.
    """

    def __init__(
        self,
        *,
        run_path: RunPath,
        functions: Mapping[str, JobFunction],
        clock: Clock,
        permits: Mapping[Lane, int],
        memory_limit_bytes: int | None,
        patience_seconds: float,
        not_taken: Callable[[Assignment, Exception], None],
    ) -> None:
        """`not_taken` is called, from any thread, with a run that its lane did not take after all."""
        self._run_path = run_path
        self._functions = functions
        self._clock = clock
        self._permits = permits
        self._memory_limit_bytes = memory_limit_bytes
        # Held while a lane starts, against law 5: a second run of a lane must not start it a second time.
        self._lock = threading.Lock()
        self._is_stopped = False
        self._not_taken = not_taken
        # The other lanes have no threads that could wait for an instant.
        self._line = StartLine(clock=clock, threads=1, name="scheduler-start", run=self._start_in_lane)
        self.loop: LoopLane | None = None
        self.processes: ProcessLane | None = None
        self.threads = ThreadDriver(
            run_path, clock=clock, threads=permits[Lane.THREAD], patience_seconds=patience_seconds
        )
        self._drivers: dict[Lane, Driver] = {Lane.THREAD: self.threads}

    def start_ahead(self) -> None:
        """Start the lanes that registered functions need, so that no first run waits for its lane."""
        for lane in {function.lane for function in self._functions.values()}:
            self._driver(lane)

    def start(self, assignment: Assignment) -> None:
        """Have the run start in its lane at its instant; raises if there can be no thread for it."""
        if self._run_path.function_of(assignment).lane is Lane.THREAD:
            self.threads.start(assignment)
        else:
            self._line.put(assignment)

    def stop(self) -> None:
        """End what can be ended."""
        with self._lock:
            self._is_stopped = True
            drivers = list(self._drivers.values())
        self._line.stop()
        for driver in drivers:
            driver.stop(LANE_SECONDS_AT_STOP)

    def _start_in_lane(self, assignment: Assignment) -> float:
        try:
            self._driver(self._run_path.function_of(assignment).lane).start(assignment)
        except Exception as error:  # noqa: BLE001 - the lane is shut, or there is no thread or memory for another run
            self._not_taken(assignment, error)
        return 0.0

    def _driver(self, lane: Lane) -> Driver:
        with self._lock:
            if lane not in self._drivers:
                if self._is_stopped:
                    raise RuntimeError(f"the lane {lane} is not started any more")
                self._drivers[lane] = self._new_process_driver() if lane is Lane.PROCESS else self._new_loop_driver()
            return self._drivers[lane]

    def _new_loop_driver(self) -> LoopDriver:
        self.loop = LoopLane(clock=self._clock)
        self.loop.start()
        return LoopDriver(self._run_path, self.loop)

    def _new_process_driver(self) -> ProcessDriver:
        modules = {function.call.__module__ for function in self._functions.values() if function.lane is Lane.PROCESS}
        self.processes = ProcessLane(
            workers=self._permits[Lane.PROCESS],
            memory_limit_bytes=self._memory_limit_bytes,
            modules=tuple(sorted(modules)),
        )
        self.processes.start()
        return ProcessDriver(self._run_path, self.processes)
