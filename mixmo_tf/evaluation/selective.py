"""Does confidence tell right from wrong? Misclassification detection, selective prediction.

Hendrycks and Gimpel 2017 (arXiv 1610.02136); Geifman and El-Yaniv 2017 (arXiv 1705.08500).
Confidence is the largest probability. Examples of the same confidence cannot be told apart:
among them, errors count as spread evenly.
"""

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf import arguments
from mixmo_tf.evaluation import predictions

RISK = 0.05


def misclassification_auroc(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Chance that a right answer is more confident than a wrong one; ties count half.

    Args:
        probabilities: float (N, C).
        labels: int (N,).

    Returns:
        float in [0, 1]; NaN where all answers are right, or all wrong.

    Raises:
        ValueError: if the shapes disagree, or a label is out of range.
    """
    from sklearn.metrics import roc_auc_score  # imported here: it takes a second

    confidence, wrong = _confidence_and_wrong(probabilities, labels)
    if wrong.all() or not wrong.any():
        return float("nan")
    return float(roc_auc_score(~wrong, predictions.ranks(confidence)))


def risk_coverage(probabilities: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The risk-coverage curve: error among the k most confident answers.

    Args:
        probabilities: float (N, C).
        labels: int (N,).

    Returns:
        coverage: float64 (N,), k/N for k = 1 … N.
        risk: float64 (N,), expected where the k-th lies among ties.

    Raises:
        ValueError: if the shapes disagree, or a label is out of range.
    """
    confidence, wrong = _confidence_and_wrong(probabilities, labels)
    ends, errors = _ties(confidence, wrong)
    k = np.arange(1, len(wrong) + 1)
    return k / len(wrong), np.interp(k, np.append(0, ends), np.append(0, errors)) / k


def aurc(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Area under the risk-coverage curve, the mean of its risks; 0 is best."""
    return float(np.mean(risk_coverage(probabilities, labels)[1]))


def coverage_at_risk(probabilities: ArrayLike, labels: ArrayLike, risk: float = RISK) -> float:
    """The largest share of answers, by a threshold on confidence, with at most this error.

    Args:
        probabilities: float (N, C).
        labels: int (N,).
        risk: float in [0, 1].

    Returns:
        float in [0, 1]; 0 where no threshold reaches the risk.

    Raises:
        ValueError: if the shapes disagree, or a label or `risk` is out of range.
    """
    arguments.within("risk", risk, 0, 1)
    confidence, wrong = _confidence_and_wrong(probabilities, labels)
    ends, errors = _ties(confidence, wrong)
    # 0.29 * 100 is less than 29, and 29 / 100 is 0.29
    return float(np.max(ends, where=errors / ends <= risk, initial=0) / len(wrong))


def _ties(confidence, wrong):
    """After each group of equal confidence, from the largest on: answers, and errors."""
    ranks = predictions.ranks(confidence)
    answers, errors = np.bincount(ranks), np.bincount(ranks, weights=wrong)
    return np.cumsum(answers[::-1]), np.cumsum(errors[::-1])


def _confidence_and_wrong(probabilities, labels):
    probabilities, labels = predictions.check(probabilities, labels, "probabilities")
    return probabilities.max(axis=1), probabilities.argmax(axis=1) != labels
