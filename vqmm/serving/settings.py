"""What a service takes on at once, and what it refuses."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from vqmm.data.pixels import REQUEST_PIXELS


class Settings(BaseModel):
    """Limits of a service. Every one is an option of `vqmm serve`, whose help shows its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    batch: int = Field(default=32, ge=1, description="rows that are run at once")
    wait_ms: float = Field(
        default=2.0, ge=0, description="milliseconds that a batch's first row waits for others"
    )
    queue: int = Field(default=128, ge=1, description="rows that may wait for one signature; more get 429")
    in_flight: int = Field(default=128, ge=1, description="requests at once; more get 429")
    rows: int = Field(default=128, ge=1, description="rows of one request")
    hits: int = Field(default=1000, ge=1, description="items that a search may ask for or score anew")
    body_bytes: int = Field(default=16 * 2**20, ge=1, description="bytes of one request")
    # The limits of the model and of its export hold as well.
    seconds: float = Field(default=60.0, gt=0, description="seconds that a recording may last")
    pixels: int = Field(
        default=REQUEST_PIXELS,
        ge=4,
        description="pixels that all pictures of one request may have together, by their headers",
    )
    timeout_s: float = Field(
        default=30.0, gt=0, description="seconds from the first byte of a request to its answer"
    )
    poll_s: float = Field(
        default=5.0, gt=0, description="seconds between two looks for a newer version or index"
    )
    drain_s: float = Field(default=30.0, gt=0, description="seconds for accepted requests when it stops")
