"""What training logs: TensorBoard's curves over the step, and a line for each epoch."""

import logging
import pathlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from mixmo_tf import outputs
from mixmo_tf.plots import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EVERY = 100  # steps between two points
_SHOWN = "loss", "val_loss", "val_accuracy"  # of an epoch, in its line
_log = logging.getLogger(__name__)


class TensorBoardLogs(keras.callbacks.Callback):
    """Writes what Keras logs, the learning rate, and the images/s.

    Training metrics are means since the epoch began; `images_per_second` counts distinct
    images since the last point, without the time for validation.

    Args:
        folder: where `train` and `validation` are written, and what others `write`.
        batch_size: distinct images per step.
        steps_per_epoch: there is a point after the last step of each epoch, and every 100 steps.
    """

    def __init__(self, folder: pathlib.Path, batch_size: int, steps_per_epoch: int):
        super().__init__()
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.folder = folder
        self._writers = {}
        self._step = 0

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._step = int(self.model.step.numpy())

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._last_point = None  # step and time of the last point; the first step may compile

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        before, self._step = self._step, int(self.model.step.numpy())
        if self._last_point is None:
            self._last_point = self._step, time.perf_counter()
        intervals = _EVERY, self.steps_per_epoch
        if all(before // steps == self._step // steps for steps in intervals):
            return
        now = time.perf_counter()
        (step, then), self._last_point = self._last_point, (self._step, now)
        values = {**logs, "learning_rate": float(self.model.optimizer.learning_rate)}
        if self._step > step:
            values["images_per_second"] = (self._step - step) * self.batch_size / (now - then)
        self.write("train", values)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        values = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
        self.write("validation", values)

    def write(
        self,
        part: str,
        scalars: Mapping[str, float] | None = None,
        pictures: Mapping[str, "Figure"] | None = None,
    ) -> None:
        """Writes scalars and pictures, by name, of the last step that is done.

        `part` is a folder below `folder`; TensorBoard shows it as a run of its own.

        Raises:
            OSError: if they cannot be written.
        """
        with outputs.naming(self.folder):
            if part not in self._writers:
                folder = str(self.folder / part)
                self._writers[part] = tf.summary.create_file_writer(folder)
            writer = self._writers[part]
            with writer.as_default(self._step):
                for name, value in (scalars or {}).items():
                    tf.summary.scalar(name, value)
                for name, figure in (pictures or {}).items():
                    tf.summary.image(name, files.pixels(figure)[None])
            writer.flush()


class EpochLines(keras.callbacks.Callback):
    """Logs a line after each of so many epochs, where no bar shows how training goes."""

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        measured = ", ".join(f"{name} {logs[name]:.4f}" for name in _SHOWN)
        _log.info("Epoch %d of %d: %s", epoch + 1, self.epochs, measured)


class LearningRateColumn(keras.callbacks.Callback):
    """Adds the learning rate of the next step to what each epoch logs."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
