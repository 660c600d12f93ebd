"""A process with the real engine in it: the only file that knows how the engine is put together inside."""

import sys
import threading
from collections.abc import Callable, Collection, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import structlog

import engine.lanes.start_line
import engine.watcher
import store.pause_rows
from engine.clock import DatabaseClock
from engine.nouns import Assignment
from engine.requests import Capacity
from engine.scheduler import Scheduler
from registry import FunctionRegistry, Lane
from tests.simulation.calls import Entry, entry_of
from tests.simulation.clock import MachineClock, instant, microseconds_of
from tests.simulation.database import Change, Hooks, Host, SimulatedStore, Transactions, the_database
from tests.simulation.faults import Faults
from tests.simulation.ledger import Commit
from tests.simulation.rules import Rules
from tests.simulation.threads import Pool, Threading
from tests.simulation.world import SECOND, Actor, Process, World

WAITING_RECHECK_SECONDS = 5.0
"""Instead of 30 s: a seed has not got the time to wait for the net."""

BEATS = {"node_started", "node_seen"}
"""What a heartbeat writes, after it has asked for the time."""


@contextmanager
def cooperative_engine(world: World, *, is_verbose: bool = False) -> Iterator[None]:
    """The engine's modules with actors for threads, and silent."""
    threads = Threading(world)
    patched: list[tuple[Any, str, Any]] = [
        (module, "threading", threads)
        for name, module in list(sys.modules.items())
        if name.startswith("engine.") and getattr(module, "threading", None) is threading
    ]
    patched += [
        (engine.lanes.start_line, "ThreadPoolExecutor", lambda max_workers, **_: Pool(world, max_workers=max_workers)),
        (engine.watcher, "WAITING_RECHECK_SECONDS", WAITING_RECHECK_SECONDS),
        (store.pause_rows, "uuid4", lambda: random_id(world)),
    ]
    kept = [(target, name, getattr(target, name)) for target, name, _ in patched]
    logging = structlog.get_config()
    _configure_logs(world, is_verbose=is_verbose)
    for target, name, value in patched:
        setattr(target, name, value)
    try:
        yield
    finally:
        for target, name, value in kept:
            setattr(target, name, value)
        structlog.configure(**logging)


def random_id(world: World) -> UUID:
    """A fresh id, the same in each replay."""
    return UUID(int=world.random.getrandbits(128), version=4)


