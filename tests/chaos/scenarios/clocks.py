"""Clocks that are wrong: nodes apart by half a minute on one PostgreSQL, and a clock that jumps. Needs libfaketime.

Only the wall clock is shifted; the monotonic one stays what it is, as on a machine whose clock is set.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from tests.chaos.checks import SET_BACK
from tests.chaos.facts import SECOND, Fault
from tests.chaos.fleet import hold
from tests.chaos.scenarios.kills import add_mixed_jobs
from tests.chaos.scene import Place, now, scene
from tests.chaos.verdict import Verdict

_PLACES = ("/usr/lib", "/usr/local/lib", "/usr/lib64")


NOTICED_SECONDS = 6
"""So soon a jump is in force in the process, and what was claimed before it has started."""


class NoTool(Exception):
    """libfaketime is not installed."""


def shifted(offset: str) -> dict[str, str]:
    """The environment of a process whose wall clock is wrong by as much as "+30" seconds. Raises NoTool."""
    return {**_preloaded(), "FAKETIME": f"{offset}s"}


def shifted_by(file: Path) -> dict[str, str]:
    """That of a process whose offset is what the file says, at any time. Raises NoTool."""
    # Read once a second: at each look at a clock it takes all the time that there is.
    return {**_preloaded(), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_CACHE_DURATION": "1"}


def _preloaded() -> dict[str, str]:
    # Not the one for several threads: that one is for programs that wait on the wall clock.
    found = [file for place in _PLACES for file in Path(place).glob("**/faketime/libfaketime.so.1")]
    if not found:
        raise NoTool("needs libfaketime (Debian, Ubuntu: apt install faketime)")
    return {"LD_PRELOAD": str(found[0]), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}


def clocks_apart(place: Place, offsets: Sequence[str], *, seconds: float, jobs: int = 24) -> Verdict:
    """One node for each offset. Nothing is early or late by the true time, which is the database's. Raises NoTool."""
    environments: list[Mapping[str, str]] = [shifted(offset) for offset in offsets]
    with scene(place, [1] * len(offsets), environments=environments, reads_true_time=True) as here:
        here.add_jobs(jobs // 2, "chaos_quick")
        # Side by side: one that starts late would be in the way of the next slot.
        here.add_jobs(jobs - jobs // 2, "chaos_lingers", job_metadata={"seconds": 0.2}, overlap_policy="allow")
        here.await_slots()
        hold(seconds, here.fleet)
        working = {line.pid for line in here.new_lines()}
        verdict = here.finish(late_limit=2 * SECOND, must_start=True)
        verdict.facts["nodes that ran jobs"] = f"{len(working)} of {len(offsets)}"
        return verdict


def clock_jumps(place: Place, jumps: Sequence[str], *, folder: Path) -> Verdict:
    """The clock of one process on SQLite is set to these offsets in turn. Raises NoTool.

    Lines count on the clock that the service sees: nothing is early on it, and nothing is repeated when it is set back.
    """
    file = folder / "clock"
    _set(file, "+0")
    with scene(place, [1], environments=[shifted_by(file)]) as here:
        add_mixed_jobs(here, 12)
        here.await_slots()
        for before, after in pairwise(["+0", *jumps]):
            _set(file, after)
            on_new_time = now() + int(after) * SECOND
            kind = SET_BACK if int(after) < int(before) else "clock set forward"
            here.faults.append(Fault(kind, on_new_time, on_new_time + NOTICED_SECONDS * SECOND))
            hold(NOTICED_SECONDS / 2, here.fleet)
        # Set forward, the grid went on ahead of the true time, up to which it is whole.
        return here.finish(late_limit=3600 * SECOND, loss_limit=3600 * SECOND)


def _set(file: Path, offset: str) -> None:
    """At once: a reader finds the old or the new one."""
    new = file.with_suffix(".new")
    new.write_text(f"{offset}s\n")
    new.replace(file)
