"""The measuring instrument: each call of a job's function notes its job's number and the instant, and does no more.

The notes of a process lie in a file of its own, mapped into memory, so that they survive however it ends.
"""

import mmap
import os
import struct
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from time import time

_NOTE = struct.Struct("<dI")
_SUFFIX = ".probe"


class Probe:
    """Notes of one process, from any of its threads. Raises struct.error beyond `capacity` notes."""

    def __init__(self, folder: Path, capacity: int) -> None:
        path = folder / f"{os.getpid()}{_SUFFIX}"
        # Written, not only reserved: else the first note of each page would wait for the file system.
        path.write_bytes(bytes(capacity * _NOTE.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._positions = count(0, _NOTE.size)

    def note(self, number: int) -> None:
        """Taking the next position is one step of the interpreter, so no lock is needed."""
        instant = time()
        _NOTE.pack_into(self._memory, next(self._positions), instant, number)


def read_notes(folder: Path) -> Iterator[tuple[float, int]]:
    """Instants in seconds since 1970 and numbers of jobs, of all processes."""
    for path in folder.glob(f"*{_SUFFIX}"):
        for instant, number in _NOTE.iter_unpack(path.read_bytes()):
            if instant == 0:
                break
            yield instant, number
