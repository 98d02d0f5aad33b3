"""SIGTERM and Ctrl-C: training ends between two steps, with a checkpoint.

A scheduler that takes a machine back sends SIGTERM; the exit code tells it that the same
command would go on. Whatever answered the signals before does so again afterwards.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

# As in experiments/ending.py, which can import nothing of this package: that takes seconds, in
# which it answers already.
EXIT_CODE = os.EX_TEMPFAIL  # 75
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """Training was asked to end, and has saved what it had done.

    It is what Ctrl-C raises elsewhere in Python, so that no `except Exception` around a call takes
    it for a failed run and goes on with the next one.

    Args:
        by: what asked for it, such as the name of a signal; an attribute too.
    """

    def __init__(self, by: str):
        super().__init__(by)
        self.by = by

    def __str__(self):
        return f"ended by {self.by}; the same call goes on from the newest checkpoint"


@contextlib.contextmanager
def by_default() -> Iterator[None]:
    """Lets Ctrl-C kill the process, where TensorFlow lets no Python run.

    TensorFlow takes SIGTERM for itself when it connects workers; afterwards it is ours again.
    """
    before = _handlers()
    _answer_with(dict.fromkeys(before, signal.SIG_DFL))
    try:
        yield
    finally:
        _answer_with(before)


def exit_now(message: str, exit_code: int = EXIT_CODE) -> NoReturn:
    """Ends the process at once: its other threads may wait for a lost worker."""
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
    os._exit(exit_code)


class StopRequest:
    """Within `with StopRequest() as request:` a signal only leaves its name in `request.signal`.

    A second Ctrl-C does not wait any longer: it does what it did before. Outside the main
    thread, which alone may answer signals, there is never a request of this process.

    Attributes:
        signal: str, the name of the first signal to this process, or None.
        anywhere: bool, whether this or another worker was asked when the last step began; the
            same on all workers, who tell each other in `fit` and `evaluate`.

    Args:
        tell: None, or a function of the signal's number that is called too.
    """

    signal = None
    anywhere = False

    def __init__(self, tell: Callable[[int], object] | None = None):
        self._tell = tell

    @property
    def here(self) -> bool:
        """Whether this process is asked."""
        return self.signal is not None

    def __enter__(self) -> "StopRequest":
        self._before = _handlers()
        _answer_with(dict.fromkeys(self._before, self._note))
        return self

    def __exit__(self, *error: Any) -> None:
        _answer_with(self._before)

    def _note(self, number, frame):
        # It stays in place after the first signal: a script's thread may look only then at what
        # answers, and would end the process if that were what did so before.
        if self.signal and number == signal.SIGINT:
            _do(self._before[number], number, frame)
            return
        self.signal = signal.Signals(number).name
        if self._tell:
            self._tell(number)


def _do(handler, number, frame):
    """What a signal does with a handler, or with one of Python's constants in its place."""
    if callable(handler):
        handler(number, frame)
    elif handler == signal.SIG_DFL:
        signal.signal(number, handler)
        signal.raise_signal(number)


def _handlers():
    """What answers the signals, a handler by number; none outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) or signal.SIG_DFL for number in _SIGNALS}


def _answer_with(handlers):
    for number, handler in handlers.items():
        signal.signal(number, handler)
