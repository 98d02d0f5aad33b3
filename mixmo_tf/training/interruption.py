"""SIGTERM and Ctrl-C: training ends between two steps, with a checkpoint.

A scheduler that takes a machine back sends SIGTERM; the exit code tells it that the same
command would go on.
"""

import contextlib
import os
import signal
import sys
import threading

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
    signals, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)

    def watch():
        """Python calls a handler only when it is back from TensorFlow: this does not wait."""
        while number := os.read(signals, 1):
            if signal.getsignal(number[0]) is stop:
                stop(number[0], None)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def deadly():
    """Lets Ctrl-C kill the process, where TensorFlow lets no Python run.

    TensorFlow takes SIGTERM for itself when it connects workers; afterwards it is ours again.
    """
    handlers = [signal.signal(number, signal.SIG_DFL) for number in _SIGNALS]
    yield
    for number, handler in zip(_SIGNALS, handlers):
        signal.signal(number, handler)


def exit_now(message, exit_code=EXIT_CODE):
    """Ends the process at once: its other threads may wait for a lost worker."""
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
    os._exit(exit_code)


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
