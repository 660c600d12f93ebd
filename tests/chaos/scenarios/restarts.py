"""PostgreSQL stops, fast or at once, and comes back: all is well again within ten seconds."""

import random
import time
from collections.abc import Sequence

from tests.chaos.facts import SECOND
from tests.chaos.fleet import hold
from tests.chaos.postgres import PostgresServer, Stop
from tests.chaos.scenarios.kills import add_mixed_jobs
from tests.chaos.scene import Place, Scene, now, scene
from tests.chaos.verdict import TOO_SLOW, Verdict
from tests.chaos.waiting import wait_until

RECOVERY_SECONDS = 10.0
WAYS: tuple[Stop, ...] = ("fast", "immediate")


def restarts(
    server: PostgresServer, place: Place, sizes: Sequence[int], *, count: int, away: tuple[float, float] = (0.2, 4.0)
) -> Verdict:
    """Stop it in both ways in turn, leave it away for between so many seconds, and start it again."""
    chance = random.Random(count)
    with scene(place, sizes) as here:
        add_mixed_jobs(here, 12)
        here.await_slots()
        recoveries = [_restart(here, server, WAYS[number % 2], chance.uniform(*away)) for number in range(count)]
        verdict = here.finish(late_limit=5 * SECOND, late_allowance=15 * SECOND)
    verdict.measure("recovery after its return", recoveries)
    slowest = max(recoveries)
    verdict.require(TOO_SLOW, holds=slowest <= RECOVERY_SECONDS, detail=f"{slowest:.1f} s")
    verdict.require("a server ended by itself", holds=not here.fleet.collapses, detail=str(here.fleet.collapses))
    return verdict


def _restart(here: Scene, server: PostgresServer, how: Stop, away: float) -> float:
    """Seconds from its return until every server is ready and a slot that came due after it has started."""
    since = now()
    server.stop(how)
    hold(away, here.fleet)
    server.start()
    returned, came_back = time.monotonic(), now()
    here.new_lines()
    wait_until(lambda: any(line.slot >= came_back for line in here.new_lines()), "slots start again")
    wait_until(lambda: all(here.fleet.is_well(each.port) for each in here.fleet.servers), "all servers are ready")
    seconds = time.monotonic() - returned
    here.fault(f"{how} restart", since=since)
    hold(1, here.fleet)
    return seconds
