"""As much of PostgreSQL's wire protocol as tells where a transaction is committed.

The messages are those of https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
QUERY, PARSE, BIND = b"Q", b"P", b"B"


class Messages:
    """Cuts a stream into whole messages: (type, body, all bytes)."""

    def __init__(self, *, is_frontend: bool) -> None:
        self._buffer = bytearray()
        # A client's first messages have no type byte.
        self._has_started = not is_frontend

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
        self._buffer += data
        while True:
            head = 1 if self._has_started else 0
            if len(self._buffer) < head + 4:
                return
            size = head + struct.unpack_from("!I", self._buffer, head)[0]
            if len(self._buffer) < size:
                return
            whole = bytes(self._buffer[:size])
            del self._buffer[:size]
            body = whole[head + 4 :]
            if not self._has_started:
                self._has_started = struct.unpack_from("!I", body)[0] not in (_SSL_REQUEST, _GSS_REQUEST)
            yield whole[:head], body, whole


@dataclass
class Session:
    """What a client has said on one connection: its prepared statements, and what its transaction has done so far."""

    _prepared: dict[bytes, bytes] = field(default_factory=dict)
    _statements: list[bytes] = field(default_factory=list)

    def hear(self, kind: bytes, body: bytes) -> str | None:
        """What is committed if this message is a COMMIT, as the tables written to; None for any other message."""
        text = self._text(kind, body)
        if text is None:
            return None
        word = text.split(None, 1)[0].rstrip(b";").upper() if text.strip() else b""
        if word == b"COMMIT":
            return describe(self._statements)
        if word in (b"BEGIN", b"ROLLBACK"):
            self._statements.clear()
        self._statements.append(text)
        return None

    def _text(self, kind: bytes, body: bytes) -> bytes | None:
        """The statement that the message will have run."""
        if kind == QUERY:
            return body.partition(b"\0")[0]
        if kind == PARSE:
            name, _, rest = body.partition(b"\0")
            self._prepared[name] = rest.partition(b"\0")[0]
        elif kind == BIND:
            _portal, _, rest = body.partition(b"\0")
            return self._prepared.get(rest.partition(b"\0")[0])
        return None


def describe(statements: list[bytes]) -> str:
    """The writes of a transaction, such as `insert runs, update jobs`; empty if there are none."""
    found: list[str] = []
    for text in statements:
        words = text.decode(errors="replace").replace('"', "").lower().split()
        found += [
            f"{verb} {words[index + skip].partition('(')[0]}"
            for verb, skip in (("insert", 2), ("update", 1), ("delete", 2))
            for index, word in enumerate(words)
            if word.lstrip("(") == verb and _is_write(words, index, skip)
        ]
    return ", ".join(dict.fromkeys(found))


def _is_write(words: list[str], index: int, skip: int) -> bool:
    """Not the UPDATE of `SELECT ... FOR UPDATE` or `DO UPDATE`."""
    before = words[index - 1] if index else ""
    return before not in ("for", "do", "key") and index + skip < len(words)
