"""How many answers without an end are being sent."""

from collections.abc import Iterator
from contextlib import contextmanager

from api.limits import MAX_OPEN_LOG_STREAMS
from api.refusals import TooManyStreams


class OpenStreams:
    """Counts, and refuses one too many. For the thread of the event loop only."""

    def __init__(self) -> None:
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Counts as open while it is entered. Raises TooManyStreams."""
        if self._count >= MAX_OPEN_LOG_STREAMS:
            raise TooManyStreams
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
