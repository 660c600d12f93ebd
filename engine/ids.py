"""Ids of runs: in the order of their making, so that the databases' indexes grow at one end."""

from random import Random
from uuid import UUID, uuid4

from engine.ports import Clock, Ids

_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_RANDOM_BITS = 74


def time_ordered_ids(clock: Clock) -> Ids:
    """Makes UUIDs of version 7 (RFC 9562, 5.7): milliseconds of the clock, then chance. From any thread.

    With ids that are nothing but chance each run costs a page of every index that they are in.
    """

    # Seeded by the system for each node; that nobody can guess an id is nothing that anything rests on.
    random = Random().getrandbits  # noqa: S311 - see above

    def new_id() -> UUID:
        milliseconds = int(clock.now().timestamp() * 1_000)
        chance = random(_RANDOM_BITS)
        return UUID(int=milliseconds << 80 | _VERSION_7 | chance >> 62 << 64 | _VARIANT | chance & (2**62 - 1))

    return new_id


def ids_of_runs(clock: Clock, new_id: Ids) -> Ids:
    """Those of `new_id` if somebody gave their own, to have each run the same again."""
    return time_ordered_ids(clock) if new_id is uuid4 else new_id
