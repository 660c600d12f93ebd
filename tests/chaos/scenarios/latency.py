"""How long it takes others to take over from a node that died, and to hear of a change on another node."""

import random
import time
from collections.abc import Sequence

from tests.chaos.facts import SECOND, Line, as_text
from tests.chaos.fleet import hold
from tests.chaos.scene import Place, Scene, now, scene
from tests.chaos.verdict import Verdict
from tests.chaos.waiting import pause, wait_until

WATCHED_SECONDS = 3.0
"""After a kill, the slots of so long are looked at: by then a slot that nobody took over in time would be known."""


def take_over(place: Place, sizes: Sequence[int], *, kills: int, jobs: int = 60) -> Verdict:
    """Kill a node and see how late the slots after that start: those whose home it was wait for another one."""
    chance = random.Random(kills)
    with scene(place, sizes) as here:
        here.add_jobs(jobs, "chaos_quick", overlap_policy="allow")
        here.await_slots()
        hold(1, here.fleet)
        slowest = [_slowest_after_kill(here, chance, sum(sizes)) for _ in range(kills)]
        verdict = here.finish(late_limit=5 * SECOND, must_start=sum(sizes) > 1)
    verdict.measure("latest start after each kill", slowest)
    return verdict


def _slowest_after_kill(here: Scene, chance: random.Random, nodes: int) -> float:
    victim = chance.choice(here.fleet.pids())
    here.new_lines()
    here.fleet.kill(victim)
    here.fault("kill", pid=victim)
    killed_at = now()
    # Nobody is revived meanwhile: that it is gone is what is measured.
    pause(WATCHED_SECONDS)
    late = [line.at - line.slot for line in here.new_lines() if line.kind == "start" and line.slot >= killed_at]
    here.fleet.revive()
    here.fleet.await_nodes(nodes)
    hold(1, here.fleet)
    return max(late, default=0) / SECOND


def mutations(place: Place, *, count: int) -> Verdict:
    """A job made through a node that runs none, due at once: how long after the answer another node starts it."""
    roles = [{"ROLE": "api"}, {"ROLE": "all"}]
    with scene(place, [1, 1], environments=roles) as here:
        took = [_way_of_a_mutation(here) for _ in range(count)]
        verdict = here.finish(late_limit=5 * SECOND)
    verdict.measure("a mutation's way to another node", took, unit="ms", scale=1000)
    return verdict


def _way_of_a_mutation(here: Scene) -> float:
    """From the later of answer and due instant to the start, in seconds."""
    due = now() + SECOND // 50
    body = {"name": "soon", "function_name": "chaos_quick", "run_at": as_text(due)}
    job_id = here.fleet.call("POST", "/jobs", json=body, port=here.fleet.servers[0].port)["id"]
    answered = max(now(), due)
    found: list[Line] = []

    def has_started() -> bool:
        found.extend(line for line in here.new_lines() if line.job_id == job_id)
        return bool(found)

    wait_until(has_started, "the other node runs the job", poll_seconds=0.005)
    pause(0.05 + (time.monotonic() * 7) % 0.1)
    return max(0, found[0].at - answered) / SECOND
