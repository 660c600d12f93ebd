"""The way to PostgreSQL: answers to COMMIT that get lost, connections that are cut, networks that go silent."""

import random
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.facts import SECOND
from tests.chaos.fleet import hold
from tests.chaos.places import proxied_place
from tests.chaos.postgres import PostgresServer
from tests.chaos.proxy import Proxy, When
from tests.chaos.scenarios.kills import add_mixed_jobs
from tests.chaos.scene import Scene, now, scene
from tests.chaos.verdict import Verdict

WRITES = ("insert runs", "insert runs", "update runs", "")
"""What is in the COMMITs that get lost: claims mostly, then outcomes and starts of what waited, then whatever comes."""

SIDES: tuple[When, ...] = ("after", "after", "before")

LOSS_SECONDS = 30.0
"""How long such a COMMIT is waited for."""


def lost_commits(server: PostgresServer, folder: Path, sizes: Sequence[int], *, count: int, jobs: int = 12) -> Verdict:
    chance = random.Random(count)
    with proxied_place(server, folder) as (place, proxy), scene(place, sizes) as here:
        add_mixed_jobs(here, jobs)
        here.await_slots()
        for _ in range(count):
            _lose(here, proxy, chance)
        verdict = here.finish(late_limit=5 * SECOND, late_allowance=10 * SECOND)
        lost = sum(proxy.lost.values())
        verdict.facts["COMMITs lost"] = f"{lost}: " + "; ".join(f"{n} x {what}" for what, n in proxy.lost.most_common())
        verdict.require("too few COMMITs lost", holds=lost >= count * 0.9, detail=f"{lost} of {count}")
        return verdict


def _lose(here: Scene, proxy: Proxy, chance: random.Random) -> None:
    since = now()
    proxy.lose_commits(1, chance.choice(SIDES), writing=chance.choice(WRITES))
    proxy.await_lost(LOSS_SECONDS)
    proxy.disarm()
    here.fault("lost commit", since=since)
    hold(chance.uniform(0.0, 0.4), here.fleet)


def cuts_and_silence(
    server: PostgresServer, folder: Path, sizes: Sequence[int], *, cuts: int, silences: Sequence[float], jobs: int = 12
) -> Verdict:
    """Cut all connections so often, and then hand on nothing for so long each."""
    chance = random.Random(cuts)
    with proxied_place(server, folder) as (place, proxy), scene(place, sizes) as here:
        add_mixed_jobs(here, jobs)
        here.await_slots()
        for _ in range(cuts):
            proxy.cut()
            here.fault("cut")
            hold(chance.uniform(0.1, 1.5), here.fleet)
        for seconds in silences:
            since = now()
            proxy.go_silent()
            hold(seconds, here.fleet)
            proxy.go_on()
            here.fault("silence", since=since)
            hold(2, here.fleet)
        return here.finish(late_limit=5 * SECOND, late_allowance=20 * SECOND)
