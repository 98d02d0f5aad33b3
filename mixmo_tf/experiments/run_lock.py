"""run.lock: which process trains in a folder, held while it does; two never do at once."""

import contextlib
import fcntl
import os
import pathlib
import platform
import re
import time
from typing import IO

_NAME = "run.lock"
_MOST_HOLDER = 1000  # bytes that are read of who holds it


def check(path: pathlib.Path) -> None:
    """Raises ValueError where run.lock in `path` is not of a run, and may not be written over."""
    file = path / _NAME
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise ValueError(f"{file} is no lock of a run, but a link, a folder or a pipe; move it")
    if file.exists():
        with open(file, "rb") as opened:
            holder = opened.read(_MOST_HOLDER)
        if holder and not re.fullmatch(rb"pid \d+ on .*", holder):
            raise ValueError(f"{file} is no lock of a run, but holds something else; move it")


def take(path: pathlib.Path) -> IO:
    """The lock of the folder `path`, held until it is closed; in it stands who holds it.

    Raises:
        BlockingIOError: if another process, or another thread of this one, holds it.
    """
    with contextlib.ExitStack() as opened:
        lock = opened.enter_context(open(path / _NAME, "a+"))
        try:
            _lock(lock)
        except BlockingIOError:
            lock.seek(0)
            who = f" ({holder})" if (holder := lock.read()) else ""
            if holder == _this_process():
                raise BlockingIOError(f"this process is training in {path} already") from None
            raise BlockingIOError(f"another process is training in {path}{who}") from None
        lock.truncate(0)
        with contextlib.suppress(OSError):  # a full disk; it is for people to read
            os.write(lock.fileno(), _this_process().encode())
        opened.pop_all()
    return lock


def trainer(path: pathlib.Path) -> str | None:
    """Who is training in `path`: "pid 4711 on node-3", "another process", or None."""
    check(path)
    try:
        lock = open(path / _NAME)
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return lock.read() or "another process"
    return None


def _this_process():
    return f"pid {os.getpid()} on {platform.node()}"


def _lock(lock):
    """Locks an open file; raises BlockingIOError where a process trains.

    `trainer` shares the lock for a moment, to look. That is not training: it is tried again,
    for a second at most.
    """
    for _ in range(100):
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # raises where it is not shared
            fcntl.flock(lock, fcntl.LOCK_UN)
        time.sleep(0.01)
    raise BlockingIOError
