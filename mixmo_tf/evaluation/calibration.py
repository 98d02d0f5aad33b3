"""Is confidence worth what it says? Calibration errors, and temperature scaling.

Guo et al. 2017 (arXiv 1706.04599); TACE: Nixon et al. 2019 (arXiv 1904.01685). Where bins hold
equal counts, their borders may separate examples of the same confidence. These cannot be told
apart, so each counts with the mean gap of all of them.
"""

import functools
import math

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike

from mixmo_tf import arguments
from mixmo_tf.evaluation import predictions

NUM_BINS = 15
THRESHOLD = 1e-3  # TACE leaves smaller probabilities out
FOLDS = 10
_LOG_TEMPERATURES = -7.0, 7.0
_NEAR = 0.1  # by how much a fold's log temperature may differ, to be interpolated
_NODES = 10
_AT_ONCE = 2**16  # logits that fit into a processor's cache


def ece(probabilities: ArrayLike, labels: ArrayLike, num_bins: int = NUM_BINS) -> float:
    """Expected calibration error: confidence against accuracy, in bins of equal width.

    Args:
        probabilities: float (N, C).
        labels: int (N,).
        num_bins: int >= 1; bin b is (b / num_bins, (b + 1) / num_bins].

    Returns:
        float, Σ_b n_b/N · |accuracy_b − confidence_b|.

    Raises:
        ValueError: if the shapes disagree, or an argument is out of range.
    """
    gaps = ece_gaps(probabilities, labels, num_bins)
    return float(np.abs(gaps).sum() / len(labels))


def ece_gaps(probabilities: ArrayLike, labels: ArrayLike, num_bins: int = NUM_BINS) -> np.ndarray:
    """What `ece` sums up: of each bin Σ (right − confidence), float64 (num_bins,).

    These add up over batches, and over sets of images.
    """
    confidence, correct = _confidence_and_correct(probabilities, labels, num_bins)
    bins = _bins(confidence, num_bins)
    return np.bincount(bins, weights=correct - confidence, minlength=num_bins)


