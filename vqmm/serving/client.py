"""A client of the service, and of TensorFlow Serving's REST interface."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from vqmm.extras import requires_extra

with requires_extra("serve", "the client of the service"):
    import httpx

Modality = Literal["audio", "image"]


class ServiceError(Exception):
    """The service refused, cannot be reached (503), or does not answer in time (504).

    Attributes:
        status: of HTTP.
        reason: what the service says is wrong and legal.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


class EncodedItem(NamedTuple):
    """Codes of one item.

    Attributes:
        modality: `"audio"` or `"image"`.
        shared: i32[T].
        private: i32[P], or None where the model has none.
        fingerprint: of the codebook.
        version: of the model.
    """

    modality: Modality
    shared: npt.NDArray[np.int32]
    private: npt.NDArray[np.int32] | None
    fingerprint: str
    version: int


class Hit(NamedTuple):
    """One item that was found.

    Attributes:
        rank: from 1.
        id: as the data names it.
        modality: `"audio"` or `"image"`.
        split: of the data that it came from.
        label: "" where unknown.
        score: about the number of slots at best.
        metadata: further columns that the data had.
    """

    rank: int
    id: str
    modality: Modality
    split: str
    label: str
    score: float
    metadata: dict[str, str]


class Client:
    """Talks to `vqmm serve`; `predict` to TensorFlow Serving as well.

    Args:
        url: as `http://localhost:8501`.
        token: that the service wants, if any.
        timeout: for one answer, retries included, in seconds.
        retries: how often to try again while the service is full (429), is stopping or cannot be
            reached (503); after the seconds that it states, else after 0.2, 0.4, … s.
        http: takes the place of a new connection pool; it stays open.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = 30.0,
        retries: int = 3,
        http: httpx.Client | None = None,
    ) -> None:
        self._url, self._retries, self._own = url.rstrip("/"), retries, http is None
        self._timeout = timeout
        self._http = http or httpx.Client(timeout=timeout)
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def encode(self, file: str | Path | bytes, modality: Modality) -> EncodedItem:
        """Codes of a recording or a picture.

        Args:
            file: a path, or what is in the file.
            modality: what it is.

        Raises:
            ServiceError: the service refused.
        """
        found = self._send("/encode", _bytes(file), f"{modality}/*").json()
        private = None if found["private"] is None else np.array(found["private"], np.int32)
        shared = np.array(found["shared"], np.int32)
        return EncodedItem(modality, shared, private, found["fingerprint"], found["version"])

    def search(
        self,
        file: str | Path | bytes,
        modality: Modality,
        k: int | None = None,
        find: Literal["audio", "image", "any"] | None = None,
        query: Literal["continuous", "codes", "expanded"] | None = None,
        where: Mapping[str, str | Sequence[str]] | None = None,
        rerank: int | None = None,
        probes: int | None = None,
    ) -> list[Hit]:
        """Items of the index that fit a recording or a picture, best first.

        Args:
            file: a path, or what is in the file.
            modality: what it is.
            k: how many; None: 10, or all where there are fewer.
            find: what to find; None: the other modality.
            query: ask with the latents (None as well), with their codes, or with these and those near them.
            where: conditions that all hold: column to the value wanted, or to those of which one will do.
            rerank: score so many first hits anew by continuous vectors, of an index that holds some.
            probes: lists to scan, of an index that has some.

        Raises:
            ServiceError: the service refused.
            ValueError: a condition without a value.
        """
        options = {"k": k, "modality": find, "query": query, "rerank": rerank, "probes": probes}
        params: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        params["where"] = _conditions(where or {})
        found = self._send("/search", _bytes(file), f"{modality}/*", params).json()
        known = Hit._fields[:-1]
        hits = []
        for row in found["hits"]:
            fields: dict[str, Any] = {name: row[name] for name in known}
            hits.append(Hit(**fields, metadata={n: v for n, v in row.items() if n not in known}))
        return hits

    def decode(self, shared: Any, modality: Modality, private: Any = None) -> bytes:
        """A picture (PNG) or a recording (WAV) of codes.

        Args:
            shared: i[T].
            modality: what to make.
            private: i[P] of that modality; None: from the shared codes alone.

        Raises:
            ServiceError: the service refused.
        """
        codes = {"shared": shared, "private": private}
        asked = {name: None if part is None else np.asarray(part).tolist() for name, part in codes.items()}
        return self._send("/decode", _json({"modality": modality, **asked}), "application/json").content

    def predict(self, signature: str, inputs: Mapping[str, Any], model: str = "vqmm") -> dict[str, Any]:
        """Runs a signature on rows.

        Args:
            signature: its name.
            inputs: arrays by name, of equally many rows; files as lists of bytes.
            model: its name.

        Returns:
            Arrays by name; an output that stands alone is called `"output"`.

        Raises:
            ServiceError: the service refused.
        """
        sent = {name: _plain(name, value) for name, value in inputs.items()}
        body = _json({"signature_name": signature, "inputs": sent})
        answer = self._send(f"/v1/models/{model}:predict", body, "application/json")
        try:
            found = answer.json()["outputs"]
        except (ValueError, KeyError, TypeError):
            raise ServiceError(502, f"{self._url} answered without outputs: {answer.text[:200]}") from None
        columns = found if isinstance(found, dict) else {"output": found}
        return {name: np.array(value) for name, value in columns.items()}

    def close(self) -> None:
        """Closes the connections that it opened."""
        if self._own:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(
        self, path: str, content: bytes, kind: str, params: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        headers = {**self._headers, "Content-Type": kind}
        until = time.monotonic() + self._timeout
        for turn in range(self._retries + 1):
            left = max(until - time.monotonic(), 0.001)
            try:
                answer = self._http.post(
                    self._url + path, content=content, headers=headers, params=params, timeout=left
                )
            except httpx.TimeoutException:
                reason = f"no answer from {self._url} within {self._timeout:g} s"
                raise ServiceError(504, reason) from None
            except httpx.TransportError as error:
                refusal = ServiceError(503, f"{self._url} cannot be reached: {error}")
                wait = 0.2 * 2.0**turn
            else:
                if answer.is_success:
                    return answer
                refusal = ServiceError(answer.status_code, _reason(answer))
                wait = _seconds(answer.headers.get("Retry-After"), 0.2 * 2.0**turn)
            if refusal.status not in (429, 503) or turn == self._retries or time.monotonic() + wait >= until:
                break
            time.sleep(wait)
        raise refusal


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200] or answer.reason_phrase


def _seconds(stated: str | None, otherwise: float) -> float:
    """Reads a `Retry-After`, which may be a date."""
    try:
        return max(0.0, float(stated)) if stated else otherwise
    except ValueError:
        return otherwise


def _bytes(file: str | Path | bytes) -> bytes:
    return file if isinstance(file, bytes) else Path(file).read_bytes()


def _conditions(where: Mapping[str, str | Sequence[str]]) -> list[str]:
    sent = []
    for column, wanted in where.items():
        values = [wanted] if isinstance(wanted, str) else list(wanted)
        if not values:
            raise ValueError(f"where {column!r} names no value, which no item has; leave it out")
        sent += [f"{column}={value}" for value in values]
    return sent


def _plain(name: str, value: Any) -> Any:
    """A value as JSON has it: files as base64, numbers as lists."""
    parts = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(part, bytes | bytearray) for part in parts):
        if parts is not value or not all(isinstance(part, bytes | bytearray) for part in parts):
            raise ServiceError(400, f"{name} takes files: a list of bytes")
        return [{"b64": base64.b64encode(part).decode()} for part in parts]
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ServiceError(400, f"{name} is no array: {error}") from None
    if array.dtype.kind not in "iuf":
        raise ServiceError(400, f"{name} takes numbers, or files as a list of bytes; received {array.dtype}")
    return array.tolist()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
