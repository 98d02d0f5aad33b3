"""Training that goes on from wherever a run stands, as if it had never stopped."""

import contextlib
import functools
import logging
import pathlib

import keras
import numpy as np

from mixmo_tf import data, extras
from mixmo_tf.data import class_weights
from mixmo_tf.distribution import replicas
from mixmo_tf.models.mixmo import MixMo
from mixmo_tf.training import early_stopping, history, mixing_sheet
from mixmo_tf.training.checkpoints import BestModel, Checkpoints
from mixmo_tf.training.logs import EpochLines, LearningRateColumn, TensorBoardLogs
from mixmo_tf.training.members_log import MembersLog
from mixmo_tf.training.progress import Progress
from mixmo_tf.training.signals import Interrupted, StopRequest

EVALUATION_BATCH_SIZE = 500
_FORWARD = 1 / 3  # of a training step's time, for as many rows
_log = logging.getLogger(__name__)


def train(
    model: MixMo,
    examples: data.Examples | data.Records,
    validation: data.Examples | data.Records,
    path: pathlib.Path,
    *,
    epochs: int,
    batch_size: int,
    checkpoint_steps: int | None = None,
    keep_best: bool = False,
    augmix: bool = False,
    balanced: bool = False,
    patience: int = 0,
    verbose: str | int = 0,
    pictures: bool = True,
) -> None:
    """Trains up to `epochs` epochs, or until `patience` ends; the model's step says how far it is.

    A model that was saved in the middle of an epoch finishes it on the images that it has
    not seen, and one that was saved before it was validated is validated first. So the
    weights and each line of history.csv are those of a run that was never interrupted.
    In the end the network holds the averages, where the optimizer has `use_ema`.

    With several workers all call it; the chief's files say where the run stands, and the
    chief writes.

    Args:
        model: compiled MixMo.
        examples: to train on.
        validation: to evaluate the model on after each epoch.
        path: of the run's folder, as `directory.start` gives it.
        batch_size: distinct images per step.
        checkpoint_steps: None for a checkpoint per epoch.
        keep_best: whether best.keras is written.
        augmix: whether `data.augmix` changes the training images; then the weights are not those
            of a run that was never interrupted.
        balanced: whether `data.class_weights` lets all classes count alike in the loss.
        patience: epochs without a higher `val_accuracy` after which training ends, before
            `epochs`; 0 for never.
        verbose: where it is 0, each epoch is a line that is logged, else `Progress` shows it.
        pictures: whether TensorBoard gets pictures too, where Matplotlib is installed.

    Raises:
        NotFiniteError, Interrupted: see `checkpoints.Checkpoints`.
        ValueError: if history.csv lacks epochs that are done.
        OSError: if a file cannot be written.
    """
    strategy = model.distribute_strategy
    is_chief = replicas.is_chief(strategy)
    steps_per_epoch = len(examples) // batch_size
    epoch, steps_done = divmod(int(model.step.numpy()), steps_per_epoch)
    best, waited = -np.inf, 0
    if is_chief:
        if epoch and not steps_done and not history.has(path, epoch):
            epoch, steps_done = epoch - 1, steps_per_epoch
        history.check(path, epoch)
        history.cut(path, epoch)
        _, best = history.best_epoch(path)
        waited = early_stopping.waited(path, epoch)
    known = replicas.from_chief(strategy, [np.array([epoch, steps_done, waited]), np.array(best)])
    (epoch, steps_done, waited), best = map(np.ndarray.tolist, map(np.asarray, known))
    stopping = early_stopping.EarlyStopping(patience, best, waited)
    validation_batches = replicas.distribute(
        strategy, lambda shares: validation.batches(EVALUATION_BATCH_SIZE, shares)
    )

    @functools.cache
    def weights():  # asked for where something is trained: of records it takes a while
        return class_weights.balanced(examples.labels, model.num_classes)

    def fit(last_epoch, steps, *more_callbacks):
        start_step = int(model.step.numpy())

        def batches(shares):
            batches = examples.training_batches(batch_size, model.seed, start_step, shares)
            batches = data.augmix(batches) if augmix else batches
            return class_weights.join(batches, weights()) if balanced else batches

        model.fit(
            replicas.distribute(strategy, batches),
            steps_per_epoch=steps,
            initial_epoch=epoch,
            epochs=last_epoch,
            validation_data=validation_batches,
            callbacks=[*more_callbacks, *callbacks],
            verbose=0,
            stop_request=request,
        )

    with StopRequest() as request, contextlib.ExitStack() as at_the_end:
        folder = path / "checkpoints"
        callbacks = [Checkpoints(folder, steps_per_epoch, request, checkpoint_steps), stopping]
        draws, tensorboard = pictures and extras.has("matplotlib"), None
        if is_chief:
            tensorboard = TensorBoardLogs(path / "tensorboard", batch_size, steps_per_epoch)
            callbacks.append(tensorboard)
        callbacks += [MembersLog(tensorboard, epochs, draws), LearningRateColumn()]
        if keep_best:
            callbacks.append(BestModel(path / "best.keras", best))
        if is_chief:
            callbacks.append(history.History(path))
        if is_chief and verbose:
            rows = batch_size * model.batch_repetitions
            progress = Progress(epochs, steps_per_epoch, _FORWARD * len(validation) / rows)
            at_the_end.callback(progress.close)
            callbacks.append(progress)
        elif is_chief:
            callbacks.append(EpochLines(epochs))
        if is_chief and pictures and not draws and epoch < epochs:
            _log.info("Matplotlib is not installed: no picture of the training is drawn.")
        if is_chief and draws and not (epoch or steps_done):
            of_blocks = mixing_sheet.sheets(model, examples, batch_size)
            sheets = {f"mixing/{block}": sheet for block, sheet in of_blocks.items()}
            tensorboard.write("train", pictures=sheets)
        if steps_done == steps_per_epoch:
            _finish_epoch(model, validation_batches, epoch, callbacks, request)
            epoch += 1
        elif steps_done:
            fit(epoch + 1, steps_per_epoch - steps_done, ContinueEpoch(model.epoch_sums()))
            epoch += 1
        if epoch < epochs and not stopping.has_ended:
            fit(epochs, steps_per_epoch)
        model.averages.swap(into_network=True)  # where no step was left to `fit`
        if request.here:  # after the last step that could tell the other workers
            raise Interrupted(request.signal)


class ContinueEpoch(keras.callbacks.Callback):
    """Gives an epoch the sums of its first part, from `MixMo.epoch_sums`."""

    def __init__(self, sums: list[np.ndarray]):
        super().__init__()
        self.sums = sums

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.model.continue_epoch(self.sums)


def _finish_epoch(model, validation_batches, epoch, callbacks, request):
    """What `fit` does after an epoch's last step."""
    callbacks = keras.callbacks.CallbackList(callbacks, model=model)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(epoch)
    logs = {tracker.name: float(tracker.result()) for tracker in model.training_trackers}
    results = model.evaluate(
        validation_batches, callbacks=callbacks, return_dict=True, stop_request=request
    )
    logs |= {f"val_{name}": value for name, value in results.items()}
    callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end()
