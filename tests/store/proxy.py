"""A way to a PostgreSQL server that can go silent, as a network does that is cut, or a server that is frozen."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.store.postgres import PostgresServer

_SOCKET = ".s.PGSQL.5432"


class Proxy:
    """Hands on what clients and server say, until it is frozen."""

    def __init__(self, server: Path, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / _SOCKET))
        self._listener.listen(100)
        self._sockets: list[socket.socket] = []

    @classmethod
    @contextmanager
    def before(cls, server: PostgresServer, folder: Path) -> Iterator["Proxy"]:
        """One that runs meanwhile; its socket is in the folder."""
        proxy = cls(server.socket_folder / _SOCKET, folder)
        thread = threading.Thread(target=proxy._accept, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy._end()
            thread.join()

    def url_for(self, url: str) -> str:
        """The same database, this way."""
        return url.replace(f"host={self._server.parent}", f"host={self._folder}&connect_timeout=2")

    def freeze(self) -> None:
        """Hand nothing on any more; who connects is not answered."""
        self._flows.clear()

    def forget(self) -> None:
        """Serve who connects from now on; the connections from before stay silent, and open, for ever."""
        self._flows = threading.Event()
        self._flows.set()

    def thaw(self) -> None:
        """Hand on all that was said meanwhile."""
        self._flows.set()

    def _accept(self) -> None:
        # The listener is shut down at the end.
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                self._sockets += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=(source, target, self._flows), daemon=True).start()

    def _end(self) -> None:
        self._flows.set()
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _pump(source: socket.socket, target: socket.socket, flows: threading.Event) -> None:
    # Either side may be gone already.
    with suppress(OSError):
        while said := source.recv(65_536):
            flows.wait()
            target.sendall(said)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
