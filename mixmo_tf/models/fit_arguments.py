"""Checks of what `compile`, `fit`, `evaluate` and `predict` get, before Keras stumbles over it."""

from typing import Any

import keras

from mixmo_tf import arguments
from mixmo_tf.data import arrays, checks


def check_loss(loss: Any, whose: str) -> None:
    """Raises ValueError unless it is None; `whose` is the kind of model that has its own."""
    if loss is not None:
        raise ValueError(
            f"loss must be left out: the loss is the {whose}'s own; all after the optimizer, such "
            f"as metrics, goes by keyword; got {arguments.brief(loss)}"
        )


def check_optimizer(optimizer: Any) -> None:
    """Raises ValueError unless it is a Keras optimizer or may be the name of one."""
    if not isinstance(optimizer, (str, keras.optimizers.Optimizer)):
        raise ValueError(
            f"optimizer must be a Keras optimizer or its name, got {arguments.brief(optimizer)}"
        )


def check_metrics(**metrics: Any) -> None:
    """Raises ValueError unless each is None, or has Keras metrics, functions and names alone."""
    for name, value in metrics.items():
        for each in [] if value is None else keras.tree.flatten(value):
            if not isinstance(each, str) and not callable(each):
                raise ValueError(
                    f"{name} must be a list of Keras metrics or names, got {arguments.brief(value)}"
                )


def check_counts(**counts: Any) -> list[int | None]:
    """A list of int and None; raises ValueError unless each is None or a whole number >= 1."""
    return [
        None if value is None else arguments.count(name, value, 1) for name, value in counts.items()
    ]


def check_call(x: Any, batch_size: Any, steps: Any, callbacks: Any) -> list[int | None]:
    """Checks what `evaluate` and `predict` get; returns batch size and steps, int or None.

    Raises:
        ValueError: if one of them is wrong.
    """
    checks.check_data("x", x)
    check_callbacks(callbacks)
    return check_counts(batch_size=batch_size, steps=steps)


def check_callbacks(callbacks: Any) -> None:
    """Raises ValueError unless they are Keras callbacks."""
    for callback in keras.tree.flatten(callbacks if callbacks is not None else []):
        if not isinstance(callback, (keras.callbacks.Callback, keras.callbacks.CallbackList)):
            raise ValueError(
                f"callbacks must be a list of keras.callbacks.Callback, got {callback!r}"
            )


def check_validation_data(data: Any) -> None:
    """Raises ValueError unless it is None, batches, or (images, labels) with or without weights."""
    if data is None:
        return
    if not isinstance(data, (tuple, list)):
        checks.check_data("validation_data", data)
    elif len(data) not in (2, 3) or not arrays.are_arrays(data[:1]) or not data[0].ndim:
        raise ValueError(
            "validation_data must be (images, labels) or (images, labels, sample_weight), arrays, "
            f"or a tf.data.Dataset, got a {type(data).__name__} of {len(data)}"
        )
