"""`ETag` and `If-Match` (RFC 9110, 8.8.3 and 13.1.1): a job is changed only if it is as the client knows it.

The tag goes by the edits of a job. That a job has run, or is due next, changes what is told of it and is no edit: a
client that read a job of every second could change it never.
"""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Header

from api.limits import MAX_IF_MATCH_LENGTH
from api.run_pages import EPOCH, MICROSECOND
from engine.nouns import Job

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_OURS = re.compile("-?[0-9a-f]{1,16}")


def etag_of(job: Job) -> str:
    """When the job was edited last, in microseconds."""
    return f'"{(job.updated_at - EPOCH) // MICROSECOND:x}"'


async def _known(
    if_match: Annotated[
        str | None,
        Header(max_length=MAX_IF_MATCH_LENGTH, description="Only if the job is as it was with this ETag; else 412"),
    ] = None,
) -> Collection[datetime] | None:
    return None if if_match is None or if_match.strip() == "*" else instants_of(if_match)


def instants_of(if_match: str) -> Collection[datetime]:
    """What the tags stand for. A weak one matches nothing, and neither does what is no tag of ours."""
    tags = [tag for weak, tag in _TAG.findall(if_match) if not weak and _OURS.fullmatch(tag)]
    return {instant for tag in tags if (instant := _instant(int(tag, 16))) is not None}


def _instant(microseconds: int) -> datetime | None:
    try:
        return EPOCH + microseconds * MICROSECOND
    except OverflowError:
        return None


IfMatch = Annotated[Collection[datetime] | None, Depends(_known)]
