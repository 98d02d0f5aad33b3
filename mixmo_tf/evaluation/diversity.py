"""Do the members err on different images? (Aksela 2003; the paper's measure of diversity)"""

import keras
import numpy as np
import tensorflow as tf


def ratio_error(predicted, labels):
    """Ratio-error: how much oftener exactly one of two members errs than both do.

    Of a pair: the share of examples on which exactly one is right, over the share on which
    both are wrong; twice the former where no example has both wrong. 0 if the members always
    err together.

    Args:
        predicted: int (N, M), each member's class.
        labels: int (N,).

    Returns:
        float, the mean over the pairs of members.

    Raises:
        ValueError: if the shapes disagree, or M < 2.
    """
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    if predicted.ndim != 2 or predicted.shape[1] < 2 or labels.shape != predicted.shape[:1]:
        raise ValueError(
            f"predicted must be (N, M) with M >= 2 and labels (N,), "
            f"got {predicted.shape} and {labels.shape}"
        )
    wrong = (predicted != labels[:, None]).astype(np.float64)
    return _mean_over_pairs(wrong.T @ wrong, len(labels), np)


@keras.saving.register_keras_serializable(package="mixmo_tf")
class RatioError(keras.metrics.Metric):
    """`ratio_error`, summed up batch by batch.

    Args:
        num_members: int M >= 2.
        name: str.
    """

    def __init__(self, num_members, name="ratio_error", **kwargs):
        super().__init__(name=name, **kwargs)
        self.num_members = num_members
        self.wrong = self.add_weight(
            shape=(num_members, num_members), initializer="zeros", name="wrong"
        )
        self.total = self.add_weight(shape=(), initializer="zeros", name="total")

    def update_state(self, labels, predicted, sample_weight=None):
        """Takes labels, int (n,), each member's class, int (n, M), and weights (n,) or None."""
        wrong = tf.cast(predicted != labels[:, None], tf.float32)  # (n, M)
        weight = tf.ones([tf.shape(wrong)[0]])
        if sample_weight is not None:
            weight = tf.cast(tf.reshape(sample_weight, [-1]), tf.float32)
        self.wrong.assign_add(tf.matmul(wrong * weight[:, None], wrong, transpose_a=True))
        self.total.assign_add(tf.reduce_sum(weight))

    def result(self):
        wrong, total = map(tf.convert_to_tensor, (self.wrong, self.total))
        return _mean_over_pairs(wrong, tf.maximum(total, 1e-7), tf)

    def get_config(self):
        return {**super().get_config(), "num_members": self.num_members}


def _mean_over_pairs(wrong, total, library):
    """The mean ratio-error of the pairs.

    Args:
        wrong: (M, M), on how many examples both of two members are wrong; on the diagonal, on
            how many one is.
        total: number of examples.
        library: numpy or tensorflow.
    """
    num_members = wrong.shape[0]
    ratios = []
    for i in range(num_members):
        for j in range(i):
            both = wrong[i, j] / total
            one = (wrong[i, i] + wrong[j, j]) / total - 2 * both
            ratios.append(library.where(both > 0, one / library.maximum(both, 1e-30), 2 * one))
    return sum(ratios) / len(ratios)
