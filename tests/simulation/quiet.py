"""The last look: after some calm nothing is late, nothing is stuck, and every slot of the calendar has its row."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from tests.simulation.calendar import Epoch
from tests.simulation.clock import microseconds_of
from tests.simulation.database import the_database
from tests.simulation.ledger import WAITING, JobRecord, RunRecord
from tests.simulation.rules import MOST_LATE
from tests.simulation.world import SECOND

STUCK_AFTER = 3 * SECOND
"""In calm no call takes longer than a fraction of a second: what has not moved for so long is stuck."""


def check(simulation: Any) -> None:
    """All of it, once the world stands still."""
    rules = simulation.rules
    rules.check_calls()
    for fault in (
        *calendar_faults(simulation),
        *stuck_faults(simulation),
        *late_faults(simulation),
        *node_faults(simulation),
    ):
        rules.violated(fault)


def calendar_faults(simulation: Any) -> Iterator[str]:
    """Rows, held against the calendar."""
    ledger = simulation.rules.ledger
    wall = min((each.reads_clock() for each in simulation.alive), default=0)
    for job_id, epochs in ledger.epochs.items():
        job = ledger.jobs.get(job_id)
        for epoch in epochs:
            required, allowed = _bounds(epoch, job, wall)
            for fault in epoch.faults(required=required, allowed=allowed):
                yield f"job {job_id}: {fault}"


def _bounds(epoch: Epoch, job: JobRecord | None, wall: int) -> tuple[int, int]:
    if epoch.required is not None and epoch.allowed is not None:
        return epoch.required, epoch.allowed
    assert job is not None, "an epoch goes on only while its job is there"
    if job.next_at is None:
        last = job.last_slot or epoch.first
        return last, last
    return max(job.next_at - 1, wall - 2 * MOST_LATE), job.next_at - 1


def stuck_faults(simulation: Any) -> Iterator[str]:
    """Runs that neither end nor start, and permits that did not come home."""
    world, ledger = simulation.world, simulation.rules.ledger
    for run in ledger.runs.values():
        if run.state == "running" and world.now - run.changed_at > STUCK_AFTER:
            yield f"run {run.id} has been running since {run.changed_at / SECOND:.6f}"
        if run.state in WAITING and _waits_in_vain(run, simulation):
            yield f"run {run.id} has been {run.state} since {run.changed_at / SECOND:.6f}"
    for process in simulation.alive:
        if not process.is_ready:
            yield f"{process.name} has not come up"
        elif not _comes_to_rest(process, simulation):
            yield f"{process.name} has {process.free_permits} permits of {process.threads}, {process.tickets} tickets"


def node_faults(simulation: Any) -> Iterator[str]:
    """Who is there, and who is not, as all see it."""
    rows = the_database().raw.execute("SELECT id FROM nodes WHERE stopped_at IS NULL AND lost_at IS NULL")
    live = {UUID(row[0]) for row in rows}
    for process in simulation.processes:
        if process.is_dead and process.node in live:
            yield f"{process.name} is dead, and live on record"
        if not process.is_gone and process.is_ready and process.node not in live:
            yield f"{process.name} is there, and not live on record"


def _comes_to_rest(process: Any, simulation: Any) -> bool:
    """Whether within some seconds there is a moment at which all permits are home but those of calls that go on."""
    world = simulation.world
    for _ in range(400):
        going = sum(each.process is process for each in simulation.rules.calls.going_on)
        if process.free_permits == process.threads - going and process.tickets == going:
            return True
        world.run(world.now + SECOND // 100)
    return False


def _waits_in_vain(run: RunRecord, simulation: Any) -> bool:
    job = simulation.rules.ledger.jobs.get(run.job_id)
    if job is None:
        return True
    if job.is_paused:
        return False
    wall = min(each.reads_clock() for each in simulation.alive)
    due_at = run.values["due_at"]
    due = 0 if due_at is None else microseconds_of(due_at)
    world_time = simulation.world.now - run.changed_at
    return bool(wall - due > 3 * STUCK_AFTER and world_time > 3 * STUCK_AFTER)


def late_faults(simulation: Any) -> Iterator[str]:
    """Slots that started late, or never, though nothing had gone wrong for a while."""
    rules = simulation.rules
    for entries in rules.calls.by_run.values():
        for entry in entries:
            late = entry.entered_at - entry.slot + entry.ahead
            if late > MOST_LATE and _is_regular(entry, simulation) and not _was_full(entry, simulation):
                yield f"run {entry.run_id} starts {late / SECOND:.3f} s late in quiet times"
    for run in rules.ledger.runs.values():
        is_for_misfire = run.state == "missed" and run.values["reason_code"] == "misfire"
        slot = min(_last_slot(run) - simulation.world.ahead, run.changed_at)
        if is_for_misfire and not rules.was_troubled(slot, run.changed_at):
            yield f"run {run.id} of a quiet time is missed"


def _last_slot(run: RunRecord) -> int:
    last = run.values["last_scheduled_for"]
    return run.slot if last is None else microseconds_of(last)


def _is_regular(entry: Any, simulation: Any) -> bool:
    """Whether it is the first attempt of a slot that waited for no other run, and all was well."""
    rules = simulation.rules
    run = rules.ledger.runs.get(entry.run_id)
    if entry.trigger != "schedule" or entry.attempt > 1 or run is None or run.has_waited:
        return False
    return not rules.was_troubled(entry.slot - entry.ahead, entry.entered_at)


def _was_full(entry: Any, simulation: Any) -> bool:
    """Whether other calls may have held all threads since its slot."""
    slot = entry.slot - entry.ahead
    held = 0
    for other in simulation.rules.calls.by_process.get(entry.process, ()):
        ended_at = simulation.world.now if other.ended_at is None else other.ended_at
        held += other is not entry and other.entered_at <= entry.entered_at and ended_at >= slot - SECOND
    return bool(held >= entry.process.threads)
