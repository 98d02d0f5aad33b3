"""Is confidence worth what it says? Calibration errors, and temperature scaling.

Guo et al. 2017 (arXiv 1706.04599); TACE: Nixon et al. 2019 (arXiv 1904.01685).
"""

import numpy as np
from scipy.optimize import minimize_scalar

from mixmo_tf import arguments
from mixmo_tf.evaluation import predictions, scores

NUM_BINS = 15
THRESHOLD = 1e-3  # TACE leaves smaller probabilities out
_LOG_TEMPERATURES = -7.0, 7.0


def ece(probabilities, labels, num_bins=NUM_BINS):
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
    confidence, correct = _confidence_and_correct(probabilities, labels, num_bins)
    bins = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(confidence))


def adaptive_ece(probabilities, labels, num_bins=NUM_BINS):
    """`ece` in bins of equal count, by rising confidence (Nguyen and O'Connor 2015).

    The counts differ by one at most; equal confidences stay in the order of the examples.
    """
    confidence, correct = _confidence_and_correct(probabilities, labels, num_bins)
    order = np.argsort(confidence, kind="stable")
    gaps = np.array_split((correct - confidence)[order], num_bins)
    return float(sum(abs(gap.sum()) for gap in gaps) / len(confidence))


def tace(probabilities, labels, num_bins=NUM_BINS, threshold=THRESHOLD):
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
    arguments.whole("num_bins", num_bins)
    arguments.at_least("num_bins", num_bins, 1)
    probabilities, labels = predictions.check(probabilities, labels, "probabilities")
    total = 0.0
    for c, of_class in enumerate(probabilities.T):
        kept = np.flatnonzero(of_class > threshold)
        size = len(kept) // num_bins
        if size == 0:
            continue
        kept = kept[np.argsort(of_class[kept], kind="stable")]
        gaps = (labels[kept] == c) - of_class[kept]
        total += np.abs(np.add.reduceat(gaps, size * np.arange(num_bins))).sum()
    return float(total / probabilities.size)


def fit_temperature(logits, labels):
    """The temperature T that minimises the NLL of logits / T.

    In 1/T the NLL is convex, so there is one minimum; where it lies at the end of the range
    e^±7, as for an ensemble that is always right, that end is given.

    Args:
        logits: float (N, C).
        labels: int (N,).

    Returns:
        float.

    Raises:
        ValueError: if the shapes disagree, or a label is out of range.
    """
    logits, labels = predictions.check(logits, labels, "logits")

    def nll(log_temperature):
        return scores.nll(logits * np.exp(-log_temperature), labels)

    found = minimize_scalar(
        nll, bounds=_LOG_TEMPERATURES, method="bounded", options={"xatol": 1e-7}
    )
    best = min(*_LOG_TEMPERATURES, found.x, key=nll)
    return float(np.exp(best))


def cross_fitted(logits, labels):
    """NLL at temperatures that are fitted on one half of the examples and judged on the other.

    The halves are the even and the odd examples of a fixed random order.

    Args:
        logits: float (N, C).
        labels: int (N,).

    Returns:
        float, the NLL over all examples, and float, the geometric mean of the temperatures;
        NaN both with a single example.

    Raises:
        ValueError: if the shapes disagree, or a label is out of range.
    """
    logits, labels = predictions.check(logits, labels, "logits")
    if len(labels) < 2:
        return float("nan"), float("nan")
    order = np.random.default_rng(0).permutation(len(labels))
    halves = order[::2], order[1::2]
    total, log_temperatures = 0.0, []
    for fitted, judged in (halves, halves[::-1]):
        temperature = fit_temperature(logits[fitted], labels[fitted])
        total += len(judged) * scores.nll(logits[judged] / temperature, labels[judged])
        log_temperatures.append(np.log(temperature))
    return total / len(labels), float(np.exp(np.mean(log_temperatures)))


def _confidence_and_correct(probabilities, labels, num_bins):
    arguments.whole("num_bins", num_bins)
    arguments.at_least("num_bins", num_bins, 1)
    probabilities, labels = predictions.check(probabilities, labels, "probabilities")
    return probabilities.max(axis=1), (probabilities.argmax(axis=1) == labels).astype(float)
