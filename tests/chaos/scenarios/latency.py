"""How long it takes others to take over from a node that died, and to hear of a change on another node."""

import random
from collections.abc import Sequence
from typing import Any

from tests.chaos.facts import SECOND, Line, as_text
from tests.chaos.fleet import hold
from tests.chaos.scene import Place, Scene, now, scene
from tests.chaos.verdict import TOO_SLOW, Verdict, percentile
from tests.chaos.waiting import pause, wait_until

WATCHED_SECONDS = 3.0
"""After a kill, the slots of so long are looked at: by then a slot that nobody took over in time would be known."""

WANTED_SECONDS = {"SQLite": 1.0, "PostgreSQL": 0.1}

PAUSED_SECONDS = 0.6
"""What starts after that in spite of a pause would be a breach of another kind."""


def take_over(place: Place, sizes: Sequence[int], *, kills: int, jobs: int = 60) -> Verdict:
    """Kill a node and see how late the slots after that start: those whose home it was wait for another one.

    The latest in as long a time before the kill is the control: so much is the machine's.
    """
    chance = random.Random(kills)
    with scene(place, sizes) as here:
        here.add_jobs(jobs, "chaos_quick", overlap_policy="allow")
        here.await_slots()
        found = [_latest_around_kill(here, chance, sum(sizes)) for _ in range(kills)]
        verdict = here.finish(late_limit=5 * SECOND, must_start=sum(sizes) > 1)
    verdict.measure("latest start before each kill", [before for before, _ in found])
    verdict.measure("latest start after each kill", [after for _, after in found])
    return verdict


def _latest_around_kill(here: Scene, chance: random.Random, nodes: int) -> tuple[float, float]:
    hold(1, here.fleet)
    here.new_lines()
    began_at = now()
    hold(WATCHED_SECONDS, here.fleet)
    before = _latest_start(here, began_at)
    victim = chance.choice(here.fleet.pids())
    here.fleet.kill(victim)
    here.fault("kill", pid=victim)
    killed_at = now()
    # Nobody is revived meanwhile: that it is gone is what is measured.
    pause(WATCHED_SECONDS)
    after = _latest_start(here, killed_at)
    here.fleet.revive()
    here.fleet.await_nodes(nodes)
    return before, after


def _latest_start(here: Scene, since: int) -> float:
    """How late that of the slots since then was, of all that have started so far; in seconds."""
    starts = (line for line in here.new_lines() if line.kind == "start" and line.slot >= since)
    return max((line.at - line.slot for line in starts), default=0) / SECOND


def mutations(place: Place, *, count: int) -> Verdict:
    """Changes made through a node that runs nothing: how long after the answer the node that runs all goes by them."""
    roles = [{"ROLE": "api"}, {"ROLE": "all"}]
    with scene(place, [1, 1], environments=roles) as here:
        # Side by side and often, so that there is always a slot that a pause has to stop: every 20 ms.
        here.add_jobs(10, "chaos_quick", interval=0.2, overlap_policy="allow")
        by_hand = _call(here, "/jobs", {"name": "by hand", "function_name": "chaos_quick", "interval_seconds": 86_400})
        here.await_slots()
        took: dict[str, list[float]] = {"made": [], "run by hand": [], "paused": [], "resumed": []}
        for _ in range(count):
            took["made"].append(_until_made_job_starts(here))
            took["run by hand"].append(_until_run_by_hand_starts(here, by_hand["id"]))
            took["paused"].append(_until_pause_holds(here))
            took["resumed"].append(_until_slots_start_again(here))
        verdict = here.finish(late_limit=5 * SECOND)
    for change, seconds in took.items():
        verdict.measure(f"from answer to effect: {change}", seconds, unit="ms", scale=1000)
        slowest = percentile(seconds, 0.99)
        detail = f"{change}: {slowest * 1000:.0f} ms at the 99th percentile"
        verdict.require(TOO_SLOW, holds=slowest <= WANTED_SECONDS[place.kind], detail=detail)
    return verdict


def _until_made_job_starts(here: Scene) -> float:
    """A job that is due once and soon; from the later of answer and due instant."""
    lead = SECOND // 20
    while (job := _made_once(here, due := now() + lead)) is None:
        lead *= 2
    answered = max(now(), due)
    return max(0, _start_of(here, job["id"]).at - answered) / SECOND


def _made_once(here: Scene, due: int) -> Any | None:
    """None if it was past before the service read it."""
    body = {"name": "once", "function_name": "chaos_quick", "run_at": as_text(due)}
    try:
        return _call(here, "/jobs", body)
    except AssertionError as error:
        if "past" in str(error):
            return None
        raise


def _until_run_by_hand_starts(here: Scene, job_id: str) -> float:
    here.new_lines()
    _call(here, f"/jobs/{job_id}/run")
    answered = now()
    return max(0, _start_of(here, job_id).at - answered) / SECOND


def _until_pause_holds(here: Scene) -> float:
    here.new_lines()
    _call(here, "/pause")
    answered = now()
    pause(PAUSED_SECONDS)
    return max((line.at - answered for line in here.new_lines() if line.at > answered), default=0) / SECOND


def _until_slots_start_again(here: Scene) -> float:
    _call(here, "/resume")
    answered = now()
    return max(0, _start_of(here).at - answered) / SECOND


def _start_of(here: Scene, job_id: str | None = None) -> Line:
    """The next start of the job, or of any."""
    found: list[Line] = []

    def has_started() -> bool:
        found.extend(line for line in here.new_lines() if line.kind == "start" and job_id in (None, line.job_id))
        return bool(found)

    wait_until(has_started, "the other node acts", poll_seconds=0.005)
    return found[0]


def _call(here: Scene, path: str, body: Any = None) -> Any:
    return here.fleet.call("POST", path, json=body, port=here.fleet.servers[0].port)
