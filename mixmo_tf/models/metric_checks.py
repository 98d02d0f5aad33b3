"""Which Keras metrics can evaluate by integer labels and probabilities, found by trying."""

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

_KNOWN = (keras.metrics.SparseCategoricalAccuracy,)  # "accuracy"; a trial takes 30 ms


class UnusableMetricError(ValueError):
    """A compiled metric fails on what the model gives it, or gives a number without a meaning."""


def build(compiled: keras.Metric | None, num_classes: int) -> None:
    """Builds what Keras makes of compiled metrics, if there are any, and checks them."""
    if compiled is not None:
        compiled.build(keras.KerasTensor((1,), "int32"), keras.KerasTensor((1, num_classes)))
        check(compiled.metrics, num_classes)


def check(metrics: Iterable[keras.metrics.Metric], num_classes: int) -> None:
    """Raises UnusableMetricError, which names it, unless each metric works.

    A metric that works takes integer labels (n,) and probabilities (n, C) without an error,
    and finds the same in whatever order the examples come. One that is made for one-hot
    labels may take (n,) for a single example, and then the order decides. What the metrics have
    summed up stays.
    """
    labels, probabilities = _examples(num_classes)
    orders = [np.roll(np.arange(len(labels)), shift) for shift in range(len(labels))]
    for metric in metrics:
        if type(metric) in _KNOWN:
            continue
        try:
            _result(metric, labels[:1], probabilities[:1])
            found = [_result(metric, labels[order], probabilities[order]) for order in orders]
        except Exception as error:  # whatever a metric raises on shapes that it does not expect
            raise UnusableMetricError(_message(metric)) from error
        for other in found[1:]:
            if not np.allclose(found[0], other, rtol=1e-3, atol=1e-6, equal_nan=True):
                raise UnusableMetricError(_message(metric))


def _examples(num_classes):
    """Labels (n,) and probabilities (n, C), often right; n is not C, or it would be one-hot."""
    random = np.random.default_rng(0)
    predicted = [0, 0, 1, 0, 2, 1, 3, 0, 1, 2, 4] + [0, 1] * (num_classes == 11)
    predicted = np.minimum(predicted, num_classes - 1)  # each class another number of times
    wrong = random.integers(0, num_classes, len(predicted))
    labels = np.where(np.arange(len(predicted)) % 3, predicted, wrong)
    probabilities = random.uniform(size=(len(predicted), num_classes))
    probabilities[np.arange(len(predicted)), predicted] += num_classes
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


def _result(metric, labels, probabilities):
    """What a metric without a past finds, as a vector."""
    with tf.init_scope(), tf.device("CPU"):
        start = [tf.zeros(variable.shape, variable.dtype) for variable in metric.variables]
        state = metric.stateless_update_state(
            start, tf.constant(labels, tf.int32), tf.constant(probabilities, tf.float32)
        )
        result = metric.stateless_result(state)
    return np.concatenate([np.ravel(value) for value in keras.tree.flatten(result)])


def _message(metric):
    return (
        f"metrics must take integer labels (n,) and probabilities (n, C), as accuracy and "
        f"those that are called Sparse do; {metric.name} does not"
    )
