"""A TCP proxy before PostgreSQL that cuts, goes silent, and loses answers to COMMITs; in a thread of its own."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

from tests.chaos.protocol import Messages, Session

T = TypeVar("T")

When = Literal["before", "after"]
"""A COMMIT is lost on its way to the server, so that nothing is committed, or its answer is, and all is."""

ANSWER_SECONDS = 5.0


class Proxy:
    """Between clients on `port` of this host and a server's socket. Its methods may be called from any thread."""

    def __init__(self, upstream: Path) -> None:
        self.port = 0
        self.lost: Counter[str] = Counter()
        """The COMMITs lost, by when and by what they wrote."""
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._armed: list[tuple[When, Callable[[str], bool]]] = []
        self._guard = threading.Condition()

    def start(self) -> "Proxy":
        self._thread.start()
        self._await(self._listen())
        return self

    def stop(self) -> None:
        self._await(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> int:
        """Break every connection; new ones are taken. Returns how many there were."""
        return self._await(self._cut())

    def go_silent(self) -> None:
        """Hand on nothing from now on, as a network does that drops packets; connections stay."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def go_on(self) -> None:
        self._loop.call_soon_threadsafe(self._flowing.set)

    def lose_commits(self, count: int, when: When, *, writing: str) -> None:
        """Lose the next `count` COMMITs of transactions that wrote this, such as "insert runs"; any, if it is empty."""
        with self._guard:
            self._armed += [(when, lambda what: writing in what)] * count

    def await_lost(self, seconds: float) -> bool:
        """Whether all COMMITs that were to be lost are, within so long."""
        with self._guard:
            return self._guard.wait_for(lambda: not self._armed, seconds)

    def disarm(self) -> None:
        with self._guard:
            self._armed.clear()

    def take_loss(self, what: str) -> When | None:
        """How this COMMIT is to be lost, if it is."""
        with self._guard:
            for entry in self._armed:
                if entry[1](what):
                    self._armed.remove(entry)
                    return entry[0]
            return None

    def count_loss(self, when: When, what: str) -> None:
        with self._guard:
            self.lost[f"{when} the commit: {what or 'nothing written'}"] += 1
            self._guard.notify_all()

    async def flow(self) -> None:
        """Wait while the proxy is silent."""
        await self._flowing.wait()

    async def _listen(self) -> None:
        self._flowing.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_unix_connection(str(self._upstream))
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, (reader, writer), upstream)
        self._links.add(link)
        try:
            await link.carry()
        finally:
            self._links.discard(link)

    async def _cut(self) -> int:
        links = list(self._links)
        for link in links:
            link.abort()
        return len(links)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        self._flowing.set()
        await self._cut()
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        if pending:
            await asyncio.wait(pending, timeout=ANSWER_SECONDS)

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One client's connection, and the one that it stands for."""

    def __init__(self, proxy: Proxy, client: Stream, server: Stream) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._session = Session()
        self._requests = Messages(is_frontend=True)
        self._answers = Messages(is_frontend=False)
        self._withheld: asyncio.Event | None = None

    async def carry(self) -> None:
        tasks = [asyncio.ensure_future(self._forward()), asyncio.ensure_future(self._back())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.abort()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def abort(self) -> None:
        for _reader, writer in (self._client, self._server):
            writer.transport.abort()

    async def _forward(self) -> None:
        with suppress(OSError):
            while data := await self._client[0].read(65_536):
                await self._proxy.flow()
                for kind, body, whole in self._requests.feed(data):
                    what = self._session.hear(kind, body)
                    when = None if what is None else self._proxy.take_loss(what)
                    if when is not None:
                        await self._lose(when, whole)
                        self._proxy.count_loss(when, what or "")
                        return
                    self._server[1].write(whole)
                await self._server[1].drain()

    async def _lose(self, when: When, commit: bytes) -> None:
        if when == "before":
            return
        self._withheld = asyncio.Event()
        self._server[1].write(commit)
        # The server's answer is what says that it has committed.
        await asyncio.wait_for(self._withheld.wait(), ANSWER_SECONDS)

    async def _back(self) -> None:
        with suppress(OSError):
            while data := await self._server[0].read(65_536):
                await self._proxy.flow()
                if self._withheld is None:
                    self._client[1].write(data)
                    await self._client[1].drain()
                elif any(kind == b"C" for kind, _body, _whole in self._answers.feed(data)):
                    self._withheld.set()
