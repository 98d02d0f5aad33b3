"""SIGTERM and Ctrl-C: training ends between two steps, with a checkpoint.

A scheduler that takes a machine back sends SIGTERM; the exit code tells it that the same
command would go on.
"""

import os
import signal

EXIT_CODE = os.EX_TEMPFAIL  # 75
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):
    """The process was asked to end; what it had done is saved."""


def raise_at_once():
    """Lets the signals raise Interrupted wherever the process is."""

    def stop(number, frame):
        raise Interrupted(signal.Signals(number).name)

    for number in _SIGNALS:
        signal.signal(number, stop)


class Request:
    """Within `with Request() as request:` a signal only leaves its name in `request.signal`.

    A second Ctrl-C does not wait any longer.
    """

    signal = None

    def __enter__(self):
        self._handlers = [signal.signal(number, self._note) for number in _SIGNALS]
        return self

    def __exit__(self, *error):
        for number, handler in zip(_SIGNALS, self._handlers):
            signal.signal(number, handler)

    def _note(self, number, frame):
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number).name
