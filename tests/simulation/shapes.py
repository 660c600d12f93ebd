"""Narrow shapes: one fault, or one edit, at one exact point, where by chance it would hardly ever come."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from tests.simulation.clients import KINDS
from tests.simulation.faults import LEASE, Trigger
from tests.simulation.plans import Plan
from tests.simulation.world import SECOND

Shape = Callable[[Any, Random], None]

EDITS = {"change": 5, "pause": 4, "delete": 4, "pause_all": 2, "rename": 1, "pause_until": 1, "resume": 1, "cancel": 2,
         "run_now": 1, "run_forced": 1}  # fmt: skip
"""What comes at the worst moment, and how often."""


FAVOURED = {
    "add_manual_run": ("run_now", "run_forced"),
    "replace_job": ("change", "pause", "resume"),
    "delete_job": ("delete", "create"),
    "add_job": ("create",),
    "end_waiting": ("cancel",),
    "begin_global_pause": ("pause_all", "resume_all"),
    "end_global_pause": ("pause_all", "resume_all"),
}
"""The requests that come to a verb which no loop calls."""


def crash_between_claim_and_outcome(simulation: Any, random: Random) -> None:
    """Before or after the claim's commit, at the gate, before or after the outcome's commit."""
    verb, phase = random.choice(
        [("advance", "before"), ("advance", "after"), ("enter", "after"), ("finish", "before"), ("finish", "after"),
         ("start_waiting", "before"), ("start_waiting", "after"), ("add_manual_run", "after")]
    )  # fmt: skip
    for nth in (random.randint(1, 4), random.randint(5, 9)):
        _at(simulation, verb, phase, nth, simulation.faults.crash)


def lost_answer(simulation: Any, random: Random) -> None:
    """Of one verb, before or after its commit, once or twice in a row."""
    verb = random.choice(["advance", "advance", "start_waiting", "start_waiting", "finish", "finish", "add_manual_run",
                          "replace_job", "delete_job", "add_job", "end_waiting", "begin_global_pause",
                          "end_global_pause"])  # fmt: skip
    phase = random.choice(["before", "after", "after"])
    nth = random.randint(1, 5)
    for each in range(nth, nth + random.choice([1, 1, 2])):
        _at(simulation, verb, phase, each, lambda one: simulation.faults.lose_answer(one, is_written=phase == "after"))


def lost_start(simulation: Any, random: Random) -> None:
    """The answer to the start of a run that waited, which other nodes try to start as well."""
    phase = random.choice(["before", "after"])
    for nth in random.sample(range(1, 8), 3):
        _at(
            simulation,
            "start_waiting",
            phase,
            nth,
            lambda one: simulation.faults.lose_answer(one, is_written=phase == "after"),
        )


def late_outcome(simulation: Any, random: Random) -> None:
    """A node stands still in a call until its run is lost and tried again elsewhere."""
    simulation.plan.has_retries = True
    length = LEASE + int(random.uniform(2, 8) * SECOND)
    verb, phase = random.choice([("enter", "after"), ("finish", "before")])
    _at(simulation, verb, phase, random.randint(1, 2), lambda one: simulation.faults.freeze(one, length))


def edit_at_a_claim(simulation: Any, random: Random) -> None:
    """An edit from begin to answer while a claim stands before or after its commit, or a run at the gate."""
    verb, phase = random.choice(
        [("advance", "before"), ("advance", "after"), ("advance", "after"), ("start_waiting", "before"),
         ("start_waiting", "after"), ("enter", "after"), ("jobs_by_id", "after"), ("waiting_runs", "after"),
         ("add_manual_run", "before"), ("add_manual_run", "after")]
    )  # fmt: skip
    for nth in random.sample(range(1, 8), 3):
        _at(simulation, verb, phase, nth, _edit(simulation, _any_edit(random)))


def edit_crosses_a_claim(simulation: Any, random: Random) -> None:
    """An edit that was decided before a slot is written after the claim of it was decided, and before that is."""
    world, held = simulation.world, list[Any]()

    def hold(_: Any) -> None:
        held.append(world.current)
        world.park(int(random.uniform(1, 4) * SECOND))

    def let_go(_: Any) -> None:
        edit = held.pop()
        world.wake(edit)
        world.join(edit, 3 * SECOND)

    for nth in range(1, 6):
        _at(simulation, "replace_job", "before", nth, hold)
    for _ in range(5):
        simulation.faults.triggers.append(Trigger("advance", "before", let_go, when=lambda _: bool(held)))


def edit_at_an_edit(simulation: Any, random: Random) -> None:
    """Two edits at once."""
    for nth in random.sample(range(1, 10), 4):
        verb = random.choice(["replace_job", "delete_job", "begin_global_pause", "end_global_pause", "job"])
        _at(simulation, verb, random.choice(["before", "after"]), nth, _edit(simulation, random.choice(KINDS)))


def edit_at_an_outcome(simulation: Any, random: Random) -> None:
    """A cancellation, a deletion, a pause while an outcome is being written."""
    for nth in random.sample(range(1, 8), 3):
        kind = random.choice(["cancel", "cancel", "delete", "pause", "run_now", "change"])
        _at(simulation, "finish", random.choice(["before", "after"]), nth, _edit(simulation, kind))


def freeze_at_a_claim(simulation: Any, random: Random) -> None:
    """The node stands still between its claim's commit, the gate, the call and the outcome, for more than a lease."""
    verb, phase = random.choice(
        [("advance", "before"), ("advance", "after"), ("enter", "after"), ("finish", "before"),
         ("start_waiting", "after"), ("jobs_by_id", "after")]
    )  # fmt: skip
    length = LEASE + int(random.random() * 6 * SECOND)
    # So that what was lost is tried again, and goes on when the node comes back.
    simulation.plan.has_queues |= random.random() < 0.6
    _at(simulation, verb, phase, random.randint(1, 3), _freeze(simulation, length, random))


