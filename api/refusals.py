"""What the door itself refuses, before the engine is asked."""

from fastapi import HTTPException

from api.limits import MAX_BODY_BYTES, MAX_OPEN_LOG_STREAMS
from engine.access import Scope
from engine.errors import RequestRefused, Unavailable


class InvalidJobId(RequestRefused):
    """What should name a job is no UUID."""

    def __init__(self) -> None:
        super().__init__("Invalid job ID format")


class InvalidRunId(RequestRefused):
    """What should name a run is no UUID."""

    def __init__(self) -> None:
        super().__init__("Invalid run ID format")


class InvalidBackfillId(RequestRefused):
    """What should name a backfill is no UUID."""

    def __init__(self) -> None:
        super().__init__("Invalid backfill ID format")


class InvalidKeyId(RequestRefused):
    """What should name a key is no UUID."""

    def __init__(self) -> None:
        super().__init__("Invalid key ID format")


class KeyWouldBeOver(RequestRefused):
    """A key that would open nothing from the start."""

    def __init__(self) -> None:
        super().__init__("the key would be over already: an instant in the future is wanted")


class Forbidden(RequestRefused):
    """A request that takes more than its key is good for."""

    def __init__(self, given: Scope, wanted: Scope) -> None:
        super().__init__(f"This takes a key of scope {wanted}; the one that was sent is of scope {given}")


class NotConfirmed(RequestRefused):
    """A deletion that was not confirmed."""

    def __init__(self) -> None:
        super().__init__("Confirmation required: add ?confirm=true to delete")


class TooManyStreams(Unavailable):
    """As many logs are followed as may be."""

    def __init__(self) -> None:
        super().__init__(f"{MAX_OPEN_LOG_STREAMS} logs are being followed, and no more may be; try again later")


class BodyTooLarge(HTTPException):
    """A body over the limit. FastAPI, which reads bodies, lets errors of its own kind through and no others."""

    def __init__(self) -> None:
        # The rest of the body is not read, so nothing else can come over this connection.
        headers = {"Connection": "close"}
        super().__init__(413, f"Request body too large: at most {MAX_BODY_BYTES} bytes are taken", headers)


class UnreadableBody(HTTPException):
    """A body that is no text in UTF-8. FastAPI, which reads bodies, refuses it by itself; here it is documented."""


class InvalidICalendar(RequestRefused):
    """A text that is no iCalendar text, or one that nobody could follow to its end."""

    def __init__(self, message: str) -> None:
        super().__init__(f"The iCalendar text cannot be taken: {message}")
