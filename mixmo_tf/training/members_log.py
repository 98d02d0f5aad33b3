"""The ensemble beside its members in TensorBoard, from each epoch's validation."""

import time

import keras

from mixmo_tf import plots
from mixmo_tf.evaluation.member_sums import MemberSums
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.training.logs import TensorBoardLogs

_SHARE = 0.02  # of the time, which pictures may take
_FIRST = 0.5  # seconds for the first of them


class MembersLog(keras.callbacks.Callback):
    """Writes accuracy, loss and ECE of the ensemble and of each member, and how reliable they are.

    A member is a run of its own in TensorBoard, so that its curves lie in the ensemble's charts.
    The diagram of reliability, if it `draws` any, is drawn after the last epoch, and after others
    while drawing takes less than a fiftieth of the time. All comes from the logits that validation
    computes anyway.

    With several workers all have it, as what they found is added up; those that write nothing have
    None for `tensorboard`.
    """

    def __init__(self, tensorboard: TensorBoardLogs | None, epochs: int, draws: bool):
        super().__init__()
        self.tensorboard = tensorboard
        self.epochs = epochs
        self.draws = draws
        self._drawing, self._longest = 0.0, _FIRST

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._began = time.perf_counter() - self._drawing / _SHARE
        self.sums = _observing(self.model)

    def on_test_begin(self, logs: dict | None = None) -> None:
        self.sums.reset_state()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        ensemble, *members = self.sums.metrics()
        if self.tensorboard is None:
            return
        for member, metrics in enumerate(members if len(members) > 1 else []):
            scalars = {"accuracy": metrics["accuracy"], "loss": metrics["nll"]}
            self.tensorboard.write(f"member_{member}", scalars | {"ece": metrics["ece"]})
        self.tensorboard.write("validation", {"ece": ensemble["ece"]})
        if self.draws and self._may_draw(epoch):
            began = time.perf_counter()
            bins = {"ensemble": ensemble["bins"]}
            if len(members) > 1:
                bins |= {f"member {i}": metrics["bins"] for i, metrics in enumerate(members)}
            title = f"Reliability on the validation images, epoch {epoch + 1}"
            figure = plots.reliability_of_bins(bins, title, with_members=True)
            self.tensorboard.write("validation", pictures={"reliability": figure})
            seconds = time.perf_counter() - began
            self._drawing += seconds
            self._longest = max(seconds, self._longest)

    def _may_draw(self, epoch):
        spent = _SHARE * (time.perf_counter() - self._began)
        is_last = epoch + 1 >= self.epochs or self.model.stop_training
        return is_last or self._drawing + self._longest <= spent


def _observing(model: Predictor) -> MemberSums:
    """The sums that the model's validation adds to, from now on."""
    sums = getattr(model.observe, "__self__", None)
    if not isinstance(sums, MemberSums):
        with model.distribute_strategy.scope():
            sums = MemberSums(model.num_members)
        model.observe = sums.update_state
        model.make_test_function(force=True)
    return sums