def slow_store(simulation: Any, random: Random) -> None:
    """One verb takes seconds, and an edit comes in between."""
    verb = random.choice(["advance", "start_waiting", "finish", "jobs_by_id", "replace_job"])
    phase, length = random.choice(["before", "after"]), int(random.uniform(0.5, 6) * SECOND)
    kind = _any_edit(random)

    def act(process: Any) -> None:
        _edit(simulation, kind)(process)
        simulation.faults.slow_down(process, length)

    for nth in random.sample(range(1, 8), 2):
        _at(simulation, verb, phase, nth, act)


def clock_step(simulation: Any, random: Random) -> None:
    """The wall clock is set at a claim or an edit."""
    for nth in random.sample(range(1, 8), 2):
        verb = random.choice(["advance", "jobs_by_id", "replace_job", "start_waiting", "job"])
        step = random.choice([-20, -3, -0.1, 0.1, 3, 20]) * SECOND
        _at(simulation, verb, "before", nth, partial(_step, simulation, round(step)))


def returning_node(simulation: Any, random: Random) -> None:
    """A node stands still for about as long as others wait for it, and whoever buries it is slow, or dies of it."""
    verb, phase = random.choice(
        [("advance", "after"), ("enter", "after"), ("finish", "before"), ("node_seen", "before"),
         ("start_waiting", "after")]
    )  # fmt: skip
    length = LEASE + int(random.uniform(-1, 5) * SECOND)
    _at(simulation, verb, phase, random.randint(1, 3), _freeze(simulation, length, random))
    verb = random.choice(["lose_node", "abandoned_runs", "node_back", "clear_stuck", "live_nodes"])
    slow_down = partial(_slow_down, simulation, random.randint(0, 3 * SECOND))
    act: Callable[[Any], None] = random.choice([simulation.faults.crash, slow_down])
    simulation.faults.triggers.append(
        Trigger(verb, random.choice(["before", "after"]), act, 1, when=lambda _: simulation.world.now > LEASE)
    )


def slow_burial(simulation: Any, random: Random) -> None:
    """A node is found lapsed, and moves before it is declared lost; or who finds it dies before it loses its runs."""
    verb, phase = random.choice([("advance", "after"), ("enter", "after"), ("node_seen", "before")])
    if random.random() < 0.5:
        length = LEASE + int(random.uniform(0.5, 5) * SECOND)
        _at(simulation, verb, phase, random.randint(1, 3), _freeze(simulation, length, random))
        slow = int(random.uniform(2, 6) * SECOND)
        _at(simulation, "lose_node", "before", 1, lambda one: simulation.faults.slow_down(one, slow))
    else:
        simulation.plan.nodes = 3
        _at(simulation, verb, phase, random.randint(1, 3), simulation.faults.crash)
        lose_answer = partial(simulation.faults.lose_answer, is_written=True)
        _at(simulation, "lose_node", "after", 1, random.choice([simulation.faults.crash, lose_answer]))


def newcomer(simulation: Any, random: Random) -> None:
    """A node comes while another one stands still for less than a lease, and the clock of the host has been set."""
    _at(simulation, "finish", "after", random.randint(1, 2), simulation.faults.crash)
    length = int(random.uniform(5, 12) * SECOND)
    verb, phase = random.choice([("advance", "after"), ("advance", "before"), ("node_seen", "before")])
    _at(simulation, verb, phase, random.randint(2, 5), _freeze(simulation, length, random))
    if random.random() < 0.7:
        step = round(random.uniform(3, 20) * SECOND)
        _at(simulation, "node_started", random.choice(["before", "after"]), 3, partial(_step, simulation, step))
    if random.random() < 0.5:
        slow = int(random.uniform(1, 5) * SECOND)
        _at(simulation, "time", "after", random.randint(1, 6), partial(_slow_down, simulation, slow))


