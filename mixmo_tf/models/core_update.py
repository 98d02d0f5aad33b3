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
ARGUMENTS = "freeze_steps", "core_learning_rate_factor"  # of `compile`


@dataclasses.dataclass(frozen=True)
class CoreUpdate:
    """f(t), as a model is compiled with it."""

    freeze_steps: int = 0
    factor: float = 1.0

    def arguments(self) -> dict[str, int | float]:
        """What `compile` takes, by name."""
        return dict(zip(ARGUMENTS, dataclasses.astuple(self), strict=True))

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


def checked(freeze_steps: Any, factor: Any, optimizer: Any) -> CoreUpdate:
    """What `compile` got, a CoreUpdate.

    Raises:
        ValueError: if a number is out of range, or not possible with this optimizer.
    """
    freeze_steps = arguments.count("freeze_steps", freeze_steps, 0, math.inf)
    arguments.at_least("core_learning_rate_factor", factor, 0)
    found = CoreUpdate(freeze_steps, float(factor))
    optimizer = keras.optimizers.get(optimizer)
    if freeze_steps:
        _check_optimizer(f"freeze_steps={freeze_steps}", optimizer, FREEZING)
    if found.factor != 1:
        names = SCALING if found.factor else FREEZING
        _check_optimizer(f"core_learning_rate_factor={factor}", optimizer, names)
    return found


def in_phases(
    model: keras.Model, make: Callable, num_steps: Callable[[], tf.Tensor], purpose: str
) -> Callable[[Iterable], dict]:
    """What Keras calls with an iterator, for a Trainer whose core is frozen in some steps.

    `make`, of `num_steps` and `purpose`, gives what Keras calls, traced anew; see
    `executions.of_steps`.
    """

    def next_steps():
        return tf.constant(next_ones["steps"], tf.int64)

    core, of_phase, next_ones = parts.core(model.network), {}, {}

    def run(iterator):
        logs, left = None, int(num_steps())
        while left > 0:
            step = int(model.step.numpy())
            frozen = model.core_update.is_frozen(step)
            next_ones["steps"] = steps = model.core_update.alike(step, left)
            if frozen not in of_phase:
                of_phase[frozen] = model.computation(), make(next_steps, purpose)
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

    Called in replica context, with the gradients of the Trainer's trainable variables, of which a
    frozen core has none.
    """
    layers = [] if model.core_update.factor == 1 else parts.core(model.network)
    core = [variable for layer in layers for variable in layer.trainable_variables]
    before = [tf.identity(variable) for variable in core]
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    if not core:
        return
    after = [tf.identity(variable) for variable in core]

    def take_part(variable, before):
        variable.assign(before + model.core_update.factor * (variable - before))

    def follow(average, change):
        average.assign_add(change)

    replicas.update(core, take_part, before)
    pairs = model.averages.of_weights(set(map(id, core)))  # into which the whole of Δ has come
    if pairs:
        whole = {id(variable): value for variable, value in zip(core, after, strict=True)}
        share = 1 - model.averages.momentum()
        changes = [tf.cast(share, w.dtype) * (w - whole[id(w)]) for w, _ in pairs]
        replicas.update([average for _, average in pairs], follow, changes)


def _check_optimizer(what, optimizer, names):
    """Raises ValueError unless the optimizer, or the one inside, is one of `names`."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a scaled loss
    if not isinstance(optimizer, tuple(getattr(keras.optimizers, name) for name in names)):
        name = type(optimizer).__name__
        raise ValueError(f"optimizer must be one of {', '.join(names)} for {what}, got {name}")
    if optimizer.ema_overwrite_frequency:
        raise ValueError(
            f"ema_overwrite_frequency of the optimizer must be None for {what}, got "
            f"{optimizer.ema_overwrite_frequency}"
        )


@contextlib.contextmanager
def _frozen(model, core):
    """Under it the core's layers are not trainable, which Keras' batch norm heeds too."""
    layers = [layer for layer in core if layer.trainable]
    variables = [variable for layer in layers for variable in layer.variables]
    fixed = [variable for variable in variables if not variable.trainable]
    parts_of_layers = {id(part): part for layer in layers for part in layer._flatten_layers()}
    # what a layer is set to, all inside it is too: so the outer ones come first
    outer_first = sorted(parts_of_layers.values(), key=lambda part: -len(part._flatten_layers()))
    before = [(part, part.trainable) for part in outer_first]
    try:
        model.still = frozenset(map(id, variables))
        for layer in layers:
            layer.trainable = False
        yield
    finally:
        for part, was_trainable in before:
            part.trainable = was_trainable
        for variable in fixed:
            variable.trainable = False
        model.still = frozenset()
