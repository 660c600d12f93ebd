"""The worker's end of its connection to the service: messages in, messages out, from any thread of the worker."""

import os
import socket
import threading
from collections import deque
from collections.abc import Iterator

from engine.lanes.frames import FrameBuffer, Message, encode_frame
from engine.limits import MAX_FRAME_BYTES

PIECE_BYTES = 65_536


class ChannelClosed(Exception):
    """The function closed the descriptor of the channel, or this is another process that was forked from the worker."""


class Channel:
    """Writes block while the service is busy with what was sent before: that is what bounds a talkative function."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._identity = _identity_of(descriptor)
        self._process_id = os.getpid()
        # Reentrant, with a queue behind it: a signal handler or a destructor may print while its thread is in here.
        self._lock = threading.RLock()
        self._waiting: deque[bytes] = deque()
        self._rest = memoryview(b"")
        self._is_sending = False

    @property
    def is_foreign(self) -> bool:
        """Whether this process was forked from the worker: it has no place in the conversation."""
        return os.getpid() != self._process_id

    def messages(self) -> Iterator[Message]:
        """What comes, until the service hangs up."""
        buffer = FrameBuffer()
        while data := self._socket.recv(PIECE_BYTES):
            buffer.feed(data)
            while (message := buffer.next()) is not None:
                yield message

    def send(self, message: Message) -> None:
        """Send it, after what was sent before. Raises ChannelClosed."""
        frame = encode_frame(message)
        if len(frame) > MAX_FRAME_BYTES:
            frame = encode_frame(message | {"facts": {"left_out": "the facts of this line are too long"}})
        with self._lock:
            self._waiting.append(frame)
            if not self._is_sending:
                self._send_waiting()

    def _send_waiting(self) -> None:
        self._is_sending = True
        try:
            while self._rest or self._waiting:
                if not self._rest:
                    self._rest = memoryview(self._waiting.popleft())
                self._check()
                # What is left is remembered here: a signal handler that raises must not cut a message in two.
                self._rest = self._rest[self._socket.send(self._rest) :]
        except OSError as error:
            # Without a number it is none of the kernel's: a signal handler of the function has raised a TimeoutError.
            if error.errno is None:
                raise
            raise ChannelClosed from error
        finally:
            self._is_sending = False

    def _check(self) -> None:
        # A number that was closed may be the function's own file next; its content is not ours to spoil.
        if self.is_foreign or _identity_of(self._socket.fileno()) != self._identity:
            raise ChannelClosed


def _identity_of(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError as error:
        # As above: a time-out that the function has set itself is not the kernel's word on the descriptor.
        if error.errno is None:
            raise
        return None
    return status.st_dev, status.st_ino
