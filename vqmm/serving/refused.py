"""A request that is not answered, and why."""

from __future__ import annotations


class Refused(Exception):
    """The answer to a request is an error.

    Attributes:
        status: of HTTP.
        reason: what came and what is legal.
        retry_after: seconds after which to try again; None: it is no use.
    """

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
