"""What a function may raise to say how its run is to end."""


class Retry(Exception):
    """Try again, as long as the job's `max_retries` allow; after `after` seconds, else after the job's own delay."""

    def __init__(self, reason: str = "", *, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Cancel(Exception):
    """End the run as `cancelled`: it has not failed, and is not tried again."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
