"""What a service takes on at once, and what it refuses."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from vqmm.data.pixels import REQUEST_PIXELS


class Settings(BaseModel):
    """Limits of a service; every one is an option of `vqmm serve`.

    Attributes:
        batch: rows that are run at once.
        wait_ms: how long the first row of a batch waits for others, in milliseconds.
        queue: rows that may wait for one signature; what comes then is refused with 429.
        in_flight: requests that are worked on at once; what comes then is refused with 429.
        rows: of one request.
        hits: items that one search may ask for or score anew.
        body_bytes: of one request.
        seconds: that a recording may last; the model's own limit holds as well.
        pixels: that all pictures of one request may have together, by their headers; the limits of
            the model and of its export hold as well.
        timeout_s: from the first byte of a request to its answer, in seconds.
        poll_s: between two looks for a newer version or index, in seconds.
        drain_s: that accepted requests are given when the service stops, in seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    batch: int = Field(default=32, ge=1)
    wait_ms: float = Field(default=2.0, ge=0)
    queue: int = Field(default=128, ge=1)
    in_flight: int = Field(default=128, ge=1)
    rows: int = Field(default=128, ge=1)
    hits: int = Field(default=1000, ge=1)
    body_bytes: int = Field(default=16 * 2**20, ge=1)
    seconds: float = Field(default=60.0, gt=0)
    pixels: int = Field(default=REQUEST_PIXELS, ge=4)
    timeout_s: float = Field(default=30.0, gt=0)
    poll_s: float = Field(default=5.0, gt=0)
    drain_s: float = Field(default=30.0, gt=0)
