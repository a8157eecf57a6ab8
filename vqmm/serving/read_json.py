"""JSON bodies of requests, read so that nothing in them is lost in silence."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from vqmm.serving.refused import Refused


def read_json(body: bytes) -> Any:
    """Parses a body.

    Args:
        body: JSON in UTF-8, UTF-16 or UTF-32; NaN and Infinity are numbers, as for TensorFlow Serving.

    Raises:
        Refused: 400, it is no JSON, or an object names a key twice: parsers differ in which they keep.
    """
    try:
        return json.loads(body, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        said = f"the body is not JSON: {str(error)[:80]}"
        if "control character" in said:  # as of `base64 FILE`, pasted into a string
            said += "; write line breaks inside a string as \\n, or base64 without any (base64 -w0)"
        raise Refused(400, said) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise Refused(400, f"the body names {twice[:80]!r} twice in one object; name it once")
    return found
