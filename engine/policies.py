"""What a client says about when things do not go to plan: the policies of a job, as they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any


class MisfirePolicy(StrEnum):
    """What becomes of slots that were not claimed within their grace, because nobody was there to claim them.

    `RUN_ONCE`: the latest one runs, those before it are missed. `SKIP`: all of them are missed. `RUN_ALL`: each of them
    runs, one after another, the latest `max_catch_up` of them; those before are missed.
    """

    RUN_ONCE = "run_once"
    SKIP = "skip"
    RUN_ALL = "run_all"


class OverlapPolicy(StrEnum):
    """What becomes of a slot while as many runs of the job as `max_instances` allows are going or waiting.

    `SKIP`: it is skipped. `QUEUE_ONE`: it waits, unless another one waits already; then it is skipped. `QUEUE_ALL`: it
    waits behind the others, up to a limit. `CANCEL_RUNNING`: the runs that are going are cancelled, those that wait are
    skipped, and it starts once they have ended. `ALLOW`: it starts; `max_instances` does not apply.
    """

    SKIP = "skip"
    QUEUE_ONE = "queue_one"
    QUEUE_ALL = "queue_all"
    CANCEL_RUNNING = "cancel_running"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Policies:
    """How a job behaves when things do not go to plan; the defaults are what a careful person would choose.

    Durations are in seconds. The delay before attempt n + 1 is `retry_delay_seconds * retry_backoff ** (n - 1)`, at
    most `retry_max_delay_seconds`, and then longer by up to the fraction `retry_jitter` of itself. `timeout_seconds`
    bounds each attempt. `pause_after_failures` counts runs by schedule that ended badly in a row. Of the runs of all
    jobs with one `concurrency_key`, a run of this job starts only while fewer than `concurrency_limit` are going. A
    higher `priority` goes first when the pool is full.
    """

    misfire_policy: MisfirePolicy = MisfirePolicy.RUN_ONCE
    misfire_grace_seconds: float = 5.0
    max_catch_up: int = 100
    overlap_policy: OverlapPolicy = OverlapPolicy.SKIP
    max_instances: int = 1
    max_retries: int = 0
    retry_delay_seconds: float = 10.0
    retry_backoff: float = 2.0
    retry_max_delay_seconds: float = 3_600.0
    retry_jitter: float = 0.1
    timeout_seconds: float | None = None
    pause_after_failures: int | None = None
    concurrency_key: str | None = None
    concurrency_limit: int = 1
    priority: int = 0

    def with_changes(self, named: Mapping[str, Any]) -> "Policies":
        """The policies with the named fields changed."""
        return replace(self, **named)


DEFAULT_POLICIES = Policies()
"""Those of a job that names none."""

POLICY_NAMES = tuple(field.name for field in fields(Policies))
