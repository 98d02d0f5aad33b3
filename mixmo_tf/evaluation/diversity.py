"""Do the members err on different images? Kuncheva and Whitaker 2003, and the paper's measure.

Of a pair of members, the shares of examples on which both are wrong, the first alone, the
second alone, and none. Every measure of a pair is a formula of these four; of more members,
the mean over the pairs for which it is defined.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from scipy.special import log_softmax, xlogy

from mixmo_tf import arguments
from mixmo_tf.evaluation import predictions


def ratio_error(predicted, labels):
    """How much oftener exactly one of two members errs than both do (Aksela 2003).

    Twice the share of the former where no example has both wrong. 0 if the members always err
    together.

    Args:
        predicted: int (N, M), each member's class.
        labels: int (N,).

    Returns:
        float.

    Raises:
        ValueError: if the shapes disagree, or M < 2.
    """
    return _of_predictions("ratio_error", predicted, labels)


def disagreement(predicted, labels):
    """Share of examples on which exactly one of two members is right; as `ratio_error`."""
    return _of_predictions("disagreement", predicted, labels)


def double_fault(predicted, labels):
    """Share of examples on which both of two members are wrong; as `ratio_error`."""
    return _of_predictions("double_fault", predicted, labels)


def q_statistic(predicted, labels):
    """Yule's Q of two members' being right, −1 … 1; 0 if independent. As `ratio_error`.

    NaN where no pair defines it: one of two members is always right, and one always, or both
    always wrong.
    """
    return _of_predictions("q_statistic", predicted, labels)


def correlation(predicted, labels):
    """Correlation of two members' being right, −1 … 1; as `ratio_error`.

    NaN where no pair defines it: a member is always right, or always wrong.
    """
    return _of_predictions("correlation", predicted, labels)


def pairwise_kl(member_logits):
    """Mean of KL(p_i ‖ p_j) over examples and ordered pairs of members, in nats.

    Args:
        member_logits: float (N, M, C).

    Returns:
        float >= 0; infinite where a member excludes what another does not.

    Raises:
        ValueError: if M < 2.
    """
    p, log_p = _probabilities(member_logits)
    num_members = p.shape[1]
    own = np.sum(_times(p, log_p), axis=(1, 2))
    p, log_p = p.sum(axis=1), log_p.sum(axis=1)
    all_pairs = np.sum(_times(p, log_p), axis=1)  # and each member with itself
    kl = (num_members * own - all_pairs) / (num_members * (num_members - 1))
    return float(np.maximum(kl, 0).mean())


def mutual_information(member_logits):
    """Entropy of the mean of the members' probabilities − mean of their entropies, in nats.

    Args:
        member_logits: float (N, M, C).

    Returns:
        float in [0, ln M].

    Raises:
        ValueError: if M < 2.
    """
    p, _ = _probabilities(member_logits)
    mean = p.mean(axis=1)
    entropy_of_mean = -xlogy(mean, mean).sum(axis=-1)
    mean_entropy = -xlogy(p, p).sum(axis=-1).mean(axis=-1)
    return float(np.maximum(entropy_of_mean - mean_entropy, 0).mean())


@keras.saving.register_keras_serializable(package="mixmo_tf")
class PairwiseDiversity(keras.metrics.Metric):
    """A measure of pairs of members, summed up batch by batch.

    Args:
        measure: one of `MEASURES`.
        num_members: int M >= 2.
        name: str; the measure's if None.
    """

    def __init__(self, measure, num_members, name=None, **kwargs):
        arguments.one_of("measure", measure, MEASURES)
        super().__init__(name=name or measure, **kwargs)
        self.measure = measure
        self.num_members = num_members
        self.wrong = self.add_weight(
            shape=(num_members, num_members), initializer="zeros", name="wrong"
        )
        self.total = self.add_weight(shape=(), initializer="zeros", name="total")

    def update_state(self, labels, predicted, sample_weight=None):
        """Takes labels, int (n,), each member's class, int (n, M), and weights (n,) or None."""
        labels = tf.cast(tf.reshape(labels, [-1, 1]), tf.int64)
        wrong = tf.cast(tf.cast(predicted, tf.int64) != labels, tf.float32)  # (n, M)
        weight = tf.ones([tf.shape(wrong)[0]])
        if sample_weight is not None:
            weight = tf.cast(tf.reshape(sample_weight, [-1]), tf.float32)
        self.wrong.assign_add(tf.matmul(wrong * weight[:, None], wrong, transpose_a=True))
        self.total.assign_add(tf.reduce_sum(weight))

    def result(self):
        return _mean_over_pairs(self.measure, ops.convert_to_tensor(self.wrong), self.total)

    def get_config(self):
        more = {"measure": self.measure, "num_members": self.num_members}
        return {**super().get_config(), **more}


