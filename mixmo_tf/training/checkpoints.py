"""Checkpoints: whole .keras models with their optimizer; no reader sees half of one."""

import math
import os
import pathlib
import re
import warnings
import zipfile

import keras
import numpy as np

from mixmo_tf import arguments, masks, outputs, paths, random_state
from mixmo_tf.distribution import replicas
from mixmo_tf.models.executions import NotFiniteError
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.training import model_archive
from mixmo_tf.training.signals import Interrupted, StopRequest

_NAME = re.compile(r"step_(\d{8,})\.keras")
_KEPT = 2  # of these, the newest


def save_model(model: Predictor, path: pathlib.Path, replace: bool = True) -> None:
    """Saves a .keras file at `path`; a reader sees the old file or the new one.

    With several workers all must call it at the same point; the chief writes.

    Raises:
        OSError: if it cannot be written, or is there and not to be replaced; what was there
            stays.
    """
    if not replicas.is_chief(model.distribute_strategy):
        model.epoch_sums()  # which the chief can only read together with the others
        return
    with outputs.atomically(path, replace) as partial:
        model.save(partial)


def load_model(file: str | os.PathLike, compile: bool = True) -> Predictor:
    """Loads a .keras file that this package wrote, or the model.keras of a run's folder.

    Where averages of the weights were kept, they are in the network, also if it is a checkpoint,
    which holds the raw weights there. `fit` goes on from these, as after a `fit`.

    Args:
        file: its path, or that of a folder with what a .keras file holds, as models are shared;
            ~ is the home folder.
        compile: bool, whether the model gets its optimizer back; it does in any case where the
            averages are kept with it.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read, holds another kind of model, claims sizes that it does
            not have, or was trained with a mixing block that is not registered here.
    """
    file = paths.expanded(file)
    kind = "model" if model_archive.is_folder(file) else ".keras file"
    if kind == ".keras file":
        file = _keras_file(file)
    try:
        with model_archive.within_its_size(file), random_state.kept():
            are_aside = model_archive.has_averages_aside(file)
            if are_aside and not compile:
                model = _with_optimizer_if_known(file)
            else:
                model = keras.saving.load_model(file, compile=compile)
    except model_archive.RefusedError:
        raise
    except masks.MissingBlockError as error:
        raise ValueError(f"{file} cannot be loaded: {error}") from None
    except Exception as error:  # whatever a damaged file makes Keras raise
        reason = arguments.first_line(error).split(". ")[0]
        raise ValueError(f"{file} is not a readable {kind}: {reason}") from error
    if not isinstance(model, Predictor):
        raise ValueError(f"{file} holds a {type(model).__name__}, not a MixMo")
    if are_aside and model.compiled:
        model.averages.swap(into_network=True)
    return model


def _with_optimizer_if_known(file):
    """The model with its averages, unless its optimizer is of a class that nobody registered."""
    try:
        return keras.saving.load_model(file)
    except Exception:
        model = keras.saving.load_model(file, compile=False)  # or that raises what is wrong
        warnings.warn(
            f"the optimizer of {file} cannot be loaded, and with it the averages of the weights: "
            "the network holds the raw ones"
        )
        return model


def _keras_file(file):
    """The path of a .keras file, or of that of a run's folder, which is a zip file."""
    if file.is_dir():
        file = file / "model.keras"
    if not file.is_file():
        raise FileNotFoundError(f"there is no model at {file}; scripts/train.py writes one")
    if file.suffix != ".keras":
        raise ValueError(f"{file} is not a readable .keras file: its name must end in .keras")
    if not zipfile.is_zipfile(file):
        raise ValueError(
            f"{file} is not a readable .keras file: it is damaged, no zip archive or cut short"
        )
    return file


def holds(file: str | os.PathLike, model: Predictor) -> bool:
    """Whether there is a .keras file that can be read, with the step and weights of `model`."""
    try:
        saved = load_model(file, compile=False)
    except (ValueError, FileNotFoundError):
        return False
    ours, theirs = (each.get_weights() for each in (model, saved))
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The checkpoints in `folder`, the newest last; what else has such a name is none."""
    named = [file for file in folder.glob("step_*.keras") if _NAME.fullmatch(file.name)]
    return sorted((file for file in named if file.is_file()), key=step_of)


def step_of(file: pathlib.Path) -> int:
    """After how many steps a checkpoint was written, by its name."""
    return int(_NAME.fullmatch(file.name)[1])


def load_newest(folder: pathlib.Path) -> Predictor | None:
    """Loads the newest checkpoint in `folder` that can be read; None if there is none.

    A file that cannot be read is left out with a warning.

    Raises:
        ValueError: if there are checkpoints, but none can be read.
    """
    for file in reversed(files(folder)):
        try:
            return load_model(file)
        except ValueError as error:
            warnings.warn(f"{error}; trying the one before it")
    if files(folder):
        raise ValueError(f"no checkpoint in {folder} can be read; remove them to start over")
    return None


class Checkpoints(keras.callbacks.Callback):
    """Saves the model while it trains, stops it when asked to, or when it has failed.

    A checkpoint is written after each epoch's last step, before it is validated; every
    `every_steps`; and when `request` came, to this worker or another, which then ends the
    training. An execution of several steps counts as one that ends at its last.

    Args:
        folder: created if need be.
        request: the one that `fit` and `evaluate` get too.

    Raises:
        NotFiniteError: after the step whose loss or weights are NaN or infinite; these
            weights are not saved.
        Interrupted: after `request` came.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        steps_per_epoch: int,
        request: StopRequest,
        every_steps: int | None = None,
    ):
        super().__init__()
        self.folder = folder
        self.steps_per_epoch = steps_per_epoch
        self.request = request
        self.every_steps = every_steps or steps_per_epoch

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.step = int(self.model.step.numpy())
        if replicas.is_chief(self.model.distribute_strategy):
            self.folder.mkdir(parents=True, exist_ok=True)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        before, self.step = self.step, int(self.model.step.numpy())
        if not math.isfinite(logs["loss"]):
            raise NotFiniteError(f"the loss became NaN or infinite at step {self.step}")
        intervals = self.every_steps, self.steps_per_epoch
        due = any(before // steps < self.step // steps for steps in intervals)
        if due or self.request.anywhere:
            self._save(self.step)
        self._stop_if_asked()

    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._stop_if_asked()  # nothing has changed since the epoch's last step

    def _save(self, step):
        if not all(np.all(np.isfinite(variable.numpy())) for variable in self.model.variables):
            raise NotFiniteError(f"a weight became NaN or infinite by step {step}")
        newest = self.folder / f"step_{step:08d}.keras"
        save_model(self.model, newest)
        if not replicas.is_chief(self.model.distribute_strategy):
            return
        up_to_now = [f for f in files(self.folder) if step_of(f) <= step]  # not a damaged one
        for old in up_to_now[:-_KEPT]:
            old.unlink()

    def _stop_if_asked(self):
        if self.request.anywhere:
            raise Interrupted(self.request.signal or "a signal to another worker")


class BestModel(keras.callbacks.Callback):
    """Keeps the model of the epoch with the highest `val_accuracy`, the first of equals.

    `best` is the highest so far.
    """

    def __init__(self, file: pathlib.Path, best: float):
        super().__init__()
        self.file = file
        self.best = best

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs["val_accuracy"] > self.best:
            self.best = logs["val_accuracy"]
            with self.model.averages.shown():
                save_model(self.model, self.file)
