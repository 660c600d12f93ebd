"""A call that is to be made in a worker process: plain values, so that it can be sent there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from registry import JobFunction


@dataclass(frozen=True, slots=True)
class FunctionReference:
    """Where a worker finds a function: the attribute `qualname` of `module`, registered there as `name` or not."""

    name: str
    module: str
    qualname: str

    @classmethod
    def of(cls, function: JobFunction) -> "FunctionReference":
        """The reference to a registered function of the process lane, which is at the top level of its module."""
        return cls(name=function.name, module=function.call.__module__, qualname=function.call.__qualname__)


@dataclass(frozen=True, slots=True)
class ProcessCall:
    """One call of one run. `job_metadata` is JSON; `log_keys` are the run's, which the function's log lines carry."""

    function: FunctionReference
    job_id: str
    job_metadata: Any
    run_id: str
    scheduled_for: datetime
    attempt: int
    log_keys: Mapping[str, Any] = field(default_factory=dict)


def encode_call(call: ProcessCall) -> dict[str, Any]:
    """The call as JSON has it."""
    return asdict(call) | {"scheduled_for": call.scheduled_for.isoformat(), "log_keys": dict(call.log_keys)}


def decode_call(plain: Mapping[str, Any]) -> ProcessCall:
    """The call that `encode_call` was given."""
    fields = dict(plain)
    fields["function"] = FunctionReference(**fields["function"])
    fields["scheduled_for"] = datetime.fromisoformat(fields["scheduled_for"])
    return ProcessCall(**fields)
