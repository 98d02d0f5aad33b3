"""Fine-tuning: the core stands still at first, and then moves by a part of each update.

    w ← w + f(t)·Δ,    f(t) = 0 for t < freeze_steps, then core_learning_rate_factor

Δ is the whole update of a weight of the core, as the optimizer makes it: with momentum, and with
the decay that the gradient holds. Encoders and heads take all of theirs.

Where f is 0 the core is frozen as a Keras layer is that is not trainable: its weights, its slots in
the optimizer (so momentum gathers nothing) and its batch-norm statistics stay bit for bit, and it
normalises by these statistics, as in a prediction. A step is traced for one or the other, so
nothing is compiled anew but the step, and the count of steps goes on.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.distribution import replicas
from mixmo_tf.networks import parts

# What is frozen begins anew later: so it must not have counted the steps before, as Adam's
# correction of its moments does, whose first updates would be three times too long.
FREEZING = "SGD", "RMSprop", "Adagrad", "Lion"
# Their next update is one of the weights as they stand, whatever part of the last one these took.
SCALING = *FREEZING, "Adam", "AdamW", "Adamax", "Nadam"


@dataclasses.dataclass(frozen=True)
class CoreUpdate:
    """f(t), as a model is compiled with it."""

    freeze_steps: int = 0
    factor: float = 1.0

    @property
    def freezes(self) -> bool:
        """Whether there are steps in which the core is frozen."""
        return self.freeze_steps > 0 or self.factor == 0

    def is_frozen(self, step: int) -> bool:
        """Whether the core is frozen in the step after `step` steps."""
        return step < self.freeze_steps or self.factor == 0

    def alike(self, step: int, steps: int) -> int:
        """How many of the next `steps` steps are all frozen, or are all not."""
        return min(steps, self.freeze_steps - step) if step < self.freeze_steps else steps


def checked(freeze_steps: Any, factor: Any, optimizer: keras.optimizers.Optimizer) -> CoreUpdate:
    """What `compile` got, a CoreUpdate.

    Raises:
        ValueError: if a number is out of range, or not possible with this optimizer.
    """
    freeze_steps = arguments.count("freeze_steps", freeze_steps, 0, math.inf)
    arguments.at_least("core_learning_rate_factor", factor, 0)
    found = CoreUpdate(freeze_steps, float(factor))
    if found.freezes:
        _check_optimizer(f"freeze_steps={freeze_steps}", optimizer, FREEZING)
    if found.factor != 1:
        names = SCALING if found.factor else FREEZING
        _check_optimizer(f"core_learning_rate_factor={factor}", optimizer, names)
    return found


def in_phases(
    model: keras.Model, make: Callable[[Callable], Callable], num_steps: Callable[[], int]
) -> Callable[[Iterable], dict]:
    """What Keras calls with an iterator, for a model whose core is frozen in some steps.

    Args:
        model: Trainer.
        make: function of one like `num_steps` that gives what Keras calls, traced anew.
        num_steps: function that gives the number of steps of the next execution, int.

    Returns:
        function of an iterator that gives the logs of the last step; see `executions.of_steps`.
    """
    core, of_phase, next_ones = parts.core(model.network), {}, {}

    def run(iterator):
        logs, left = None, num_steps()
        while left > 0:
            step = int(model.step.numpy())
            frozen = model.core_update.is_frozen(step)
            next_ones["steps"] = steps = model.core_update.alike(step, left)
            if frozen not in of_phase:
                of_phase[frozen] = model.computation(), make(lambda: next_ones["steps"])
            model.compiled_loss_and_gradients, of_steps = of_phase[frozen]
            with _frozen(model, core) if frozen else contextlib.nullcontext():
                try:
                    logs = of_steps(iterator)
                except StopIteration:
                    if logs is None:
                        raise
                    break
            left -= steps
        return logs

    return run


def apply_gradients(model: keras.Model, gradients: list[tf.Tensor]) -> None:
    """Lets the optimizer update what is trained in this step; the core takes f of its update.

    Called in replica context.

    Args:
        model: Trainer.
        gradients: of the model's trainable variables; a frozen core has none.
    """
    core = [] if model.core_update.factor == 1 else _trained(parts.core(model.network))
    before = [tf.identity(variable) for variable in core]
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    def take_part(variable, before):
        variable.assign(before + model.core_update.factor * (variable - before))

    if core:
        replicas.update(core, take_part, before)


def _check_optimizer(what, optimizer, names):
    """Raises ValueError unless the optimizer, or the one inside, is one of `names`."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a scaled loss
    if not isinstance(optimizer, tuple(getattr(keras.optimizers, name) for name in names)):
        name = type(optimizer).__name__
        raise ValueError(f"optimizer must be one of {', '.join(names)} for {what}, got {name}")
    if optimizer.use_ema:
        raise ValueError(f"optimizer must be one without use_ema for {what}, got use_ema=True")


@contextlib.contextmanager
def _frozen(model, core):
    """Under it the core's layers are not trainable, which Keras' batch norm heeds too."""
    layers = [layer for layer in core if layer.trainable]
    still = [variable for layer in layers for variable in layer.variables]
    try:
        model.still = frozenset(map(id, still))
        for layer in layers:
            layer.trainable = False
        yield
    finally:
        for layer in layers:
            layer.trainable = True
        model.still = frozenset()


def _trained(layers):
    return [variable for layer in layers for variable in layer.trainable_variables]
