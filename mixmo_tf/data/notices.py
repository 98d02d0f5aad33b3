"""What is said about a user's data, a line each and each only once; and how far its reading is."""

import functools
import logging
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

_LOG = logging.getLogger(__name__)
_SHOWN_AFTER = 2  # seconds, the progress bar of what is mostly quick


@functools.cache
def say_once(line: str) -> None:
    """Logs a line as a warning, unless this process has logged it before."""
    _LOG.warning(line.encode("utf-8", "backslashreplace").decode())  # names of any encoding


def progress_bar(
    what: str, total: int, items: Iterable | None = None, unit: str = " images", **options: Any
) -> tqdm:
    """A bar of items that pass through it, or, without them, of what its `update` counts."""
    bar = {"desc": what, "total": total, "unit": unit, "delay": _SHOWN_AFTER, "disable": None}
    return tqdm(items, **bar, **options)
