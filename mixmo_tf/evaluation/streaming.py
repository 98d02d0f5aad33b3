"""The metrics that add up batch by batch, as Keras metrics, for sets that no memory holds.

`Brier` and `ExpectedCalibrationError` take probabilities, in `compile(metrics=[...])` or on
their own; `PairwiseKL` and `MutualInformation` take members' logits. Accuracy, top-5 accuracy
and NLL are Keras' own; the measures of pairs are `PairwiseDiversity`. What needs all examples
in order, or twice, does not stream: AUROC and the other areas under curves, thresholds to abstain
by, conformal sets, the adaptive calibration errors, temperatures, a paired test's interval.
"""

from typing import Any

import keras
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.evaluation.calibration import NUM_BINS

_register = keras.saving.register_keras_serializable(package="mixmo_tf")


@_register
class Brier(keras.metrics.Mean):
    """`scores.brier`, summed up batch by batch."""

    def __init__(self, name: str = "brier", **kwargs: Any):
        super().__init__(name=name, **kwargs)

    def update_state(
        self, labels: tf.Tensor, probabilities: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Takes labels, int (n,) or (n, 1), probabilities (n, C), and weights (n,) or None."""
        labels, sample_weight = _flat(labels, sample_weight)
        own = tf.gather(probabilities, labels, batch_dims=1)
        super().update_state(
            tf.reduce_sum(probabilities**2, axis=1) - 2 * own + 1, sample_weight=sample_weight
        )


@_register
class ExpectedCalibrationError(keras.metrics.Metric):
    """`calibration.ece`, summed up batch by batch.

    Args:
        num_bins: int >= 1.
        name: str.
    """

    def __init__(self, num_bins: int = NUM_BINS, name: str = "ece", **kwargs: Any):
        arguments.count("num_bins", num_bins, 1)
        super().__init__(name=name, **kwargs)
        self.num_bins = num_bins
        self.gaps = self.add_weight(shape=(num_bins,), initializer="zeros", name="gaps")
        self.total = self.add_weight(shape=(), initializer="zeros", name="total")

    def update_state(
        self, labels: tf.Tensor, probabilities: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Takes labels, int (n,) or (n, 1), probabilities (n, C), and weights (n,) or None."""
        labels, weight = _flat(labels, sample_weight)
        probabilities = tf.cast(probabilities, tf.float32)
        confidence = tf.reduce_max(probabilities, axis=1)
        predicted = tf.argmax(probabilities, axis=1, output_type=labels.dtype)
        correct = tf.cast(predicted == labels, confidence.dtype)
        weight = tf.ones_like(confidence) if weight is None else weight
        in_bin = in_bins(confidence, self.num_bins)  # (n, bins)
        self.gaps.assign_add(tf.linalg.matvec(in_bin, weight * (correct - confidence), True))
        self.total.assign_add(tf.reduce_sum(weight))

    def result(self) -> tf.Tensor:
        gaps, total = map(tf.convert_to_tensor, (self.gaps, self.total))
        return tf.reduce_sum(tf.abs(gaps)) / tf.maximum(total, 1e-7)

    def get_config(self) -> dict:
        return {**super().get_config(), "num_bins": self.num_bins}


@_register
class PairwiseKL(keras.metrics.Mean):
    """`information.pairwise_kl`, summed up batch by batch."""

    def __init__(self, name: str = "pairwise_kl", **kwargs: Any):
        super().__init__(name=name, **kwargs)

    def update_state(
        self, member_logits: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Takes logits, float (n, M, C) with M >= 2, and weights (n,) or None."""
        log_p = tf.nn.log_softmax(tf.cast(member_logits, tf.float32))
        p, num_members = tf.exp(log_p), log_p.shape[1]
        own = tf.reduce_sum(tf.math.multiply_no_nan(log_p, p), axis=(1, 2))
        p, log_p = tf.reduce_sum(p, axis=1), tf.reduce_sum(log_p, axis=1)
        all_pairs = tf.reduce_sum(tf.math.multiply_no_nan(log_p, p), axis=1)
        kl = (num_members * own - all_pairs) / (num_members * (num_members - 1))
        super().update_state(tf.maximum(kl, 0), sample_weight=sample_weight)


@_register
class MutualInformation(keras.metrics.Mean):
    """`information.mutual_information`, summed up batch by batch."""

    def __init__(self, name: str = "mutual_information", **kwargs: Any):
        super().__init__(name=name, **kwargs)

    def update_state(
        self, member_logits: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Takes logits, float (n, M, C) with M >= 2, and weights (n,) or None."""
        p = tf.nn.softmax(tf.cast(member_logits, tf.float32))
        mean = tf.reduce_mean(p, axis=1)
        information = _entropy(mean) - tf.reduce_mean(_entropy(p), axis=-1)
        super().update_state(information, sample_weight=sample_weight)


def in_bins(confidence: tf.Tensor, num_bins: int) -> tf.Tensor:
    """The bin of each confidence, as `calibration.ece` has them: float32 (…, num_bins), one-hot."""
    bins = tf.cast(tf.math.ceil(confidence * num_bins), tf.int32) - 1
    return tf.one_hot(tf.clip_by_value(bins, 0, num_bins - 1), num_bins)


def _entropy(p):
    return -tf.reduce_sum(tf.math.xlogy(p, p), axis=-1)


def _flat(labels, sample_weight):
    labels = tf.cast(tf.reshape(labels, [-1]), tf.int32)
    if sample_weight is not None:
        sample_weight = tf.cast(tf.reshape(sample_weight, [-1]), tf.float32)
    return labels, sample_weight
