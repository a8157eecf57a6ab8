"""A request that is not answered, and why."""

from __future__ import annotations

from typing import Any

_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}
_WHY = {
    400: "an option or a value that is not legal",
    401: "no or another token",
    404: "not here",
    413: "too large",
    415: "a content type that is neither a recording nor a picture",
    422: "a file or codes that cannot be read",
    429: "full; try again after the seconds of Retry-After",
    503: "stopping",
    504: "no answer in time",
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": why, "content": {"application/json": {"schema": _ERROR}}}
    for status, why in _WHY.items()
}
"""Answers that are errors, for the OpenAPI."""


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
