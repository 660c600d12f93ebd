"""The service's hold on one worker process: start it, talk to it, kill it with all that it started, and bury it.

Not multiprocessing: its children import the parent's `__main__` again, can't be started from a daemonic process, and
are the leaders of a group only some time after their start. This one is in a session of its own before it runs.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import asdict

from engine.lanes.frames import FrameBuffer, GarbledFrame, Message, encode_frame
from engine.lanes.worker import WorkerOptions
from engine.limits import WORKER_FAREWELL_SECONDS

PIECE_BYTES = 65_536
POLL_SECONDS = 0.2
"""How often to look for the end of the process where the kernel can't tell it by a descriptor (not Linux)."""

PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[4]); from engine.lanes.worker import main; "
    "main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])"
)

_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class WorkerProcess:
    """One process and the connection to it. One thread sends, receives and buries; any thread may kill."""

    def __init__(self, options: WorkerOptions) -> None:
        """Start it. Raises OSError."""
        self._lock = threading.Lock()
        self._is_buried = False
        self._frames = FrameBuffer()
        self._has_hung_up = False
        self._fault: str | None = None
        self._socket, theirs = socket.socketpair()
        life, self._lifeline = os.pipe()
        try:
            self._popen = _start(options, theirs.fileno(), life)
        except BaseException:
            self._socket.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(life)
        self._process_descriptor = _process_descriptor(self._popen.pid)

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its group."""
        return self._popen.pid

    def is_alive(self) -> bool:
        """Whether it has neither ended nor hung up."""
        return self._fault is None and not self._has_hung_up and not self._has_ended(0)

    def send(self, message: Message) -> None:
        """Send it; to a process that has ended, nothing is sent: `receive` tells."""
        with contextlib.suppress(OSError):
            self._socket.sendall(encode_frame(message))

    def receive(self, timeout_seconds: float | None = None) -> Message | None:
        """The next message, also of those left behind by a process that has ended; None after the last one.

        None also after that many seconds without one, and if what came is no message: the process has to go then.
        """
        try:
            while (message := self._frames.next()) is None:
                if not self._read_on(timeout_seconds):
                    return None
        except GarbledFrame:
            self.refuse_talk()
            return None
        return message

    def refuse_talk(self) -> None:
        """What it sends can't be understood: nothing more is received, and it has to go."""
        self._fault = "it sent what is no message: a function must not write to descriptors that are not its own"

    def kill(self) -> None:
        """SIGKILL to the process and to every process of its group. From any thread, as often as may be."""
        with self._lock:
            # Once it is buried, its number may belong to another.
            if not self._is_buried:
                _kill_group(self._popen.pid)

    def let_go(self) -> None:
        """Close this process's descriptors of it, where they are a forked child's copies."""
        for descriptor in (self._lifeline, self._socket.fileno()):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def bury(self) -> str:
        """See that it and its group are gone, and say why it ended."""
        if self._has_hung_up and not self._has_ended(WORKER_FAREWELL_SECONDS):
            self._fault = "it hung up: a function must not close descriptors that are not its own"
        self.kill()
        self._has_ended(None)
        with self._lock:
            code = self._popen.wait()
            self._is_buried = True
        self._socket.close()
        os.close(self._lifeline)
        if self._process_descriptor is not None:
            os.close(self._process_descriptor)
        return f"its worker process was ended because {self._fault}" if self._fault else _reason_of(code)

    def _read_on(self, timeout_seconds: float | None) -> bool:
        """Wait for data and take it; False if there is none."""
        if self._has_hung_up or self._fault is not None:
            return False
        if not self._await_data(timeout_seconds):
            return False
        try:
            data = self._socket.recv(PIECE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            # It has ended, and what it started may hold the other end of the connection open.
            return False
        except OSError:
            data = b""
        self._has_hung_up = not data
        self._frames.feed(data)
        return True

    def _await_data(self, timeout_seconds: float | None) -> bool:
        """Wait until there is data, or the process has ended; False if neither came in time."""
        poll = select.poll()
        poll.register(self._socket, _READABLE)
        if self._process_descriptor is not None:
            poll.register(self._process_descriptor, _READABLE)
            return bool(poll.poll(None if timeout_seconds is None else timeout_seconds * 1_000))
        waited = 0.0
        while not poll.poll(POLL_SECONDS * 1_000) and not self._has_ended(0):
            waited += POLL_SECONDS
            if timeout_seconds is not None and waited >= timeout_seconds:
                return False
        return True

    def _has_ended(self, timeout_seconds: float | None) -> bool:
        """Whether the process has ended, after waiting for it for that long."""
        if self._process_descriptor is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout_seconds)
            return self._popen.returncode is not None
        poll = select.poll()
        poll.register(self._process_descriptor, _READABLE)
        return bool(poll.poll(None if timeout_seconds is None else timeout_seconds * 1_000))


def _start(options: WorkerOptions, channel: int, life: int) -> "subprocess.Popen[bytes]":
    arguments = [str(channel), str(life), json.dumps(asdict(options)), json.dumps(sys.path)]
    # Our own interpreter with a constant program. Everything but the two descriptors is closed in it: no socket that
    # the service listens on, and no database.
    return subprocess.Popen(  # noqa: S603 - see above
        [sys.executable, "-c", PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        pass_fds=(channel, life),
        start_new_session=True,
    )


def _process_descriptor(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends, before it is reaped; None where there is none."""
    with contextlib.suppress(AttributeError, OSError):
        return os.pidfd_open(pid)
    return None


def _kill_group(group: int) -> None:
    # ProcessLookupError: all are gone. PermissionError: on macOS, all that are left are zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _reason_of(code: int) -> str:
    if code >= 0:
        return f"its worker process exited with code {code}"
    name = _signal_name(-code)
    hint = ", which the service did not send: perhaps the machine ran out of memory" if name == "SIGKILL" else ""
    return f"its worker process was ended by {name}{hint}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
