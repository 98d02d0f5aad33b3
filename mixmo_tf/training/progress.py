"""Training on one line of a terminal: how far it is, how good, and how long it still takes.

    Epoch 3/12   62 %  loss 1.234  acc 58.1 %  0:41 left, run 6:12 left

The line gives way to a narrow terminal piece by piece, and at the end of its epoch to what was
measured. Where nobody watches, as in a file, there is only that.
"""

import os
import sys
import time
from typing import IO

import keras

from mixmo_tf import arguments
from mixmo_tf.training.pace import Pace
from mixmo_tf.training.progress_line import duration, fitting, of_epoch, of_training

_BETWEEN = 0.1  # seconds at least between two drawings of a line
_COLUMNS = 80  # where nothing says how wide it is
_AS_STEPS = 3  # what a batch of validation takes at most, in steps, beyond what it compiles


class Progress(keras.callbacks.Callback):
    """Shows the progress of `fit` on one line, and after each epoch what was measured.

    `model.fit(..., verbose=0, callbacks=[mixmo_tf.training.Progress()])`; as the last of several
    callbacks it counts the time of the others too. `evaluate` takes it as well.

    `acc` is the members' mean accuracy on mixed images while an epoch trains, and after it the
    ensemble's on the validation images. Times begin with the second step: the first compiles.

    Args:
        epochs: int, how many the run has; None for those of `fit`.
        steps_per_epoch: int, of a run whose epochs begin at its multiples in the model's step,
            and so may begin within one; None for those of `fit`, from its start.
        validation_steps: float, as how many steps a validation counts until it has been timed.
        stream: where it is written; sys.stdout if None.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        validation_steps: float = 0.0,
        stream: IO[str] | None = None,
    ):
        super().__init__()
        for name, count in (("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
            if count is not None:
                arguments.count(name, count, 1)
        arguments.at_least("validation_steps", validation_steps, 0)
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.validation_steps = validation_steps
        self.stream = stream
        self._pace = None
        self._trains = False
        self._shown = ""  # the line that stands there
        self._drawn_at = -_BETWEEN
        self._tested = []  # when each execution of an evaluation was

    def close(self) -> None:
        """Leaves the line that stands there, if any, where an error ends the training."""
        if self._shown:
            self._write("\n")
            self._shown = ""

    # What Keras calls ------------------------------------------------------------------------

    def on_train_begin(self, logs: dict | None = None) -> None:
        epochs = self.epochs or self.params.get("epochs", 1)
        steps = self.steps_per_epoch or self.params.get("steps") or 0
        if self._pace is None or (self._pace.epochs, self._pace.steps_per_epoch) != (epochs, steps):
            self._pace = Pace(epochs, steps, self.validation_steps)
        self._trains, self._epoch, self._logs = True, 0, {}
        self._compiles = True  # or fills its buffers

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch, self._logs = epoch, {}
        self._batches, self._step, self._validates = 0, 0, False
        if self.steps_per_epoch:
            self._step = int(self.model.step.numpy()) - epoch * self.steps_per_epoch
        self._began = self._last = time.perf_counter()
        self._draw(at_once=True)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        now, steps = time.perf_counter(), batch + 1 - self._batches
        if self._pace.steps_per_epoch:  # the last execution may be of fewer steps
            steps = min(steps, self._pace.steps_per_epoch - self._step)
        self._batches = batch + 1
        self._step += steps
        if not self._compiles and steps > 0:
            self._pace.add_steps(steps, now - self._last)
        self._compiles, self._last, self._logs = False, now, logs or {}
        self._draw()

    def on_test_begin(self, logs: dict | None = None) -> None:
        self._tested, self._test_batch = [], 0
        self._test_began, self._validates = time.perf_counter(), True
        self._draw(at_once=True)

    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._tested.append(time.perf_counter())
        self._test_batch = batch + 1
        self._draw()

    def on_test_end(self, logs: dict | None = None) -> None:
        if not self._trains:
            self._clear()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        now = time.perf_counter()
        self._pace.steps_per_epoch = self._pace.steps_per_epoch or self._step
        self._pace.add_after(max(now - self._last - self._compiled_in_test(), 0.0))
        said = of_epoch(self._width(), epoch, self._pace.epochs, now - self._began, logs or {})
        self._clear()
        self._write(f"{said}\n")

    def on_train_end(self, logs: dict | None = None) -> None:
        self._trains = False
        self._clear()

    # The line --------------------------------------------------------------------------------

    def _draw(self, at_once=False):
        now = time.perf_counter()
        if not is_watched(self._out()) or (now - self._drawn_at < _BETWEEN and not at_once):
            return
        self._drawn_at = now
        line = self._of_training(now) if self._trains else self._of_evaluation(now)
        self._write(f"\r{line.ljust(min(len(self._shown), self._width()))}")
        self._shown = line

    def _of_training(self, now):
        pace, since = self._pace, 0.0
        steps = pace.steps_per_epoch
        share = None if not steps else self._step / steps
        if steps and self._step >= steps:
            since = now - self._last
        if self._validates:
            share = "validating"
        left = run_left = None
        if steps:
            left = pace.left_of_epoch(self._step, since)
            run_left = pace.left_of_run(self._epoch, self._step, since)
        if self._epoch + 1 >= pace.epochs:
            run_left = None
        return of_training(
            self._width(), self._epoch, pace.epochs, share, self._logs, left, run_left
        )

    def _of_evaluation(self, now):
        batches, steps = len(self._tested), self.params.get("steps")
        if not steps or not batches:
            return fitting(self._width(), [["Evaluating"]])
        done, left = min(self._test_batch, steps), []
        share = f"{100 * done // steps:3d} %"
        if batches > 1:
            rate = (self._tested[-1] - self._tested[0]) / (batches - 1)
            left = [f"{duration((steps - done) * batches / done * rate)} left"]
        return fitting(self._width(), [["Evaluating", share, *left], ["Evaluating", share]])

    def _compiled_in_test(self):
        """Seconds of the first validation that no other will take."""
        tested, self._tested = self._tested, []
        if not tested or self._pace.has_after:
            return 0.0
        first, rate = tested[0] - self._test_began, self._pace.seconds_per_step
        if len(tested) > 1:
            return max(first - (tested[-1] - tested[0]) / (len(tested) - 1), 0.0)
        return max(first - _AS_STEPS * rate, 0.0) if rate is not None else 0.0

    def _out(self):
        return self.stream or sys.stdout

    def _width(self):
        return columns(self._out()) if is_watched(self._out()) else sys.maxsize

    def _clear(self):
        if self._shown:
            self._write(f"\r{' ' * min(len(self._shown), self._width())}\r")
            self._shown = ""

    def _write(self, text):
        out = self._out()
        if out is not None:
            out.write(text)
            out.flush()


def is_watched(stream: IO[str] | None) -> bool:
    """Whether a person may watch what is written: on a terminal, or in a notebook."""
    is_terminal = stream is not None and stream.isatty()
    return is_terminal or "ipykernel" in sys.modules  # whose stdout is no terminal


def columns(stream: IO[str]) -> int:
    """Signs that a line may have: in the last column of a terminal, some begin a new one."""
    try:
        found = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):  # no terminal of the system's
        found = 0
    return max((found or _COLUMNS) - 1, 1)
