"""What a child that a job function forks must not keep of the service: its sockets and its signal handlers."""

import os
import signal
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from app.exit_guard import SIGNALS


def let_go_in_children() -> None:
    """See to it in every child from now on. Called where the server's own signal handlers stand, which name it.

    A child that lingers would otherwise keep the port from the next start and clients from seeing the end of their
    answers; and it would take a SIGTERM, such as multiprocessing's terminate(), for a stop of the service.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if server is not None:
        reference = weakref.ref(server)
        os.register_at_fork(after_in_child=lambda: _let_go(reference()))


def _let_go(server: Any) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    # What it has handlers for itself is not to wake the loop of the service.
    signal.set_wakeup_fd(-1)
    # The server is uvicorn's, and what it calls its parts may change: a child is not to fail for that.
    with suppress(Exception):
        for descriptor in _descriptors_of(server):
            # Not close() of the socket's owner, which would tell the loop's epoll, and that is the service's own.
            with suppress(OSError):
                os.close(descriptor)


def _descriptors_of(server: Any) -> Iterator[int]:
    for listening in server.servers:
        yield from (listener.fileno() for listener in listening.sockets)
    for connection in server.server_state.connections:
        yield connection.transport.get_extra_info("socket").fileno()
