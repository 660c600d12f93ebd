"""All jobs as one JSON array, written page by page: memory stays flat however many there are."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from fastapi.responses import Response, StreamingResponse
from pydantic import TypeAdapter

from api.limits import JOBS_PER_READ
from api.responses import JobView
from api.service import Reads
from engine.nouns import Job

VIEWS = TypeAdapter(list[JobView])


def all_jobs(store: Reads, *, view: Callable[[Job], JobView]) -> Response:
    """The answer to `GET /jobs`: each job once, oldest first, as it was when its page was read."""
    pages = _pages(store)
    # Read before anything is sent: a store that does not answer is an error with a status, not half an array.
    first = next(pages)
    if len(first) < JOBS_PER_READ:
        return Response(_array(first, view), media_type="application/json")
    arrays = (_array(page, view) for page in chain([first], pages))
    return StreamingResponse(_joined(arrays), media_type="application/json")


def _pages(store: Reads) -> Iterator[Sequence[Job]]:
    page = store.jobs_page(after=None, limit=JOBS_PER_READ)
    yield page
    while len(page) == JOBS_PER_READ:
        page = store.jobs_page(after=(page[-1].created_at, page[-1].id), limit=JOBS_PER_READ)
        yield page


def _array(jobs: Sequence[Job], view: Callable[[Job], JobView]) -> bytes:
    return VIEWS.dump_json(list(map(view, jobs)))


def _joined(arrays: Iterator[bytes]) -> Iterator[bytes]:
    """One JSON array of the elements of several, of which the first has some."""
    yield next(arrays)[:-1]
    for array in arrays:
        if array != b"[]":
            yield b"," + array[1:-1]
    yield b"]"
