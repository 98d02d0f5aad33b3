"""JSON as its standard has it (RFC 8259), which knows neither NaN nor Infinity."""

import json
import math
import re
from typing import Any

import numpy as np

UNDEFINED = "undefined"
NOT_A_NUMBER = "not a number"
_NUMBER = r"(?:-?\d[\d.e+-]*|null)"
_NUMBERS = re.compile(rf"\[\n *({_NUMBER}(?:,\n *{_NUMBER})*)\n *\]")  # no text has line breaks


def dumps(content: Any) -> str:
    """The text of a JSON file; all files of this package are written with it.

    The content is of dicts, lists, tuples, str, numbers, NumPy's too, bool and None. What is not
    finite is written as `finite` has it, and a list of numbers is one line.

    Raises:
        TypeError: if there is anything else in it.
    """
    text = json.dumps(finite(content), indent=2, allow_nan=False) + "\n"
    return _NUMBERS.sub(lambda found: "[" + re.sub(r"\n *", " ", found[1]) + "]", text)


def loads(text: str | bytes, **options: Any) -> Any:
    """What `json.loads` gives; a file that was damaged may be nested deeper than it reads.

    Raises:
        ValueError: if it is no JSON.
    """
    try:
        return json.loads(text, **options)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def finite(content: Any) -> Any:
    """The same content, with None for each number that is not finite.

    Each dict gets a key more, "undefined", for such numbers in it: by the key, "not a number" or
    "infinite". Sentences that are there already stay.
    """
    if isinstance(content, dict):
        result = {key: finite(value) for key, value in content.items()}
        why = {key: reason for key, value in content.items() if (reason := _reason(value))}
        why |= result.get(UNDEFINED) or {}
        return result | {UNDEFINED: why} if why else result
    if isinstance(content, (list, tuple)):
        return [finite(value) for value in content]
    if isinstance(content, np.generic):
        content = content.item()
    return None if _reason(content) else content


def _reason(value):
    """Why a number, or one of a list, cannot be written; None if it can."""
    if isinstance(value, (list, tuple)):
        return next(filter(None, map(_reason, value)), None)
    if not isinstance(value, (float, np.floating)) or math.isfinite(value):
        return None
    return NOT_A_NUMBER if math.isnan(value) else "infinite"