def slow_claim(simulation: Any, random: Random) -> None:
    """A claim takes so long that other nodes try as well, and an edit lands between them."""
    for nth in random.sample(range(1, 8), 3):
        length = int(random.uniform(0.1, 1.5) * SECOND)
        edit = _edit(simulation, _any_edit(random))

        def act(process: Any, edit: Callable[[Any], None] = edit, length: int = length) -> None:
            edit(process)
            simulation.faults.slow_down(process, length)

        _at(simulation, "advance", random.choice(["before", "before", "after"]), nth, act)


def lost_beat(simulation: Any, random: Random) -> None:
    """What keeps nodes known to each other is not answered."""
    verb = random.choice(["node_seen", "node_back", "lose_node", "node_started", "live_nodes"])
    phase = random.choice(["before", "after"])
    nth = random.randint(1, 8)
    for each in range(nth, nth + random.randint(1, 6)):
        _at(simulation, verb, phase, each, lambda one: simulation.faults.lose_answer(one, is_written=phase == "after"))
    if verb in ("node_back", "lose_node"):
        length = LEASE + int(random.uniform(1, 5) * SECOND)
        _at(simulation, "enter", "after", random.randint(1, 3), lambda one: simulation.faults.freeze(one, length))


SHAPES: dict[str, Shape] = {
    shape.__name__: shape
    for shape in (
        crash_between_claim_and_outcome,
        lost_answer,
        lost_start,
        late_outcome,
        edit_at_a_claim,
        edit_crosses_a_claim,
        edit_at_an_edit,
        edit_at_an_outcome,
        freeze_at_a_claim,
        slow_store,
        clock_step,
        returning_node,
        slow_burial,
        newcomer,
        slow_claim,
        lost_beat,
    )
}


def directed_plan(seed: int, *, nodes: int | None = None, shape: str | None = None) -> Plan:
    """A seed with few jobs, in which nothing goes wrong but what its shape says."""
    random = Random(f"directed {seed}")
    return Plan(
        seed,
        shape=shape or random.choice(list(SHAPES)),
        nodes=nodes or random.choice([1, 2, 2, 2, 3, 3]),
        threads=random.choice([1, 2, 3]),
        jobs=random.randint(1, 2),
        is_one_host=random.random() < 0.5,
        tells_changes=random.random() < 0.7,
        restart_seconds=random.choice([6.0, 15.0]),
        trouble=24 * SECOND,
        settling=18 * SECOND,
        watching=4 * SECOND,
        brush_rate=random.choice([0.0, 0.02, 0.1]),
        request_every=random.choice([2.0, 4.0]),
        intervals=(2.0, 2.5, 3.0, 4.0),
    )


def prepare(simulation: Any) -> None:
    """Set the triggers of the plan's shape."""
    shape = SHAPES.get(simulation.plan.shape)
    if shape is not None:
        shape(simulation, Random(f"shape {simulation.plan.seed}"))


def _any_edit(random: Random) -> str:
    return random.choices(list(EDITS), list(EDITS.values()))[0]


def _at(simulation: Any, verb: str, phase: str, nth: int, action: Callable[[Any], None]) -> None:
    simulation.plan.favoured += FAVOURED.get(verb, ())
    simulation.plan.has_queues |= verb in ("start_waiting", "waiting_runs", "end_waiting")
    simulation.faults.triggers.append(Trigger(verb, phase, action, nth))


def _freeze(simulation: Any, length: int, random: Random) -> Callable[[Any], None]:
    """Have the node stand still; every second time somebody asks it for a run at the instant it goes on."""
    asks = random.random() < 0.5

    def act(process: Any) -> None:
        if asks:
            clients = simulation.clients
            ask = lambda: process.is_dead or clients.send(process, "run_forced", clients.any_job())  # noqa: E731
            simulation.world.call_at(simulation.world.now + length, ask)
        simulation.faults.freeze(process, length)

    return act


def _step(simulation: Any, microseconds: int, process: Any) -> None:
    simulation.faults.step(process, microseconds)


def _slow_down(simulation: Any, microseconds: int, process: Any) -> None:
    simulation.faults.slow_down(process, microseconds)


def _edit(simulation: Any, kind: str) -> Callable[[Any], None]:
    """Have an edit go from begin to answer, of some node, while the current actor waits.

    Not for long: the edit may want the lock that the actor has, and no thread stands still for seconds by itself.
    """

    def act(process: Any) -> None:
        world, clients = simulation.world, simulation.clients
        there = [each for each in simulation.processes if each.answers]
        if not there:
            return
        job_id = clients.any_job()
        simulation.faults.counts["edit at a point"] += 1
        actor = clients.send(world.random.choice(there), kind, job_id)
        world.join(actor, SECOND)

    return act
