"""SIGTERM and Ctrl-C, from a script's first lines on: one line, and exit code 75.

Importing TensorFlow takes seconds, in which Python's own answers are a traceback or none. So a
script imports this file first, which needs the standard library alone.
"""

import os
import select
import signal
import sys
import threading

EXIT_CODE = os.EX_TEMPFAIL  # 75
SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PATIENCE = 10  # seconds for `main` to remove what it had half written

_ends = threading.Lock()  # taken by what ends the process: the line comes once


def exit_at_once():
    """Lets the signals end the process on the spot, where there is nothing to save or remove.

    An exception would do less: it could come up inside a library that takes it for an error
    of its own. For the process of a script alone; what it changes stays.
    """
    _answer_with(_end, patience=0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # reproduce.py starts with them blocked


def run(main, clears_up=True):
    """absl's `app.run`, of the process that called `exit_at_once`.

    Args:
        main: function of the command line's arguments.
        clears_up: bool, whether a signal comes up in `main` as a KeyboardInterrupt, so that
            what is half written goes. A second one ends the process at once, as does the
            first where TensorFlow does not return for a while.
    """
    from absl import app

    if clears_up:
        _answer_with(_interrupt, _PATIENCE)
    try:
        app.run(main)
    except KeyboardInterrupt as interrupt:
        sys.stdout.flush()
        _end(*interrupt.args)
    finally:
        for number in SIGNALS:  # all is said; Python would let them kill while it ends
            signal.signal(number, signal.SIG_IGN)


def _answer_with(handler, patience):
    for number in SIGNALS:
        signal.signal(number, handler)
    signals, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    threading.Thread(target=_watch, args=[signals, patience], daemon=True).start()


def _watch(signals, patience):
    """Python calls a handler only when it is back from TensorFlow: this does not wait for it.

    Where an `interruption.Request` answers, it waits for a second Ctrl-C.
    """
    asked = _end
    while True:
        (number,) = os.read(signals, 1)
        handler = signal.getsignal(number)
        if handler in (_interrupt, _end) or (handler == asked and number == signal.SIGINT):
            select.select([signals], [], [], patience)
            _end(number)
        asked = handler


def _interrupt(number, frame):
    for each in SIGNALS:
        signal.signal(each, _end)
    raise KeyboardInterrupt(number)


def _end(number, frame=None):
    if _ends.acquire(blocking=False):
        script, name = os.path.basename(sys.argv[0]), signal.Signals(number).name
        os.write(2, f"{script}: ended by {name}; give the command again\n".encode())
        os._exit(EXIT_CODE)
