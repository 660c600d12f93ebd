"""A pipe that nobody writes to: when its other end closes, the parent is gone, and the worker's whole group with it.

On Linux the kernel itself sends SIGKILL to the group when the pipe hangs up (F_SETSIG and F_SETOWN of fcntl(2)), also
while the function holds the interpreter; elsewhere a thread does it, as soon as it is let.
"""

import fcntl
import os
import select
import signal
import sys
import threading


def hold_on_to(descriptor: int) -> None:
    """Let this process and its group end when the other end of the pipe is closed. Called by the leader of a group."""
    if sys.platform == "linux":
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgrp())
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
    else:
        threading.Thread(target=_end_with, args=(descriptor,), name="lifeline", daemon=True).start()
    # It may have closed before it was watched.
    if select.select([descriptor], [], [], 0)[0]:
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _end_with(descriptor: int) -> None:
    select.select([descriptor], [], [])
    os.killpg(os.getpgrp(), signal.SIGKILL)
