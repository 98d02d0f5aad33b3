"""SIGTERM and Ctrl-C at any moment of a command: one line, and exit code 75.

Importing TensorFlow takes seconds, in which Python's own answers are a traceback or none. So a
script first runs this file alone, which needs only the standard library; importing it would
import the package.
"""

import atexit
import contextlib
import gc
import os
import runpy
import select
import signal
import sys
import threading
from collections.abc import Callable

# As in mixmo_tf/training/signals.py, see there.
EXIT_CODE = os.EX_TEMPFAIL  # 75
SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PATIENCE = 10  # seconds for the command to remove what it had half written

_ends = threading.Lock()  # taken by what ends the process: the line comes once
_decided = []  # the exit code, once the command has ended
_errors = [2]  # the last is the descriptor that errors are written to


def exit_at_once() -> None:
    """Lets the signals end the process on the spot, where there is nothing to save or remove.

    An exception would do less: it could come up inside a library that takes it for an error
    of its own. For the process of a script alone; what it changes stays.
    """
    _open_what_is_closed()
    atexit.register(_at_last)
    _answer_with(_end, patience=0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # reproduce.py starts with them blocked


def run(load: Callable[[], Callable[[], object]], clears_up: bool = True) -> None:
    """Runs a script's command; for the process of the script alone.

    Where the command has ended, a signal does not wait for Python's end, which may take
    TensorFlow a minute; the exit code is then that of the command.

    Args:
        load: function of nothing that imports all and gives the command, a function of nothing:
            while a library is imported, an exception could pass for an error of its own.
        clears_up: bool, whether a signal comes up in the command as a KeyboardInterrupt, so that
            what is half written goes. A second one ends the process at once, as does the
            first where TensorFlow does not return for a while.
    """
    _open_what_is_closed()
    quiet = runpy.run_path(os.path.join(os.path.dirname(__file__), "quiet.py"))
    _errors.append(quiet["start"]())
    exit_at_once()
    try:
        command = load()
        if clears_up:
            _answer_with(_interrupt, _PATIENCE)
        try:
            command()
        finally:
            _answer_with(_end, patience=0)
    except KeyboardInterrupt as interrupt:
        sys.stdout.flush()
        _end(*interrupt.args)
    except SystemExit as end:
        code = 0 if end.code is None else end.code
        _decide(code if isinstance(code, int) else 1)
        raise
    except BaseException:
        _decide(1)
        raise


def _open_what_is_closed():
    """Leaves no standard stream closed (`>&-`).

    Python has None in its place, and the next file that is opened would get its number, and what
    libraries have to say.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))


def _answer_with(handler, patience):
    for number in SIGNALS:
        signal.signal(number, handler)
    signals, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    threading.Thread(target=_watch, args=[signals, patience], daemon=True).start()


def _watch(signals, patience):
    """Python calls a handler only when it is back from TensorFlow: this does not wait for it.

    Where a `signals.StopRequest` answers, it waits for a second Ctrl-C.
    """
    asked = _end
    while True:
        (number,) = os.read(signals, 1)
        handler = signal.getsignal(number)
        if handler in (_interrupt, _end) or (handler == asked and number == signal.SIGINT):
            select.select([signals], [], [], patience)
            _end(number)
        asked = handler


def _decide(exit_code):
    with contextlib.suppress(OSError):  # Python tries again, and says what is wrong
        sys.stdout.flush()
    _decided.append(exit_code)


def _at_last():
    """The last that Python calls before it takes modules apart and answers no signal any more."""
    gc.collect()  # of iterators, which may wait
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # Python would let them kill


def _interrupt(number, frame):
    for each in SIGNALS:
        signal.signal(each, _end)
    raise KeyboardInterrupt(number)


def _end(number, frame=None):
    if _ends.acquire(blocking=False):
        if _decided:
            os._exit(*_decided)
        script, name = os.path.basename(sys.argv[0]), signal.Signals(number).name
        os.write(_errors[-1], f"{script}: ended by {name}; give the command again\n".encode())
        os._exit(EXIT_CODE)
