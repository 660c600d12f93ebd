"""Frozen dataclasses of which several are made for each run.

What keeps a frozen dataclass frozen at run time makes it four times as slow to make: each field goes through
`object.__setattr__`. Here the type checker keeps it frozen, and `==`, `hash()` and `replace()` are as ever.
"""

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as quick_dataclass
else:

    def quick_dataclass(*, frozen, slots):  # noqa: ARG001 - for the type checker, which takes it for `dataclass`
        return dataclasses.dataclass(slots=slots, unsafe_hash=True)


__all__ = ["quick_dataclass"]
