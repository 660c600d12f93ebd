"""The route that says what became of a slot, or why there was none. It changes nothing."""

import re
from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator

from api.errors import documented
from api.json_bodies import StrictRoute
from api.refusals import InvalidJobId
from api.responses import RunView
from api.schedule_fields import Instant
from api.service import JobId, TheService
from engine.errors import JobNotFound, StoreUnavailable
from engine.why import Answer, Explanation

router = APIRouter(tags=["runs"], route_class=StrictRoute)

_PLUS_READ_AS_BLANK = re.compile(r" (?=\d\d:?\d\d$)")


def _with_plus(value: Any) -> Any:
    """In a query a plus stands for a blank, and few clients write the one of an offset as %2B."""
    is_late = isinstance(value, str) and ("T" in value.upper() or value.count(" ") > 1)
    return _PLUS_READ_AS_BLANK.sub("+", value) if is_late else value


AskedInstant = Annotated[
    Instant,
    BeforeValidator(_with_plus),
    Query(
        description="ISO 8601 with an offset. One of a whole second means all of that second, and its first slot",
        examples=["2026-12-01T09:00:00Z"],
        json_schema_extra={"format": "date-time"},
    ),
]


class NearestView(BaseModel):
    """The slots beside the instant; null where there is none, or none that is known."""

    before: datetime | None
    after: datetime | None


class WhyView(BaseModel):
    """What became of an instant. `run` is the row that says so; what is in `facts` goes by the answer."""

    at: datetime
    answer: Answer
    sentence: str
    run: RunView | None
    facts: dict[str, Any]
    nearest: NearestView

    @classmethod
    def of(cls, explanation: Explanation) -> Self:
        """As clients see `explanation`."""
        return cls(
            at=explanation.at,
            answer=explanation.answer,
            sentence=explanation.sentence,
            run=None if explanation.run is None else RunView.of(explanation.run),
            facts=dict(explanation.facts),
            nearest=NearestView(before=explanation.before, after=explanation.after),
        )


@router.get(
    "/jobs/{job_id}/why",
    summary="Ask what became of a slot",
    responses=documented(InvalidJobId, JobNotFound, RequestValidationError, StoreUnavailable),
)
def explain_slot(job_id: JobId, at: AskedInstant, service: TheService) -> WhyView:
    """Whether the job ran then, and if not, why: in a word, in a sentence, and with the facts behind it."""
    return WhyView.of(service.scheduler.why.of_job(job_id, at=at))