def reliability_bins(
    probabilities: ArrayLike, labels: ArrayLike, num_bins: int = NUM_BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a reliability diagram shows: of each of `ece`'s bins the answers and their means.

    Args:
        probabilities: float (N, C).
        labels: int (N,).
        num_bins: int >= 1.

    Returns:
        counts: int (num_bins,), the number of answers.
        accuracy: float64 (num_bins,), the share of them that is right; NaN where there are none.
        confidence: float64 (num_bins,), the mean of their confidences; NaN where there are none.

    Raises:
        ValueError: if the shapes disagree, or an argument is out of range.
    """
    confidence, correct = _confidence_and_correct(probabilities, labels, num_bins)
    bins = _bins(confidence, num_bins)
    counts = np.bincount(bins, minlength=num_bins)
    sums = (np.bincount(bins, each, num_bins) for each in (correct, confidence))
    with np.errstate(invalid="ignore"):
        return counts, *(each / counts for each in sums)


def adaptive_ece(probabilities: ArrayLike, labels: ArrayLike, num_bins: int = NUM_BINS) -> float:
    """`ece` in bins of equal count, by rising confidence (Nguyen and O'Connor 2015).

    The counts differ by one at most.
    """
    confidence, correct = _confidence_and_correct(probabilities, labels, num_bins)
    gaps = np.array_split(_shared_gaps(confidence, correct), num_bins)
    return float(sum(abs(gap.sum()) for gap in gaps) / len(confidence))


def tace(
    probabilities: ArrayLike,
    labels: ArrayLike,
    num_bins: int = NUM_BINS,
    threshold: float = THRESHOLD,
) -> float:
    """Thresholded adaptive calibration error: every class on its own, in bins of equal count.

    Of each class, the probabilities above the threshold are sorted; a bin has ⌊n/num_bins⌋
    of them, the last one the rest too. A class with fewer than `num_bins` counts nothing.

    Args:
        probabilities: float (N, C).
        labels: int (N,).
        num_bins: int >= 1.
        threshold: float.

    Returns:
        float, Σ_c Σ_b n_cb·|accuracy_cb − confidence_cb| / (N·C).

    Raises:
        ValueError: if the shapes disagree, or an argument is out of range.
    """
    arguments.count("num_bins", num_bins, 1)
    probabilities, labels = predictions.check(probabilities, labels, "probabilities")
    total = 0.0
    for c, of_class in enumerate(probabilities.T):
        kept = of_class > threshold
        size = kept.sum() // num_bins
        if size:
            gaps = _shared_gaps(of_class[kept], labels[kept] == c)
            total += np.abs(np.add.reduceat(gaps, size * np.arange(num_bins))).sum()
    return float(total / probabilities.size)


def fit_temperature(logits: ArrayLike, labels: ArrayLike, jeffreys: bool = False) -> float:
    """The temperature T that minimises the NLL of logits / T.

    In 1/T the NLL is convex, so there is one minimum; where it lies at the end of the range
    e^±7, as for an ensemble that is always right, that end is given.

    With Jeffreys' prior of 1/T (Firth 1993) T is moderate there too, about as if half an example
    were wrong: the known cure where one parameter separates right from wrong (Heinze and Schemper
    2002). It prefers no scale: of logits c times as large, T is c times as large. With many
    errors it changes nothing to speak of.

    Args:
        logits: float (N, C).
        labels: int (N,).
        jeffreys: whether to take the prior into account.

    Raises:
        ValueError: if the shapes disagree, or a label is out of range.
    """
    behind, own = _behind(*predictions.check(logits, labels, "logits"))
    return float(np.exp(_best(_objective(behind, own, jeffreys))))


def cross_fitted(logits: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """NLL where each of ten folds is evaluated at the temperature of the other nine.

    Ten stratified folds are what Kohavi 1995 recommends: the examples are dealt out in turn, by
    how far the label's logit is ahead of the others, so the wrong ones last. The order in which
    they come does not matter. The temperatures are fitted with Jeffreys' prior, as nine folds may
    be without any error.

    Args:
        logits: float (N, C).
        labels: int (N,). With N < 10 there are N folds.

    Returns:
        float, the NLL over all examples, and float, the geometric mean of the temperatures;
        NaN both with a single example.

    Raises:
        ValueError: if the shapes disagree, or a label is out of range.
    """
    logits, labels = predictions.check(logits, labels, "logits")
    if len(labels) < 2:
        return float("nan"), float("nan")
    order = _by_lead(logits, labels)
    behind, own = _behind(logits[order], labels[order])
    folds = np.arange(len(labels)) % FOLDS
    fitted = _without_each_fold(behind, own, folds)
    nll, _ = _terms(behind, own, fitted[folds])
    return float(nll.sum() / len(labels)), float(np.exp(fitted.mean()))


def _confidence_and_correct(probabilities, labels, num_bins):
    arguments.count("num_bins", num_bins, 1)
    probabilities, labels = predictions.check(probabilities, labels, "probabilities")
    return probabilities.max(axis=1), (probabilities.argmax(axis=1) == labels).astype(float)


def _bins(confidence, num_bins):
    """The bin of each confidence, of equal width and closed above, int (N,)."""
    return np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)


def _shared_gaps(confidence, correct):
    """Right − confidence by rising confidence, (n,); the mean of all where confidences tie."""
    ranks = predictions.ranks(confidence)
    counts = np.bincount(ranks)
    return np.repeat(np.bincount(ranks, weights=correct - confidence) / counts, counts)


def _by_lead(logits, labels):
    """The order of the examples by the label's lead; where that ties, by their content."""
    others = logits.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    lead = logits[np.arange(len(labels)), labels] - others.max(axis=1)
    content = np.column_stack([logits, labels])
    content = content.view(np.dtype((np.void, content.strides[0])))[:, 0]  # compared as bytes
    order = np.argsort(content, kind="stable")
    return order[np.argsort(-lead[order], kind="stable")]


def _behind(logits, labels):
    """How far each class' logit is behind the largest, (N, C) <= 0; and the label's, (N,)."""
    behind = logits - logits.max(axis=1, keepdims=True)
    behind = np.maximum(behind, -1e30)  # times a probability of 0, it is 0
    return behind, behind[np.arange(len(labels)), labels]


def _terms(behind, own, log_temperature, with_variance=False):
    """Each example's NLL at a temperature, and the variance of its logits, (N,); or None.

    `behind` and `own` are what `_behind` gives; `log_temperature` may be one for each, (N,).
    """
    scale = np.broadcast_to(np.exp(-np.asarray(log_temperature)), own.shape)
    nll, variance = np.empty(len(own)), np.empty(len(own)) if with_variance else None
    rows = max(_AT_ONCE // behind.shape[1], 1)
    for start in range(0, len(own), rows):
        some = slice(start, start + rows)
        p = np.exp(scale[some, None] * behind[some])
        norm = p.sum(axis=1)
        nll[some] = np.log(norm) - scale[some] * own[some]
        if with_variance:
            p *= behind[some]
            mean_of_squares = np.einsum("nc,nc->n", p, behind[some]) / norm
            variance[some] = mean_of_squares - (p.sum(axis=1) / norm) ** 2
    return nll, variance


def _objective(behind, own, jeffreys=False):
    """What a temperature minimises, as a function of its logarithm.

    The sums are exact, so that the order of the examples does not matter.
    """

    def objective(log_temperature):
        nll, variance = _terms(behind, own, log_temperature, jeffreys)
        nll = math.fsum(nll)
        return _with_prior(nll, math.fsum(variance)) if jeffreys else nll

    return objective


def _with_prior(nll, information):
    """NLL minus half the logarithm of the Fisher information of 1/T.

    That is the sum of the variances of the logits.
    """
    return nll - 0.5 * np.log(max(information, np.finfo(np.float64).tiny))


def _without_each_fold(behind, own, folds):
    """For each fold the logarithm of the best temperature of all the others, (folds,).

    They hardly differ. So the sums of each fold are computed at a few temperatures around that
    of all examples, and interpolated; whatever lies farther off is searched for by itself.
    """
    num_folds = folds.max() + 1
    near = _best(_objective(behind, own, jeffreys=True), _NEAR / 10)
    nodes = chebyshev.chebpts1(_NODES)
    at_nodes = [_terms(behind, own, near + _NEAR * node, with_variance=True) for node in nodes]
    sums = np.array([[np.bincount(folds, values) for values in both] for both in at_nodes])
    others = sums @ (1 - np.eye(num_folds))  # (nodes, 2, folds)
    polynomials = chebyshev.chebfit(nodes, others.reshape(_NODES, -1), _NODES - 1)
    polynomials = polynomials.reshape(others.shape)
    bounds = near - _NEAR, near + _NEAR
    result = np.empty(num_folds)
    for fold in range(num_folds):
        of_fold = functools.partial(_interpolated, polynomials[:, :, fold], near)
        result[fold] = min(near, _minimum(of_fold, bounds), key=of_fold)
        if abs(result[fold] - near) > 0.9 * _NEAR:
            rest = folds != fold
            result[fold] = _best(_objective(behind[rest], own[rest], jeffreys=True))
    return result


def _interpolated(polynomials, near, log_temperature):
    return _with_prior(*chebyshev.chebval((log_temperature - near) / _NEAR, polynomials))


def _best(objective, tolerance=1e-7):
    """The logarithm of the best temperature."""
    found = _minimum(objective, _LOG_TEMPERATURES, tolerance)
    return min(*_LOG_TEMPERATURES, found, key=objective)


def _minimum(objective, bounds, tolerance=1e-7):
    from scipy.optimize import minimize_scalar  # imported here: it takes a fifth of a second

    options = {"xatol": tolerance}
    return float(minimize_scalar(objective, bounds=bounds, method="bounded", options=options).x)
