"""Threads for what would hold up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import joblib
import numpy.typing as npt
import tensorflow as tf

from vqmm.plain_reason import plain_reason
from vqmm.serving.model import ServedModel
from vqmm.serving.refused import Refused

T = TypeVar("T")


class Workers:
    """Reads, parses and searches beside the event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max(2, joblib.cpu_count()), thread_name_prefix="serve")

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Runs a function in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    def close(self) -> None:
        """Waits for what runs."""
        self._pool.shutdown()


async def predicted(
    model: ServedModel, signature: str, inputs: Mapping[str, npt.NDArray[Any]], status: int = 400
) -> dict[str, npt.NDArray[Any]]:
    """What a signature gives for these rows.

    A caller that is cancelled, as one whose client is gone or whose time is over, takes its rows
    out of the queue.

    Raises:
        Refused: 429, its queue is full; `status`, the graph refuses what it was given; 413, the rows
            need more memory than there is.
    """
    try:
        return await asyncio.wrap_future(model.submit(signature, inputs))
    except (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError) as error:
        raise Refused(status, plain_reason(error)) from None
    except tf.errors.ResourceExhaustedError as error:
        raise Refused(
            413, f"the request needs more memory than there is: {plain_reason(error)}; send fewer rows"
        ) from None
