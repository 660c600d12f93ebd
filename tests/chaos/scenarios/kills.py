"""kill -9: of one process with a run in flight, of all at once, and at a steady pace under load."""

import random
from collections.abc import Sequence

from tests.chaos.facts import SECOND
from tests.chaos.fleet import hold
from tests.chaos.scene import Place, Scene, scene
from tests.chaos.verdict import Verdict
from tests.chaos.waiting import wait_until

ALL_AT_ONCE_EVERY = 20
"""Among so many rounds, one kills everything at once, the parent of the workers too."""


def kill_rounds(place: Place, sizes: Sequence[int], *, rounds: int, jobs: int = 12) -> Verdict:
    """Kill whoever has a run in flight, as soon as there is one: by turns while others are at work, and at any rate.

    What is killed at once when it comes leaves nobody to see that the one before it has gone, until the next one comes.
    """
    chance = random.Random(rounds)
    with scene(place, sizes) as here:
        add_mixed_jobs(here, jobs)
        for number in range(1, rounds + 1):
            if number % ALL_AT_ONCE_EVERY == 0 or number == rounds:
                await_flight(here)
                _kill_all(here)
            else:
                kill_one(here, chance, is_to_be_seen=number % 2 == 1 and sum(sizes) > 1)
        # Who would call a process lost may be killed before it can: that all is over in the end is what counts.
        return here.finish(late_limit=5 * SECOND, late_allowance=10 * SECOND, loss_limit=3600 * SECOND)


def kill_under_load(
    place: Place, sizes: Sequence[int], *, jobs: int, seconds: float, every: float, late_seconds: float = 1.0
) -> Verdict:
    """Jobs of one second, and a kill of one process every so often."""
    chance = random.Random(jobs)
    with scene(place, sizes) as here:
        # Side by side, as a run that was interrupted is in the way of the next one until it is lost.
        here.add_jobs(jobs // 2, "chaos_quick", overlap_policy="allow")
        here.add_jobs(jobs - jobs // 2, "chaos_lingers", overlap_policy="allow", job_metadata={"seconds": 0.1})
        here.await_slots()
        for _ in range(max(1, int(seconds / every))):
            hold(every, here.fleet)
            kill_one(here, chance)
        hold(every, here.fleet)
        return here.finish(
            late_limit=round(late_seconds * SECOND),
            late_allowance=2 * SECOND,
            # With one process there is nobody while it starts again.
            must_start=sum(sizes) > 1,
        )


def add_mixed_jobs(here: Scene, count: int) -> None:
    """Mostly such as are caught in the middle; some quick ones, and some that have to try twice."""
    few = max(1, count // 6)
    # Half of them side by side: an interrupted run keeps the next ones of its job from starting until it is lost.
    here.add_jobs(count // 2 - few, "chaos_lingers", job_metadata={"seconds": 0.3})
    here.add_jobs(count - count // 2 - few, "chaos_lingers", job_metadata={"seconds": 0.3}, overlap_policy="allow")
    here.add_jobs(few, "chaos_quick")
    here.add_jobs(few, "chaos_fails_at_first", max_retries=3, retry_delay_seconds=0.1)


def await_flight(here: Scene, *, is_to_be_seen: bool = False) -> None:
    """Until a run is in flight in a process that is alive; those that are gone come back meanwhile.

    If its end `is_to_be_seen`, also until another one is at work.
    """

    def flies() -> bool:
        here.fleet.revive()
        flying = here.in_flight()
        return bool(flying) and (not is_to_be_seen or here.others_at_work(flying[0].pid) > 0)

    wait_until(flies, "a run is in flight", poll_seconds=0.05)


def kill_one(here: Scene, chance: random.Random, *, is_to_be_seen: bool = False) -> None:
    """Of those with a run in flight, if there is one."""
    await_flight(here, is_to_be_seen=is_to_be_seen)
    victim = chance.choice(sorted({line.pid for line in here.in_flight()} or here.fleet.pids()))
    witnesses = here.others_at_work(victim)
    here.fleet.kill(victim)
    here.fault("kill", pid=victim, witnesses=witnesses)
    here.fleet.revive()


def _kill_all(here: Scene) -> None:
    victims = here.fleet.pids()
    here.fleet.kill_all()
    for pid in victims:
        here.fault("kill", pid=pid)
    here.fleet.revive()
