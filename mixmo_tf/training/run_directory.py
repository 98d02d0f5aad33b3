"""What a training run leaves on disk, and how it goes on after an interruption.

- run.flags: every flag of the run; a flagfile, with the versions of the libraries
- history.csv: a line per epoch
- checkpoints/: the newest two epochs, each a whole .keras model with its optimizer
- model.keras: the trained model
- metrics.json: the final figures
- run.lock: held while a process trains here
"""

import fcntl
import json
import math
import os
import pathlib
import platform
import warnings

import keras
import tensorflow as tf

from mixmo_tf.training.replica_model import ReplicaModel

CONTENTS = ("history.csv", "checkpoints", "model.keras", "metrics.json")
MAY_DIFFER = ("--data_dir", "--output_dir")  # where things are does not change a run


def start(path, flag_lines):
    """Starts a run in a directory, or takes up the one that is there.

    Args:
        path: the directory; created if need be.
        flag_lines: lines `--name=value`, every flag of the run.

    Returns:
        pathlib.Path of the directory, and its lock, to be kept while the run goes on.

    Raises:
        ValueError: if a run with other flags is there, or files of something else; the
            message names them.
        BlockingIOError: if another process is training there.
    """
    path = pathlib.Path(path)
    flags_file = path / "run.flags"
    strangers = [name for name in CONTENTS if (path / name).exists()]
    if strangers and not flags_file.exists():
        raise ValueError(
            f"{path} holds {', '.join(strangers)} but no run.flags; choose another --output_dir"
        )
    path.mkdir(parents=True, exist_ok=True)
    lock = open(path / "run.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(f"another process is training in {path}") from None
    if flags_file.exists():
        _check_same_flags(path, read_flags(path), _parse(flag_lines))
    else:
        libraries = [f"# {name} {version}" for name, version in versions().items()]
        _write_at_once(flags_file, "\n".join([*libraries, *flag_lines]) + "\n")
    return path, lock


def read_flags(path):
    """The flags in `path`/run.flags, values as text by names such as "--dataset"."""
    return _parse((path / "run.flags").read_text().splitlines())


def newest_checkpoint(path):
    """Loads the newest checkpoint below `path` that can be read; None if there is none.

    A file that cannot be read is left out with a warning.
    """
    for file in sorted((path / "checkpoints").glob("step_*.keras"), reverse=True):
        try:
            return load_model(file)
        except ValueError as error:
            warnings.warn(f"{error}; trying the one before it")
    return None


def cut_history(path, epochs):
    """Drops the lines of history.csv from epoch `epochs` (from 0) on; they will be redone."""
    history = path / "history.csv"
    if history.exists():
        lines = history.read_bytes().splitlines(keepends=True)
        _write_at_once(history, b"".join(lines[: 1 + epochs]))


def write_metrics(path, metrics):
    """Writes metrics.json below `path`."""
    _write_at_once(path / "metrics.json", json.dumps(metrics, indent=2) + "\n")


def save_model(model, path):
    """Saves a .keras file at `path` at once: a reader sees the old file or the new one."""
    partial = path.with_name("partial-" + path.name)
    model.save(partial)
    os.replace(partial, path)


def load_model(file):
    """Loads a .keras file that this package wrote.

    Raises:
        ValueError: if it cannot be read, or holds another kind of model.
    """
    try:
        model = keras.saving.load_model(file)
    except Exception as error:  # whatever a damaged file makes Keras raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{file} is no readable .keras file: {reason}") from error
    if not isinstance(model, ReplicaModel):
        raise ValueError(f"{file} holds a {type(model).__name__}, not a MixMo")
    return model


def versions():
    """Versions of what a run's numbers depend on, by name."""
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


class Checkpoints(keras.callbacks.Callback):
    """Saves the whole model after every epoch and keeps the newest `keep` files.

    After an epoch whose loss is NaN or infinite nothing is saved.

    Args:
        path: folder, created if need be.
        keep: int >= 1.
    """

    def __init__(self, path, keep=2):
        super().__init__()
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.keep = keep

    def on_epoch_end(self, epoch, logs=None):
        if not math.isfinite(logs["loss"]):
            return
        step = int(self.model.step.numpy())
        save_model(self.model, self.path / f"step_{step:08d}.keras")
        for old in sorted(self.path.glob("step_*.keras"))[: -self.keep]:
            old.unlink()


def _parse(lines):
    return dict(line.split("=", 1) for line in lines if line.startswith("--"))


def _check_same_flags(path, old, new):
    names = sorted(name for name in old | new if old.get(name) != new.get(name))
    names = [name for name in names if name not in MAY_DIFFER]
    if names:
        differences = ", ".join(
            f"{name} {old.get(name)} there, {new.get(name)} here" for name in names
        )
        raise ValueError(
            f"{path} holds a run with other flags ({differences}); choose another --output_dir"
        )


def _write_at_once(path, content):
    partial = path.with_name("partial-" + path.name)
    partial.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.replace(partial, path)
