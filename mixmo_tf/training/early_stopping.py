"""Early stopping: training ends where the accuracy on held-out images no longer rises.

After an epoch whose `val_accuracy`, the one that best.keras is chosen by, is not above the best one
so far, training has waited an epoch longer; after `patience` of these in a row it ends (Prechelt
1998). How long it has waited follows from history.csv, so a run that was interrupted ends after the
same epoch.
"""

import pathlib

import keras

from mixmo_tf.training import history


class EarlyStopping(keras.callbacks.Callback):
    """Ends `fit` after an epoch, on all workers alike, as all have the same logs.

    Args:
        patience: epochs without a better one after which it ends; 0 for never.
        best: the highest `val_accuracy` so far.
        waited: the epochs since then.
    """

    def __init__(self, patience: int, best: float, waited: int):
        super().__init__()
        self.patience = patience
        self.best = best
        self.waited = waited

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to be trained."""
        return has_ended(self.patience, self.waited)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        is_better = logs["val_accuracy"] > self.best
        self.best = max(self.best, logs["val_accuracy"])
        self.waited = 0 if is_better else self.waited + 1
        if self.has_ended:
            self.model.stop_training = True


def has_ended(patience: int, waited: int) -> bool:
    """Whether training ends after `waited` epochs without a better one; never if patience is 0."""
    return 0 < patience <= waited


def waited(path: pathlib.Path, epochs: int) -> int:
    """How many of the first `epochs` epochs, those done, come after the best of them; 0 if none is.

    It is 0 too as long as the last of them is not validated.

    Raises:
        ValueError: if history.csv, in the run's folder `path`, is damaged.
    """
    return epochs - history.best_epoch(path, epochs)[0] if history.has(path, epochs) else 0
