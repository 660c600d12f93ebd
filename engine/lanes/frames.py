"""What passes between the service and a worker process: one JSON object a line.

JSON, not pickle: a worker that is killed in the middle of a write, or whose function writes to descriptors that are
none of its business, can send anything, and must not be able to make the service run it.
"""

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from engine.call_ends import CallEnd, Died, GaveUp, Killed, Raised, Returned
from engine.limits import MAX_FRAME_BYTES
from engine.nouns import RunError

Message = dict[str, Any]
"""Its key `kind` says which it is: "prepare" and "call" go to the worker; "ready", "line" and "end" come from it."""

_ENDS: dict[str, type[Returned] | type[Raised] | type[GaveUp] | type[Killed] | type[Died]] = {
    kind.__name__: kind for kind in (Returned, Raised, GaveUp, Killed, Died)
}


class GarbledFrame(Exception):
    """What came is no message."""


def encode_frame(message: Mapping[str, Any]) -> bytes:
    """The message as one line. JSON escapes newlines within it."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class FrameBuffer:
    """Puts messages together from the pieces in which they come."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._lines: deque[bytes] = deque()

    def feed(self, data: bytes) -> None:
        """Take what came. Raises GarbledFrame if it goes on for too long without an end."""
        head, *complete = data.split(b"\n")
        self._pieces.append(head)
        self._size += len(head)
        for rest in complete:
            self._lines.append(b"".join(self._pieces))
            self._pieces = [rest]
            self._size = len(rest)
        if self._size > MAX_FRAME_BYTES:
            raise GarbledFrame

    def next(self) -> Message | None:
        """The next whole message; None if there is none yet. Raises GarbledFrame."""
        if not self._lines:
            return None
        try:
            message = json.loads(self._lines.popleft())
        except (ValueError, RecursionError) as error:
            raise GarbledFrame from error
        if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
            raise GarbledFrame
        return message


def encode_end(end: CallEnd) -> Message:
    """The end of a call as a message."""
    # Not asdict(), which would have to copy every text.
    fields = {name: getattr(end, name) for name in end.__dataclass_fields__}
    if isinstance(end, Raised):
        error = end.error
        fields["error"] = {"type": error.type, "message": error.message, "traceback": error.traceback}
    return {"kind": "end", "how": type(end).__name__, **fields}


def decode_end(message: Message) -> CallEnd:
    """The end that `encode_end` was given. Raises GarbledFrame."""
    fields = {name: value for name, value in message.items() if name not in {"kind", "how", "stays"}}
    try:
        if "error" in fields:
            fields["error"] = RunError(**fields["error"])
        return _ENDS[message["how"]](**fields)
    except (KeyError, TypeError) as error:
        raise GarbledFrame from error
