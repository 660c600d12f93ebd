"""A cheap client for measurements: keep-alive connections in one process, each with one request under way."""

import select
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing import get_context

SECONDS_FOR_THE_LAST = 30
"""How long it waits for the answers that are under way at the end."""


@dataclass(frozen=True)
class Load:
    """What came of it. `seconds` are from the first request to the last answer; `cpu_seconds` are the client's own."""

    seconds: float
    cpu_seconds: float
    latencies: list[float]
    bodies: list[bytes] = field(repr=False)

    def latency_ms(self, fraction: float) -> float:
        """The latency that this fraction of the requests did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)] * 1_000


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """One request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def drive(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> Load:
    """Send the requests, over and over, from a process of its own. Each must be answered with 200 and a length."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_drive, port, list(requests), connections, seconds).result()


def _drive(port: int, requests: list[bytes], connections: int, seconds: float) -> Load:
    poll = select.epoll()
    open_ = [_Connection(port) for _ in range(connections)]
    waiting = {connection.number: connection for connection in open_}
    for number in waiting:
        poll.register(number, select.EPOLLIN)
    latencies: list[float] = []
    bodies: list[bytes] = []
    wanted = cycle(requests)
    cpu_before, began = time.process_time(), time.perf_counter()
    for connection in open_:
        connection.send(next(wanted))
    while waiting:
        ready = poll.poll(SECONDS_FOR_THE_LAST)
        assert ready, f"{len(waiting)} requests were not answered"
        for number, _ in ready:
            body = waiting[number].receive()
            if body is None:
                continue
            now = time.perf_counter()
            latencies.append(now - waiting[number].sent_at)
            bodies.append(body)
            if now - began < seconds:
                waiting[number].send(next(wanted))
            else:
                waiting.pop(number).socket.close()
    return Load(time.perf_counter() - began, time.process_time() - cpu_before, latencies, bodies)


class _Connection:
    """One connection, and what has arrived of the answer that it waits for."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = self.socket.fileno()
        self.sent_at = 0.0
        self._received = b""

    def send(self, wanted: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.socket.sendall(wanted)

    def receive(self) -> bytes | None:
        """The body, once it is all there."""
        piece = self.socket.recv(1 << 20)
        assert piece, f"cut off after {self._received[:1_000]!r}"
        self._received += piece
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return None
        assert head.startswith(b"HTTP/1.1 200"), self._received[:1_000]
        self._received = b""
        return body


def _length(head: bytes) -> int:
    return int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])


TRIVIAL_SERVER = """
import asyncio, sys, uvloop
ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-length: 1000\\r\\n\\r\\n" + b"x" * 1000
class Answering(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(ANSWER)
async def serve():
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
uvloop.run(serve())
"""
"""Answers whatever arrives, at once: how fast the client is when the server costs next to nothing."""
