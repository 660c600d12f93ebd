"""Looking at processes from outside."""

import os
import select
from contextlib import suppress

from tests.fakes import REAL_SECONDS


def has_ended(pid: int) -> bool:
    """Whether the process has ended, waiting for that; a zombie has."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            return bool(select.select([descriptor], [], [], REAL_SECONDS)[0])
        finally:
            os.close(descriptor)
    return True