class NodeProcess(Process):
    """One node, from its start to its end."""

    def __init__(
        self,
        name: str,
        *,
        world: World,
        faults: Faults,
        rules: Rules,
        functions: FunctionRegistry,
        threads: int,
        gone_nodes: Callable[[Collection[UUID]], set[UUID]],
        is_one_host: bool,
        tell_others: Callable[[Any], None],
    ) -> None:
        super().__init__(name)
        self.world = world
        self.faults = faults
        self.rules = rules
        skew = None if is_one_host else world.random.randint(-30 * SECOND, 30 * SECOND)
        self.machine = MachineClock(world, monotonic_zero=world.random.getrandbits(30), skew=skew)
        machine: Any = self.machine
        self.clock: Any = machine if is_one_host else DatabaseClock(machine)
        self.is_one_host = is_one_host
        self.tell_others = tell_others
        self.feed: Actor | None = None
        self.troubled_until = world.now
        self.is_ready = False
        self.is_stopping = False
        self.threads = threads
        hooks = Hooks(self._before, self._committed, self._after, lambda: None if is_one_host else tell_others(self))
        self.store = SimulatedStore(
            Transactions(the_database(), hooks),
            Host(gone_nodes),
            time_of=None if is_one_host else lambda: instant(world.now),
        )
        self.scheduler = Scheduler(
            store=self.store,
            functions=functions,
            clock=self.clock,
            capacity=Capacity(threads=threads),
            new_id=lambda: random_id(world),
        )
        self._watch_entries()

    @property
    def node(self) -> UUID:
        return self.scheduler.node

    @property
    def is_gone(self) -> bool:
        return self.is_dead or self.is_stopping

    @property
    def answers(self) -> bool:
        """Whether it takes requests."""
        return self.is_ready and not self.is_gone and not self.is_frozen

    def start(self) -> None:
        """What the process does first; it dies if it cannot start, as a service does."""
        try:
            self.scheduler.start()
        except Exception as error:  # noqa: BLE001 - StoreUnavailable, or what a mutant makes of it
            self.world.note(f"start failed: {error}")
            self.die()
        self.is_ready = True
        self.feed = self.world.spawn(f"{self.name} feed", self, self._follow_changes)

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM."""
        self.is_stopping = True
        self.world.note(f"STOP {self.name}")
        self.scheduler.stop(grace_seconds=grace_seconds)
        self.die()

    def die(self) -> None:
        """Nothing of it goes on."""
        self.world.kill(self)

    def _follow_changes(self) -> None:
        """A thread of the store: says that another process may have changed something, soon after it has."""
        while True:
            self.world.park(None)
            self.world.pass_time(int(self.world.random.random() * SECOND / 5))
            self.scheduler.changed()

    # --- what it looks like inside ---

    def reads_clock(self) -> int:
        """What its clock shows, for who only watches."""
        world, rate = self.world, self.world.brush_rate
        world.brush_rate = 0.0
        shown = microseconds_of(self.clock.now())
        world.brush_rate = rate
        return shown

    @property
    def free_permits(self) -> int:
        return self.scheduler._agenda._free[Lane.THREAD]

    @property
    def tickets(self) -> int:
        return len(self.scheduler._gate)

    @property
    def unrecorded(self) -> int:
        return len(self.scheduler._recorder)

    @property
    def queued_runs(self) -> list[Assignment]:
        """Those that wait for their instant or for a thread, but for claims that were taken back."""
        tickets = self.scheduler._gate._tickets
        line = self.scheduler._runner.lanes.threads._line._line
        return [assignment for _, _, assignment in line if assignment.run.id in tickets]

    def _watch_entries(self) -> None:
        path = self.scheduler._runner.lanes._run_path
        enter = path.enter

        def watched(assignment: Assignment) -> bool:
            is_let_in = enter(assignment)
            if is_let_in:
                self._entered(assignment)
            return is_let_in

        path.enter = watched  # type: ignore[method-assign]  # to see what happens at the gate

    def _entered(self, assignment: Assignment) -> None:
        if self.is_dead:
            return
        ticket = self.scheduler._gate._tickets.get(assignment.run.id)
        is_forced = ticket is not None and ticket.is_forced
        slot = microseconds_of(assignment.run.scheduled_for)
        entry: Entry = entry_of(self, assignment.run, slot=slot, is_forced=is_forced, at=self.world.now)
        self.world.note(f"enter {entry.run_id} attempt {entry.attempt}")
        self.rules.entered(entry, getattr(assignment.run, "claim_id", None))
        if self.free_permits > self.threads:
            self.rules.violated(f"{self.name} has {self.free_permits} permits of {self.threads}")
        claimed = sum(each.run.trigger.value != "manual" for each in self.queued_runs)
        claimed += sum(each.process is self and each.trigger != "manual" for each in self.rules.calls.going_on)
        if claimed > max(self.threads, self.rules.came_home(self.node)):
            self.rules.violated(f"{self.name} claimed {claimed} runs at once and has {self.threads} threads")
        self.faults.point(self, "enter", "after", writes=False)

    # --- the points around its transactions ---

    def _before(self, verb: str, writes: bool) -> None:
        self.world._check(self.world._self())
        actor = self.world.current
        if actor is not None:
            # A heartbeat begins with its question for the time: it writes down the answer.
            if not (verb in BEATS and actor.verb == "time"):
                actor.verb_began_at = self.world.now
            actor.verb = verb
        self.faults.point(self, verb, "before", writes=writes)

    def _committed(self, verb: str, changes: list[Change]) -> None:
        world = self.world
        world.note(f"{verb} {len(changes)}")
        if changes or verb.endswith("global_pause"):
            if self.is_one_host:
                # Each commit is seen, whatever it is about.
                self.tell_others(self)
            self.rules.ledger.commits += 1
            request = None if world.current is None else world.current.request
            began_at = world.now if world.current is None else world.current.verb_began_at
            self.rules.committed(Commit(self.rules.ledger.commits, world.now, began_at, verb, self, request), changes)

    def _after(self, verb: str, writes: bool) -> None:
        self.faults.point(self, verb, "after", writes=writes)


def _configure_logs(world: World, *, is_verbose: bool) -> None:
    def tell(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        keys = " ".join(f"{key}={value}" for key, value in event.items() if key not in ("event", "exc_info"))
        world.note(f"log: {event['event']} {keys}")
        raise structlog.DropEvent

    level = 20 if is_verbose else 50
    structlog.configure(processors=[tell], wrapper_class=structlog.make_filtering_bound_logger(level))
