"""The fields that say what happens when it does not go to plan: their types, their limits, their words."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from api.schedule_fields import not_boolean
from engine.limits import (
    MAX_CATCH_UP,
    MAX_CONCURRENCY_KEY_LENGTH,
    MAX_INSTANCES,
    MAX_MISFIRE_GRACE_SECONDS,
    MAX_PRIORITY,
    MAX_RETRIES,
    MAX_RETRY_BACKOFF,
    MAX_RETRY_DELAY_SECONDS,
    MAX_TIMEOUT_SECONDS,
    MIN_MISFIRE_GRACE_SECONDS,
)
from engine.policies import DEFAULT_POLICIES, POLICY_NAMES, MisfirePolicy, OverlapPolicy, Policies

CONCURRENCY_KEY_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_.:/-]*$"


def _number(least: float, most: float) -> Any:
    """A finite number in these bounds, both allowed."""
    return Field(ge=least, le=most, allow_inf_nan=False)


Count = BeforeValidator(not_boolean)


class PolicyFields(BaseModel):
    """What a client may say of policies. Null means the default."""

    misfire_policy: MisfirePolicy | None = Field(
        default=None,
        description='Slots that nobody was there to claim: "run_once" runs the latest (the default), "skip" none, '
        '"run_all" each, one after another',
    )
    misfire_grace_seconds: (
        Annotated[float, _number(MIN_MISFIRE_GRACE_SECONDS, MAX_MISFIRE_GRACE_SECONDS), Count] | None
    ) = Field(default=None, description="A slot claimed no later than this is only late, 5 by default")
    max_catch_up: Annotated[int, _number(1, MAX_CATCH_UP), Count] | None = Field(
        default=None, description='The most slots that "run_all" runs, the latest ones, 100 by default'
    )
    overlap_policy: OverlapPolicy | None = Field(
        default=None,
        description='A slot that comes while max_instances runs of the job are going: "skip" it (the default), '
        '"queue_one", "queue_all", "cancel_running" and then start it, or "allow" it',
    )
    max_instances: Annotated[int, _number(1, MAX_INSTANCES), Count] | None = Field(
        default=None, description='Runs of the job that may go at once, 1 by default; not for overlap_policy "allow"'
    )
    max_retries: Annotated[int, _number(0, MAX_RETRIES), Count] | None = Field(
        default=None, description="Further attempts of a run that ended badly, 0 by default"
    )
    retry_delay_seconds: Annotated[float, _number(0, MAX_RETRY_DELAY_SECONDS), Count] | None = Field(
        default=None, description="Before the second attempt, 10 by default"
    )
    retry_backoff: Annotated[float, _number(1, MAX_RETRY_BACKOFF), Count] | None = Field(
        default=None, description="Each delay is so many times the one before, 2 by default; 1 keeps it"
    )
    retry_max_delay_seconds: Annotated[float, _number(0, MAX_RETRY_DELAY_SECONDS), Count] | None = Field(
        default=None, description="No delay is longer, 3600 by default"
    )
    retry_jitter: Annotated[float, _number(0, 1), Count] | None = Field(
        default=None, description="Each delay is made longer by up to this fraction of itself, 0.1 by default"
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=MAX_TIMEOUT_SECONDS, allow_inf_nan=False), Count] | None = Field(
        default=None, description="An attempt that takes longer is timed out; none by default"
    )
    pause_after_failures: Annotated[int, _number(1, 1_000_000), Count] | None = Field(
        default=None, description="Pause the job after so many runs by schedule ended badly in a row; never by default"
    )
    concurrency_key: (
        Annotated[str, StringConstraints(max_length=MAX_CONCURRENCY_KEY_LENGTH, pattern=CONCURRENCY_KEY_PATTERN)] | None
    ) = Field(default=None, description="Jobs with the same key share a limit; none by default")
    concurrency_limit: Annotated[int, _number(1, MAX_INSTANCES), Count] | None = Field(
        default=None, description="A run starts only while fewer of its key are going; else it waits, 1 by default"
    )
    priority: Annotated[int, _number(-MAX_PRIORITY, MAX_PRIORITY), Count] | None = Field(
        default=None, description="Who goes first when the pool is full, higher before lower, 0 by default"
    )

    def policies(self) -> Policies:
        """All of them in the engine's words, with defaults for what is not given."""
        given = {name: getattr(self, name) for name in self.model_fields_set.intersection(POLICY_NAMES)}
        return Policies(**{name: value for name, value in given.items() if value is not None})

    def named_policies(self) -> dict[str, Any]:
        """Those that the client named; null stands for the default."""
        named = {name: getattr(self, name) for name in POLICY_NAMES if name in self.model_fields_set}
        return {name: getattr(DEFAULT_POLICIES, name) if value is None else value for name, value in named.items()}
