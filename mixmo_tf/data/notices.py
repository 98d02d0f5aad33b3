"""What is said about a user's data: a line each, and each only once."""

import functools


@functools.cache
def say_once(line):
    """Prints a line, unless this process has printed it before."""
    print(line.encode("utf-8", "backslashreplace").decode(), flush=True)  # names of any encoding
