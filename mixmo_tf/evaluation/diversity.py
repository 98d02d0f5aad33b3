"""Do the members err on different images? Kuncheva and Whitaker 2003, and the paper's measure.

Of a pair of members, count the examples on which both are wrong, the first alone, the second
alone, none, and those on which they predict different classes. Every measure of a pair is a
formula of these; of more members, the mean over the pairs for which it is defined.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import ArrayLike

from mixmo_tf import arguments


def ratio_error(predicted: ArrayLike, labels: ArrayLike) -> float:
    """The errors of exactly one of two members over those of both (Aksela 2003).

    0 if the members always err together. NaN where no pair defines it: on no example are both
    of two members wrong.

    Args:
        predicted: int (N, M), each member's class.
        labels: int (N,).

    Raises:
        ValueError: if the shapes disagree, or M < 2.
    """
    return _of_predictions("ratio_error", predicted, labels)


def ratio_error_published(predicted: ArrayLike, labels: ArrayLike) -> float:
    """`ratio_error` as the published code has it: always defined, and not to be averaged.

    Of a pair that is never wrong together it is twice the share of examples on which one is
    wrong: a small number, as if the pair were alike.
    """
    return _of_predictions("ratio_error_published", predicted, labels)


def disagreement(predicted: ArrayLike, labels: ArrayLike) -> float:
    """Share of examples on which two members predict different classes; as `ratio_error`."""
    return _of_predictions("disagreement", predicted, labels)


def error_disagreement(predicted: ArrayLike, labels: ArrayLike) -> float:
    """Share of examples on which exactly one of two members is right; as `ratio_error`.

    With two classes this is `disagreement`; with more it leaves out where both are wrong, each
    in its own way. Kuncheva and Whitaker 2003 call it the disagreement measure.
    """
    return _of_predictions("error_disagreement", predicted, labels)


def double_fault(predicted: ArrayLike, labels: ArrayLike) -> float:
    """Share of examples on which both of two members are wrong; as `ratio_error`."""
    return _of_predictions("double_fault", predicted, labels)


def q_statistic(predicted: ArrayLike, labels: ArrayLike) -> float:
    """Yule's Q of two members' being right, −1 … 1; 0 if independent. As `ratio_error`.

    NaN where no pair defines it: a member is always right, or always wrong.
    """
    return _of_predictions("q_statistic", predicted, labels)


def correlation(predicted: ArrayLike, labels: ArrayLike) -> float:
    """Correlation of two members' being right, −1 … 1; as `ratio_error`.

    NaN where no pair defines it: a member is always right, or always wrong.
    """
    return _of_predictions("correlation", predicted, labels)


def pairwise(measure: str, predicted: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """A measure of each pair of members: float64 (M, M), symmetric.

    NaN on the diagonal, and where a pair does not define it.

    Args:
        measure: one of `MEASURES`.
        predicted: int (N, M), each member's class.
        labels: int (N,).

    Raises:
        ValueError: if `measure` is unknown, the shapes disagree, or M < 2.
    """
    arguments.one_of("measure", measure, MEASURES)
    counts = _counts(predicted, labels)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.asarray(MEASURES[measure](_pairs(*counts)))
    result = np.full(counts[0].shape, np.nan)
    first, second = np.triu_indices(len(result), k=1)
    result[first, second] = result[second, first] = np.where(np.isfinite(values), values, np.nan)
    return result


def error_counts(predicted: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Of each pair of members, on how many examples both are wrong, and on how many one alone.

    Args:
        predicted: int (N, M), each member's class.
        labels: int (N,).

    Returns:
        Two int64 (pairs,), the pairs in the order (0, 1), (0, 2), …, (1, 2), ….

    Raises:
        ValueError: if the shapes disagree, or M < 2.
    """
    return _error_counts(_pairs(*_counts(predicted, labels)))


def pooled_ratio_error(runs: list[dict]) -> float | None:
    """The ratio-error of several runs as one: each pair's errors are added up over the runs.

    A mean of their ratios would rest on the runs that share the fewest errors.

    Args:
        runs: list of dicts with the lists `both_wrong` and `one_wrong`, as `report` gives them.

    Returns:
        float, the mean over the pairs that share an error; None if none does, or a run does not
        tell its counts.
    """
    counts = [[run.get(key) or [] for run in runs] for key in ("both_wrong", "one_wrong")]
    num_pairs = {len(of_run) for of_runs in counts for of_run in of_runs}
    if len(num_pairs) != 1 or num_pairs == {0}:
        return None
    both, one = (np.sum(of_runs, axis=0) for of_runs in counts)
    return float(np.mean(one[both > 0] / both[both > 0])) if both.any() else None


