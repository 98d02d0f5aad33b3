"""What an ensemble and its members are compared by, as a Keras metric that adds up over batches."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mixmo_tf.evaluation.calibration import NUM_BINS
from mixmo_tf.evaluation.streaming import in_bins


@keras.saving.register_keras_serializable(package="mixmo_tf")
class MemberSums(keras.metrics.Metric):
    """Accuracy, NLL and the bins of reliability of the ensemble, and of each of M members.

    The ensemble comes first in all arrays.
    """

    def __init__(self, num_members: int, name: str = "member_sums", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.num_members = num_members
        shape = (1 + num_members, 3, NUM_BINS)  # answers, right ones, their confidence
        self.bins = self.add_weight(shape=shape, initializer="zeros", name="bins")
        self.nll = self.add_weight(shape=(1 + num_members,), initializer="zeros", name="nll")

    def update_state(
        self,
        labels: tf.Tensor,
        ensemble_logits: tf.Tensor,
        member_logits: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
    ) -> None:
        """Takes labels, int (n,), logits (n, C) and (n, M, C), and weights (n,) or None."""
        logits = tf.concat([ensemble_logits[:, None], member_logits], axis=1)  # (n, 1 + M, C)
        log_probabilities = tf.nn.log_softmax(logits)
        own = tf.gather(log_probabilities, labels, axis=2, batch_dims=1)  # (n, 1 + M)
        confidence = tf.exp(tf.reduce_max(log_probabilities, axis=2))
        right = tf.argmax(logits, axis=2, output_type=labels.dtype) == labels[:, None]
        weight = tf.ones_like(labels) if sample_weight is None else sample_weight
        weight = tf.reshape(tf.cast(weight, own.dtype), [-1, 1])  # (n, 1)
        in_bin = in_bins(confidence, NUM_BINS)
        values = [tf.ones_like(own), tf.cast(right, own.dtype), confidence]
        values = tf.stack(values, axis=2) * weight[..., None]  # (n, 1 + M, 3)
        self.bins.assign_add(tf.einsum("nmv,nmb->mvb", values, in_bin))
        self.nll.assign_add(-tf.reduce_sum(own * weight, axis=0))

    def result(self) -> tf.Tensor:
        """The accuracies, float32 (1 + M,)."""
        sums = tf.reduce_sum(tf.convert_to_tensor(self.bins), axis=2)  # (1 + M, 3)
        return sums[:, 1] / tf.maximum(sums[:, 0], 1e-7)

    def metrics(self) -> list[dict[str, Any]]:
        """What was found, of the ensemble and of each member; with several workers, all must ask.

        Returns:
            list of dicts: accuracy, nll and ece, floats; and bins, a tuple as
            `calibration.reliability_bins` gives it.
        """
        sums, nll = np.float64(self.bins.numpy()), np.float64(self.nll.numpy())
        found = []
        for (counts, right, confidence), of_nll in zip(sums, nll, strict=True):
            total = counts.sum()
            with np.errstate(invalid="ignore", divide="ignore"):
                bins = counts, right / counts, confidence / counts
            gap = np.abs(right - confidence).sum()
            values = {"accuracy": right.sum(), "nll": of_nll, "ece": gap}
            shares = {
                name: float(value / total) if total else np.nan for name, value in values.items()
            }
            found.append({**shares, "bins": bins})
        return found

    def get_config(self) -> dict:
        return {**super().get_config(), "num_members": self.num_members}