def _of_predictions(measure, predicted, labels):
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    is_right = predicted.ndim == 2 and predicted.shape[1] >= 2 and len(predicted)
    if not is_right or labels.shape != predicted.shape[:1]:
        raise ValueError(
            f"predicted must be (N, M) with M >= 2 and labels (N,), "
            f"got {predicted.shape} and {labels.shape}"
        )
    wrong = (predicted != labels[:, None]).astype(np.float64)
    return float(_mean_over_pairs(measure, wrong.T @ wrong, np.float64(len(labels))))


def _probabilities(member_logits):
    """Probabilities and their logarithms, float64 (N, M, C)."""
    member_logits = np.asarray(member_logits, np.float64)
    if member_logits.ndim != 3 or member_logits.shape[1] < 2 or not member_logits.size:
        raise ValueError(f"member_logits must be (N, M, C) with M >= 2, got {member_logits.shape}")
    predictions.check_finite(member_logits, "member_logits")
    log_p = log_softmax(member_logits, axis=-1)
    return np.exp(log_p), log_p


def _times(p, log_p):
    """p · log p, 0 where p is 0."""
    return np.multiply(p, log_p, where=p > 0, out=np.zeros_like(p))


def _mean_over_pairs(measure, wrong, total):
    """The mean over the pairs for which the measure is defined; NaN if there are none.

    Args:
        measure: a name.
        wrong: (M, M), on how many examples both of two members are wrong; on the diagonal, on
            how many one is.
        total: number of examples.
    """
    pairs = np.triu_indices(wrong.shape[0], k=1)
    alone = ops.diagonal(wrong)
    both = (
        wrong[pairs] if isinstance(wrong, np.ndarray) else tf.gather_nd(wrong, np.stack(pairs, 1))
    )
    first, second = (ops.take(alone, indices) - both for indices in pairs)
    values = MEASURES[measure](both, first, second, total - both - first - second)
    is_defined = ops.isfinite(values)
    defined = ops.where(is_defined, values, ops.zeros_like(values))
    return ops.sum(defined) / ops.sum(ops.cast(is_defined, values.dtype))


def _ratio_error(both, first, second, none):
    one = first + second
    total = ops.maximum(both + one + none, 1e-7)
    return ops.where(both > 0, one / ops.maximum(both, 1e-30), 2 * one / total)


def _disagreement(both, first, second, none):
    return (first + second) / (both + first + second + none)


def _double_fault(both, first, second, none):
    return both / (both + first + second + none)


def _q_statistic(both, first, second, none):
    return (both * none - first * second) / (both * none + first * second)


def _correlation(both, first, second, none):
    sizes = (both + first) * (both + second) * (none + first) * (none + second)
    return (both * none - first * second) / ops.sqrt(sizes)


MEASURES = {  # of a pair, from how many examples both, the first, the second, none got wrong
    "ratio_error": _ratio_error,
    "disagreement": _disagreement,
    "double_fault": _double_fault,
    "q_statistic": _q_statistic,
    "correlation": _correlation,
}
