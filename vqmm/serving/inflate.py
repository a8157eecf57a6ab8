"""Bodies that are sent compressed."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from typing import Any

from vqmm.serving.refused import Refused


async def inflated(body: bytes, scope: Mapping[str, Any], most: int) -> bytes:
    """Undoes the `Content-Encoding` of a request: gzip, as TensorFlow Serving does, or none.

    Args:
        body: as it came.
        scope: of ASGI, with the headers.
        most: bytes that may come out.

    Raises:
        Refused: 415, another coding; 400, no gzip, a damaged or a cut one; 413, more than `most`.
    """
    found = [value.decode("latin-1") for name, value in scope["headers"] if name == b"content-encoding"]
    codings = [part.strip().lower() for value in found for part in value.split(",") if part.strip()]
    codings = [coding for coding in codings if coding != "identity"]
    if not codings:
        return body
    if codings not in (["gzip"], ["x-gzip"]):
        raise Refused(
            415, f"Content-Encoding: {', '.join(codings)[:80]}; legal: gzip, or none: send the body as it is"
        )
    return await asyncio.to_thread(gunzip, body, most)


def gunzip(body: bytes, most: int) -> bytes:
    """Inflates one gzip member; no more than `most` bytes are ever made.

    Raises:
        Refused: see `inflated`.
    """
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        whole = member.decompress(body, most + 1)
    except zlib.error as error:
        raise Refused(400, f"the body is not the gzip that Content-Encoding states: {error}") from None
    if len(whole) > most:
        raise Refused(413, f"the body is too large when it is inflated; {most} bytes are the most")
    if not member.eof:
        raise Refused(400, "the gzip of the body is cut; send it whole")
    if member.unused_data:
        raise Refused(
            400, f"{len(member.unused_data)} bytes follow the gzip of the body; send one gzip alone"
        )
    return whole
