"""The first key of a new installation, told to whoever started it: on the terminal, past every log."""

import contextlib
import sys

NOTICE = """
No API key was there yet. This is the first one, good for everything, and it is shown this once:

    {key}

Send it as "Authorization: Bearer KEY" or as "X-API-Key: KEY". For others: scheduler keys create --help

"""


def show_first_key(key: str) -> None:
    """Write it to the standard error that the process was started with."""
    # Not through sys.stderr, which is the log by now: a key in the log is a key for everybody who reads the log.
    if sys.__stderr__ is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.__stderr__.write(NOTICE.format(key=key))
            sys.__stderr__.flush()
