"""Files inside JSON: base64 as TensorFlow Serving reads it."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from vqmm.serving.refused import Refused

_SPACE = re.compile(r"[ \t\r\n\f\v]+")
_FORM = "send {'b64': …} with the standard letters of base64 (A-Z, a-z, 0-9, + and /)"


def read_base64(value: Any, where: str) -> bytes:
    """Reads a file that is written as `{"b64": text}`.

    As in TensorFlow Serving, white space is passed over and the padding may be left out.

    Args:
        value: of JSON.
        where: names the value in the refusal.

    Raises:
        Refused: 400, it is another value, a data URL, web-safe base64 or no base64.
    """
    if isinstance(value, str):
        raise Refused(400, f"{where} is a string; {_FORM}")
    if not isinstance(value, dict) or set(value) != {"b64"} or not isinstance(value["b64"], str):
        raise Refused(400, f"{where} is no file; {_FORM}")
    text = _SPACE.sub("", value["b64"])
    if text[:5].lower() == "data:":
        raise Refused(400, f"{where} is a data URL; leave out all up to its comma: {_FORM}")
    bare = text.rstrip("=")
    if "-" in bare or "_" in bare:
        raise Refused(400, f"{where} is web-safe base64; write + for - and / for _: {_FORM}")
    if len(text) != len(bare) and len(text) % 4:
        raise Refused(400, f"{where} is not base64: wrong padding; {_FORM}")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, f"{where} is not base64: {str(error)[:80]}; {_FORM}") from None
