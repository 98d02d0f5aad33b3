"""A script's command: flags become settings, a call gets them, and what it logs is printed."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence

import absl.app
import absl.logging
import tensorflow as tf

from mixmo_tf.experiments import flagfiles
from mixmo_tf.experiments.absl_flags import flags_of, known_to_absl, settings_of


def run(
    action: Callable,
    *settings_classes: type,
    argv: list[str] | None = None,
    names: Sequence[str] = (),
    rest: str | None = None,
    description: str | None = None,
) -> None:
    """Runs a script's command as its flags say: `action` gets the settings of each class.

    What the package logs is printed meanwhile.

    Args:
        argv: the command line with the script's name; sys.argv if None.
        names: one of them must be the argument without --, and is the first of `action`.
        rest: the setting, a tuple of str, of the only class, whose further values the arguments
            without -- are.
        description: what `--help` begins with; the script's docstring.

    Raises:
        SystemExit: always, as `app.run` does. Its code is None, or a line that says what is
            wrong, or 1, where flags cannot be read and absl says it.
    """
    values = [flags_of(settings_class) for settings_class in settings_classes]

    def main(arguments):
        script, *others = arguments
        script = os.path.basename(script)
        if names and (len(others) != 1 or others[0] not in names):
            sys.exit(f"{script}: say which, once: {', '.join(names)}")
        if rest:
            values[0][rest].value = [*values[0][rest].value, *others]
            others = []
        if others and not names:
            sys.exit(f"{script}: unknown argument {others[0]}; flags start with --")
        absl.logging.set_verbosity(absl.logging.WARNING)
        tf.get_logger().setLevel("ERROR")
        try:
            action(*others, *map(settings_of, settings_classes, values))
        except (ValueError, OSError, ImportError, MemoryError) as error:
            sys.exit(f"{script}: {error}")

    program, *said = sys.argv if argv is None else argv
    script = os.path.basename(program)
    try:
        said = flagfiles.in_place(said)
    except (ValueError, OSError) as error:
        sys.exit(f"{script}: {error}")
    with known_to_absl(*values), _described(description), _printed(script):
        try:
            absl.app.run(main, [program, *said])
        except BrokenPipeError as error:  # of --help, to a reader that has gone
            sys.exit(f"{script}: {error}")


@contextlib.contextmanager
def _described(description) -> Iterator[None]:
    """Under it, `--help` begins with the description, however the command was started.

    absl shows the docstring of the module that was started, which has none where that is an
    installed command. In a docstring it takes % for the place of the command's name.
    """
    module = sys.modules["__main__"]
    before = module.__doc__
    module.__doc__ = description.replace("%", "%%") if description else before
    try:
        yield
    finally:
        module.__doc__ = before


@contextlib.contextmanager
def _printed(script) -> Iterator[None]:
    """Under it, what the package logs is printed; warnings as the script's own errors."""
    log, printer = logging.getLogger("mixmo_tf"), _Printer(script)
    before = log.level, log.propagate
    log.addHandler(printer)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(printer)
        log.setLevel(before[0])
        log.propagate = before[1]


class _Printer(logging.Handler):
    def __init__(self, script):
        super().__init__()
        self.script = script

    def emit(self, record):
        said = record.getMessage().encode("utf-8", "backslashreplace").decode()  # odd file names
        is_warning = record.levelno >= logging.WARNING
        stream = sys.stderr if is_warning else sys.stdout  # as they are now: tests change them
        stream.write(f"{self.script}: {said}\n" if is_warning else f"{said}\n")
        stream.flush()
