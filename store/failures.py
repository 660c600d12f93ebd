"""The one place where errors of the database become the engine's."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from engine.errors import StoreUnavailable

_OUR_MISTAKES = (DataError, IntegrityError, NotSupportedError, ProgrammingError)


@contextmanager
def failures_translated() -> Iterator[None]:
    """Raise StoreUnavailable for whatever kept the database from doing as asked, and leave our own mistakes alone.

    What remains of DBAPIError: disconnects (each driver has its own class for them), time-outs, locks, a full disk,
    failing hardware, a damaged file, a server that went read-only.
    """
    try:
        yield
    except _OUR_MISTAKES:
        raise
    except PoolTimeoutError as error:
        raise StoreUnavailable(f"no database connection came free in time: {error}") from error
    except DBAPIError as error:
        raise StoreUnavailable(f"the database did not do as asked: {str(error.orig).strip()}") from error
