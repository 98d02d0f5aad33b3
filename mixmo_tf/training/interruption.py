"""SIGTERM and Ctrl-C: training ends between two steps, with a checkpoint.

A scheduler that takes a machine back sends SIGTERM; the exit code tells it that the same
command would go on.
"""

import os
import signal
import sys

EXIT_CODE = os.EX_TEMPFAIL  # 75
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):
    """Training was asked to end, and has saved what it had done."""


def exit_at_once():
    """Lets the signals end the process on the spot, where there is nothing to save.

    An exception would do less: it could come up inside a library that takes it for an error
    of its own.
    """

    def stop(number, frame):
        os.write(2, f"ended by {signal.Signals(number).name}; give the command again\n".encode())
        os._exit(EXIT_CODE)

    for number in _SIGNALS:
        signal.signal(number, stop)


def exit_now(message):
    """Ends the process as an interrupted one; its other threads may wait for a lost worker."""
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
    os._exit(EXIT_CODE)


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
