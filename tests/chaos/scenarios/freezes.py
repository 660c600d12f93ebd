"""SIGSTOP past the lease, just before a slot, and SIGCONT: what was lost meanwhile may neither start nor succeed."""

import random
from collections.abc import Sequence

from tests.chaos.facts import SECOND
from tests.chaos.fleet import hold
from tests.chaos.scene import Place, Scene, now, scene
from tests.chaos.verdict import Verdict
from tests.chaos.waiting import wait_until_instant

FROZEN_SECONDS = 15.5
"""The lease is 12 s, and each observer counts from its own look and looks every 3 s."""

ZOMBIE_SECONDS = 2.0
"""What a thawed process would do wrong it does at once."""

LONGEST_AHEAD = 0.05


def freezes(place: Place, sizes: Sequence[int], *, count: int, jobs: int = 12) -> Verdict:
    """Freeze half of the processes (one, if there is only one) at a time, until `count` have been frozen."""
    chance = random.Random(count)
    with scene(place, sizes) as here:
        half = max(1, len(here.fleet.pids()) // 2)
        here.add_jobs(jobs // 2, "chaos_quick")
        here.add_jobs(jobs - jobs // 2, "chaos_lingers", job_metadata={"seconds": 0.6})
        here.await_slots()
        left = count
        while left > 0:
            left -= _freeze(here, min(half, left), chance)
        return here.finish(late_limit=5 * SECOND, late_allowance=15 * SECOND)


def _freeze(here: Scene, how_many: int, chance: random.Random) -> int:
    victims = chance.sample(here.fleet.pids(), how_many)
    # A claim is written a moment ahead of its slot: the worst moment lies between the two.
    wait_until_instant(_next_slot(here, chance) - round(chance.uniform(0, LONGEST_AHEAD) * SECOND))
    since = now()
    for pid in victims:
        here.fleet.freeze(pid)
    hold(FROZEN_SECONDS, here.fleet)
    for pid in victims:
        here.fleet.thaw(pid)
        here.fault("freeze", since=since)
    hold(ZOMBIE_SECONDS, here.fleet)
    return how_many


def _next_slot(here: Scene, chance: random.Random) -> int:
    grid = chance.choice(here.grids)
    return grid.start_at + -(-(now() + SECOND // 5 - grid.start_at) // grid.interval) * grid.interval
