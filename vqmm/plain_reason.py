"""Turns TensorFlow's errors into words that need no knowledge of its graphs."""

from __future__ import annotations

import re

LONGEST = 400
_INSIDE = (
    r"\[\[\{\{.*?\}\}\]\]",  # the node that failed
    r"\{\{.*?\}\}",  # functions and devices
    r"<stack traces unavailable>",
    r"\[Op:[^\]]*\](?: name:\S*)?",
    r"\S*\.tempstate\d+;",
    r"\(\d+\) (?=[A-Z_]+: )",  # counts the causes of one error
)
_TRACE = re.compile(
    r'Graph execution error:|Detected at node|\s*File "|\d+ root error\(s\) found|'
    r"\d+ successful operations|\d+ derived errors? ignored"
)
_CODE = re.compile(
    r"^(?:INVALID_ARGUMENT|OUT_OF_RANGE|FAILED_PRECONDITION|RESOURCE_EXHAUSTED|INTERNAL|UNKNOWN|"
    r"Invalid argument|Out of range|Internal): "
)


def plain_reason(error: Exception | str) -> str:
    """Returns the reason of an error on one line, without names of nodes, functions, devices and traces.

    Of an assertion in a graph, the values stand where the message has them:
    `assertion failed: [shared codes lie between 0 and 3; received] [7]` becomes
    `shared codes lie between 0 and 3; received 7`. Other errors keep their text.

    Args:
        error: of TensorFlow or of anything else, or the message of one, as gRPC carries it.

    Returns:
        At most `LONGEST` characters; the name of the error's class where it says nothing.
    """
    given = error if isinstance(error, str) else getattr(error, "message", None) or error
    lines = str(given).split("\n\t [[")[0].splitlines()
    text = " ".join(line for line in lines if not _TRACE.match(line))
    for pattern in _INSIDE:
        text = re.sub(pattern, "", text)
    text = _CODE.sub("", " ".join(text.split()))
    before, failed, parts = text.partition("assertion failed: [")
    if failed:
        text = before + parts.strip().removesuffix("]").replace("] [", " ")
    return text[:LONGEST] or type(error).__name__
