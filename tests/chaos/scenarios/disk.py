"""The disk of an SQLite file fills up, and is freed. The file lies on a small tmpfs of its own."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.chaos.facts import SECOND
from tests.chaos.fleet import hold
from tests.chaos.places import sqlite_place
from tests.chaos.scenarios.kills import add_mixed_jobs
from tests.chaos.scene import Scene, now, scene
from tests.chaos.verdict import Verdict
from tests.chaos.waiting import wait_until

SIZE = "12m"

NOTICED_SECONDS = 30.0
"""So soon a service that runs jobs has to write more than its files have room for."""


class NotPermitted(Exception):
    """This user, or this container, may not mount; the text is what mount says."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system with little room. Raises NotPermitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "chaos", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NotPermitted(str(error)) from error
    if mounted.returncode:
        raise NotPermitted(mounted.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def full_disk(folder: Path, sizes: Sequence[int], *, count: int, full_seconds: float = 5.0) -> Verdict:
    """Fill the disk so often, for so long each. Raises NotPermitted."""
    with small_disk(folder / "disk") as disk, scene(sqlite_place(folder, database_folder=disk), sizes) as here:
        add_mixed_jobs(here, 12)
        here.await_slots()
        for _ in range(count):
            _fill(here, disk, full_seconds)
            hold(3, here.fleet)
        verdict = here.finish(late_limit=5 * SECOND, late_allowance=15 * SECOND)
        verdict.require("the service noticed nothing", holds=_times_noticed(here) > 0)
        verdict.require("a server ended by itself", holds=not here.fleet.collapses, detail=str(here.fleet.collapses))
        return verdict


def _fill(here: Scene, disk: Path, seconds: float) -> None:
    since = now()
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    hold(seconds, here.fleet)
    # What its files had room for it may use up only later.
    with suppress(TimeoutError):
        wait_until(lambda: _times_noticed(here) > 0, "the service notices", seconds=NOTICED_SECONDS)
    filler.unlink()
    here.fault("disk full", since=since)


def _times_noticed(here: Scene) -> int:
    told = here.fleet.events()
    return told["timer failing"] + told["recorder failing"]
