"""What a training run leaves on disk.

run.flags      every flag of the run; a flagfile, with the versions of the libraries
history.csv    a line per epoch
checkpoints/   the newest two epochs, each a whole .keras model with its optimizer
model.keras    the trained model
metrics.json   the final figures
"""

import json
import os
import pathlib
import platform

import keras
import tensorflow as tf

LIBRARIES = {"tensorflow": tf.__version__, "keras": keras.__version__}


def create(path, flag_lines):
    """Starts a run directory with its run.flags.

    Args:
        path: where; must not hold a run yet.
        flag_lines: lines `--name=value`.

    Returns:
        pathlib.Path.

    Raises:
        FileExistsError: if `path` holds a run already.
    """
    path = pathlib.Path(path)
    flags_file = path / "run.flags"
    if flags_file.exists():
        raise FileExistsError(
            f"{path} already holds a run; choose another --output_dir, or remove it first"
        )
    path.mkdir(parents=True, exist_ok=True)
    versions = [f"# {name} {version}" for name, version in library_versions().items()]
    flags_file.write_text("\n".join([*versions, *flag_lines]) + "\n")
    return path


def library_versions():
    """Versions of what a run's numbers depend on, by name."""
    return {"python": platform.python_version(), **LIBRARIES}


def write_metrics(path, metrics):
    """Writes metrics.json below `path`."""
    (path / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")


def save_model(model, path):
    """Saves a .keras file at `path` at once: a reader sees the old file or the new one."""
    partial = path.with_name("partial-" + path.name)
    model.save(partial)
    os.replace(partial, path)


class Checkpoints(keras.callbacks.Callback):
    """Saves the whole model after every epoch and keeps the newest `keep` files.

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
        step = int(self.model.step.numpy())
        save_model(self.model, self.path / f"step_{step:08d}.keras")
        for old in sorted(self.path.glob("step_*.keras"))[: -self.keep]:
            old.unlink()
