"""Checks of what `fit`, `evaluate` and `predict` are given, before Keras stumbles over it."""

import numbers

import keras

from mixmo_tf import arguments
from mixmo_tf.data import arrays


def check_data(name, data):
    """Raises ValueError where `data` cannot be images, or batches of them."""
    if data is None or isinstance(data, (str, bytes, numbers.Number, list, tuple, dict, set)):
        came = "None" if data is None else f"a {type(data).__name__}"
        raise ValueError(
            f"{name} must be an array of images (n, height, width, channels), or a "
            f"tf.data.Dataset or another iterable of batches, got {came}"
        )


def check_counts(low=1, **counts):
    """Raises ValueError unless each is None or a whole number >= `low`."""
    for name, value in counts.items():
        if value is not None:
            arguments.whole(name, value)
            arguments.at_least(name, value, low)


def check_callbacks(callbacks):
    """Raises ValueError unless they are Keras callbacks."""
    for callback in keras.tree.flatten(callbacks if callbacks is not None else []):
        if not isinstance(callback, (keras.callbacks.Callback, keras.callbacks.CallbackList)):
            raise ValueError(
                f"callbacks must be a list of keras.callbacks.Callback, got {callback!r}"
            )


def check_validation_data(data):
    """Raises ValueError unless it is None, batches, or (images, labels) with or without weights."""
    if data is None:
        return
    if not isinstance(data, (tuple, list)):
        check_data("validation_data", data)
    elif len(data) not in (2, 3) or not arrays.are_arrays(data[:1]):
        raise ValueError(
            "validation_data must be (images, labels) or (images, labels, sample_weight), arrays, "
            f"or a tf.data.Dataset, got a {type(data).__name__} of {len(data)}"
        )
