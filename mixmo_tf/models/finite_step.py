"""The end of a training step: the optimizer gets what is finite, and nothing else changes it."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from mixmo_tf.distribution import replicas
from mixmo_tf.models import core_update, executions
from mixmo_tf.models.trainer import Trainer


def apply(
    model: Trainer,
    loss: tf.Tensor,
    shown: Sequence[tf.Tensor],
    gradients: list[tf.Tensor],
    before: list[tf.Tensor],
) -> dict:
    """Ends a step of one replica; one that is not finite, on any replica, changes nothing.

    Loss, gradients and batch-norm statistics are looked at once. Only if all are finite
    does the optimizer get the gradients, in a `tf.cond` that lies across the replicas, as
    its exchanges cannot be in a replica's own. Else the statistics, which the forward pass
    has set, go back. `fit` ends at such a step.

    Args:
        loss: float32 ().
        shown: what `training_trackers` after the loss are told.
        gradients: of `objective`.
        before: the `statistics` before the forward pass.

    Returns:
        logs, for `executions`.
    """
    statistics = model.statistics()
    to_be_finite = [loss, *map(tf.convert_to_tensor, statistics)]
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        gradients = replicas.finite_on_all(gradients, model.trainable_variables)
    else:  # a scaled loss may overflow; its optimizer leaves that step out
        to_be_finite += gradients
    finite = replicas.are_finite(to_be_finite, model.trainable_variables[0])

    def count(loss, shown, gradients, before):
        core_update.apply_gradients(model, gradients)
        replicas.average(statistics)
        model.averages.update(model.still)
        model.step.assign_add(1)
        for tracker, value in zip(model.training_trackers, [loss, *shown], strict=True):
            tracker.update_state(value)

    def undo(loss, shown, gradients, before):
        for variable, value in zip(statistics, before, strict=True):
            variable.assign(value)

    replicas.either(finite, count, undo, (loss, shown, gradients, before))
    logs = {tracker.name: tracker.result() for tracker in model.training_trackers}
    return {**logs, executions.FINITE: finite}
