"""All servers of one scene: started, asked, killed, frozen, and brought back."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2

from tests.chaos.server import Server
from tests.chaos.waiting import REAL_SECONDS, pause, wait_until

CALL_SECONDS = 10.0

MAX_STARTS = 5
"""So often a server that is waited for is started; then it is broken."""


class Fleet:
    """`sizes` are the numbers of workers of its servers; `environments` add to what all of them get, each to one."""

    def __init__(
        self,
        folder: Path,
        sizes: Sequence[int],
        *,
        environment: Mapping[str, str],
        environments: Sequence[Mapping[str, str]] = (),
    ) -> None:
        own = [*environments, *[{}] * (len(sizes) - len(environments))]
        self.servers = [
            Server(folder, workers=size, environment={**environment, **each})
            for size, each in zip(sizes, own, strict=True)
        ]
        self.collapses = 0
        """Times that a server ended though nobody asked it to."""
        # A connection for each request, so that those to a port with many workers reach all of them.
        self._client = httpx2.Client(timeout=CALL_SECONDS, limits=httpx2.Limits(max_keepalive_connections=0))
        self._ports = cycle([server.port for server in self.servers])

    @contextmanager
    def running(self) -> Iterator["Fleet"]:
        try:
            for server in self.servers:
                server.start()
            self.await_nodes(sum(server.workers for server in self.servers))
            yield self
        finally:
            for server in self.servers:
                server.kill()
            self._client.close()

    def pids(self) -> list[int]:
        """The processes that run jobs."""
        return [pid for server in self.servers for pid in server.pids()]

    def kill(self, pid: int) -> None:
        """kill -9 of one process that runs jobs."""
        for server in self.servers:
            if server.workers == 1 and pid in server.pids():
                server.kill()
                return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def kill_all(self) -> None:
        for server in self.servers:
            server.kill()

    def freeze(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)

    def thaw(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def revive(self) -> None:
        """Start again what has ended, as a supervisor would."""
        for server in self.servers:
            if server.has_ended:
                self.collapses += server.ended_by_itself
                server.start()

    def stop(self) -> None:
        for server in self.servers:
            server.ask_to_stop()
        for server in self.servers:
            server.stop()

    def await_nodes(self, count: int, *, seconds: float = REAL_SECONDS) -> None:
        """Until so many nodes have answered that they are ready."""
        seen: set[str] = set()

        def all_answer() -> bool:
            self._start_again()
            seen.update(node for server in self.servers for node in [self._ready_node(server.port)] if node)
            return len(seen) >= count

        wait_until(all_answer, f"{count} nodes are ready", seconds=seconds, poll_seconds=0.1)

    def call(self, method: str, path: str, *, port: int | None = None, **options: Any) -> Any:
        """The JSON of an answer, from any server; tried again while they are gone, frozen or without a database."""
        answer: list[httpx2.Response] = []

        def is_answered() -> bool:
            with suppress(httpx2.TransportError):
                url = f"http://127.0.0.1:{port or next(self._ports)}{path}"
                answer[:] = [self._client.request(method, url, **options)]
            return bool(answer) and answer[0].status_code != 503

        wait_until(is_answered, f"an answer to {method} {path}", poll_seconds=0.1)
        assert answer[0].status_code < 400, answer[0].text
        return answer[0].json()

    def is_well(self, port: int) -> bool:
        return self._ready_node(port) is not None

    def tail(self) -> str:
        """The last that the servers have said."""
        return "\n".join(server.log.read_text(errors="replace")[-3000:] for server in self.servers)

    def events(self) -> Counter[str]:
        """What the servers' logs tell of, warnings and worse, and whatever is no line of JSON."""
        found: Counter[str] = Counter()
        for server in self.servers:
            with server.log.open(errors="replace") as log:
                found.update(_event(line) for line in log)
        return found

    def _start_again(self) -> None:
        """What has given up, as one does that has waited for long for another one to migrate."""
        for server in self.servers:
            if server.ended_by_itself:
                assert server.starts < MAX_STARTS, self.tail()
                server.start()

    def _ready_node(self, port: int) -> str | None:
        with suppress(httpx2.TransportError):
            ready = self._client.get(f"http://127.0.0.1:{port}/readyz")
            if ready.status_code == 200:
                return str(self._client.get(f"http://127.0.0.1:{port}/healthz").json()["node"])
        return None


def _event(line: str) -> str:
    try:
        return str(json.loads(line)["event"])[:60]
    except (ValueError, KeyError, TypeError):
        return "no JSON"


def hold(seconds: float, fleet: Fleet) -> None:
    """Let time go by, with a supervisor at work."""
    for _ in range(max(1, round(seconds / 0.1))):
        pause(min(seconds, 0.1))
        fleet.revive()
