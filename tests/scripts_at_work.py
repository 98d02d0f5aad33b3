"""Runs the scripts' commands, in this process or as a user does, for the tests."""

import contextlib
import importlib.util
import io
import os
import pathlib
import resource
import signal
import subprocess
import sys

import keras
import pytest

ROOT = pathlib.Path(__file__).parent.parent
SMALL = ["--filters=4", "--epochs=2", "--batch_size=64", "--batch_repetitions=1"]
DIGITS = ["--flagfile=configs/digits.flags", *SMALL]


def command(script, *flags):
    return [sys.executable, f"scripts/{script}", *map(str, flags)]


def shallow_command(script, *flags):
    """The same on the network of shallow_network.py."""
    return [sys.executable, f"tests/shallow_scripts/{script}", *map(str, flags)]


def run(script, *flags, **options):
    return subprocess.run(
        command(script, *flags), cwd=ROOT, capture_output=True, text=True, **options
    )


def exit_messages(script, *calls):
    """What each call of a script's command ends with."""
    return call(script, *calls)[0]


def call(script, *calls):
    """What each call of a script's command ends with, and what they print; in this process."""
    endings, printed = zip(*(ending_of(script, *flags) for flags in calls), strict=True)
    return list(endings), "".join(printed)


def said_of(script, *flags):
    """What a script's command prints, in this process, where it ends well."""
    ending, printed = ending_of(script, *flags)
    assert ending is None, ending
    return printed


def refusal(script, *flags):
    """What a script's command ends with, in this process: a line that says what is wrong."""
    ending, _ = ending_of(script, *flags)
    assert str(ending).startswith(f"{script}.py: ") and "\n" not in ending, (flags, ending)
    return ending


def assert_refused(script, cases):
    """That a script's command ends with such a line, which the message is part of.

    Args:
        script: name.
        cases: list of (flags, message).
    """
    for flags, message in cases:
        ending = refusal(script, *flags)
        assert message in ending, (flags, ending)


def ending_of(script, *flags):
    """What a script's command ends with in this process, and what it prints, errors last."""
    printed, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as here,
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(errors),
        pytest.raises(SystemExit) as ended,
    ):
        here.chdir(ROOT)
        here.setattr(os, "_exit", _must_go_on)
        load(script).load()(argv=[f"{script}.py", *map(str, flags)])
    return ended.value.code, printed.getvalue() + errors.getvalue()


def load(script):
    """A script as a module; it imports nothing heavy, and defines no flags."""
    spec = importlib.util.spec_from_file_location(
        f"scripts.{script}", ROOT / f"scripts/{script}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _must_go_on(code):
    raise AssertionError(f"the command ends the tests' process, exit code {code}")


def assert_same_weights(file, other_file):
    models = map(keras.saving.load_model, (file, other_file))
    variables = [[*model.variables, *model.optimizer.variables] for model in models]
    assert all(
        (ours.numpy() == theirs.numpy()).all() for ours, theirs in zip(*variables, strict=True)
    )


@contextlib.contextmanager
def full_disk(size):
    """Makes files end at `size` bytes, as they do where the disk is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
