"""What is said about a user's data: a line each, and each only once."""

import functools
import logging

_LOG = logging.getLogger(__name__)


@functools.cache
def say_once(line: str) -> None:
    """Logs a line as a warning, unless this process has logged it before."""
    _LOG.warning(line.encode("utf-8", "backslashreplace").decode())  # names of any encoding