@keras.saving.register_keras_serializable(package="mixmo_tf")
class PairwiseDiversity(keras.metrics.Metric):
    """A measure of pairs of members, summed up batch by batch.

    Args:
        measure: one of `MEASURES`.
        num_members: int M >= 2.
        name: str; the measure's if None.
    """

    def __init__(self, measure: str, num_members: int, name: str | None = None, **kwargs: Any):
        arguments.one_of("measure", measure, MEASURES)
        super().__init__(name=name or measure, **kwargs)
        self.measure = measure
        self.num_members = num_members
        several = {"shape": (num_members, num_members), "initializer": "zeros"}
        self.wrong = self.add_weight(**several, name="wrong")
        self.total = self.add_weight(shape=(), initializer="zeros", name="total")
        self.different = self.add_weight(**several, name="different")

    def update_state(
        self, labels: tf.Tensor, predicted: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Takes labels, int (n,), each member's class, int (n, M), and weights (n,) or None."""
        labels = tf.cast(tf.reshape(labels, [-1, 1]), tf.int64)
        predicted = tf.cast(predicted, tf.int64)
        wrong = tf.cast(predicted != labels, tf.float32)  # (n, M)
        weight = tf.ones([tf.shape(wrong)[0]])
        if sample_weight is not None:
            weight = tf.cast(tf.reshape(sample_weight, [-1]), tf.float32)
        different = tf.cast(predicted[:, :, None] != predicted[:, None], tf.float32)  # (n, M, M)
        self.wrong.assign_add(tf.matmul(wrong * weight[:, None], wrong, transpose_a=True))
        self.total.assign_add(tf.reduce_sum(weight))
        self.different.assign_add(tf.einsum("nij,n->ij", different, weight))

    def result(self) -> tf.Tensor:
        return _mean_over_pairs(self.measure, *self._sums())

    def error_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """As the function `error_counts`, of all batches so far; with weights, rounded sums."""
        return _error_counts(_pairs(*self._sums()))

    def _sums(self):
        return map(ops.convert_to_tensor, (self.wrong, self.total, self.different))

    def get_config(self) -> dict:
        more = {"measure": self.measure, "num_members": self.num_members}
        return {**super().get_config(), **more}


class _Pairs(NamedTuple):
    """Of every pair of members, on how many examples …; arrays or tensors (pairs,)."""

    both: Any  # are wrong
    first: Any  # alone is wrong
    second: Any  # alone is wrong
    none: Any  # is wrong
    different: Any  # classes are predicted


def _of_predictions(measure, predicted, labels):
    return float(_mean_over_pairs(measure, *_counts(predicted, labels)))


def _counts(predicted, labels):
    """What `_pairs` takes, from predictions (N, M) and labels (N,)."""
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    is_right = predicted.ndim == 2 and predicted.shape[1] >= 2 and len(predicted)
    if not is_right or labels.shape != predicted.shape[:1]:
        raise ValueError(
            f"predicted must be (N, M) with M >= 2 and labels (N,), "
            f"got {predicted.shape} and {labels.shape}"
        )
    wrong = (predicted != labels[:, None]).astype(np.float64)
    different = np.stack([np.mean(predicted != of_one[:, None], axis=0) for of_one in predicted.T])
    return wrong.T @ wrong, np.float64(len(labels)), len(labels) * different


def _pairs(wrong, total, different):
    """The counts of each pair.

    Args:
        wrong: (M, M), on how many examples both of two members are wrong; on the diagonal, on
            how many one is.
        total: number of examples.
        different: (M, M), on how many examples two members predict different classes.
    """
    indices = np.triu_indices(wrong.shape[0], k=1)
    alone = ops.diagonal(wrong)
    both, different = (_elements(matrix, indices) for matrix in (wrong, different))
    first, second = (ops.take(alone, members) - both for members in indices)
    return _Pairs(both, first, second, total - both - first - second, different)


def _error_counts(pairs):
    of_pairs = pairs.both, pairs.first + pairs.second
    return tuple(np.rint(counts).astype(np.int64) for counts in of_pairs)


def _elements(matrix, indices):
    if isinstance(matrix, np.ndarray):
        return matrix[indices]
    return tf.gather_nd(matrix, np.stack(indices, 1))


def _mean_over_pairs(measure, wrong, total, different):
    """The mean over the pairs for which the measure is defined; NaN if there are none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        values = MEASURES[measure](_pairs(wrong, total, different))
    is_defined = ops.isfinite(values)
    defined = ops.where(is_defined, values, ops.zeros_like(values))
    return ops.sum(defined) / ops.sum(ops.cast(is_defined, values.dtype))


def _size(pair):
    return pair.both + pair.first + pair.second + pair.none


def _ratio_error(pair):
    return (pair.first + pair.second) / pair.both  # not finite where both are never wrong


def _ratio_error_published(pair):
    one, total = pair.first + pair.second, ops.maximum(_size(pair), 1e-7)
    return ops.where(pair.both > 0, one / ops.maximum(pair.both, 1e-30), 2 * one / total)


def _disagreement(pair):
    return pair.different / _size(pair)


def _error_disagreement(pair):
    return (pair.first + pair.second) / _size(pair)


def _double_fault(pair):
    return pair.both / _size(pair)


def _q_statistic(pair):
    alike, unlike = pair.both * pair.none, pair.first * pair.second
    return (alike - unlike) / (alike + unlike)


def _correlation(pair):
    both, first, second, none, _ = pair
    sizes = (both + first) * (both + second) * (none + first) * (none + second)
    return (both * none - first * second) / ops.sqrt(sizes)


MEASURES = {  # of a pair of members, from its counts
    "ratio_error": _ratio_error,
    "ratio_error_published": _ratio_error_published,
    "disagreement": _disagreement,
    "error_disagreement": _error_disagreement,
    "double_fault": _double_fault,
    "q_statistic": _q_statistic,
    "correlation": _correlation,
}
