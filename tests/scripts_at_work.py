"""Runs the scripts as a user does, for the tests."""

import pathlib
import subprocess
import sys

import keras

ROOT = pathlib.Path(__file__).parent.parent
SMALL = ["--filters=4", "--epochs=2", "--batch_size=64", "--batch_repetitions=1"]
DIGITS = ["--flagfile=configs/digits.flags", *SMALL]


def command(script, *flags):
    return [sys.executable, f"scripts/{script}", *map(str, flags)]


def run(script, *flags, **options):
    return subprocess.run(
        command(script, *flags), cwd=ROOT, capture_output=True, text=True, **options
    )


def assert_same_weights(file, other_file):
    models = map(keras.saving.load_model, (file, other_file))
    variables = [[*model.variables, *model.optimizer.variables] for model in models]
    assert all((ours.numpy() == theirs.numpy()).all() for ours, theirs in zip(*variables))
