"""Does confidence tell right from wrong? Misclassification detection, selective prediction.

Hendrycks and Gimpel 2017 (arXiv 1610.02136); Geifman and El-Yaniv 2017 (arXiv 1705.08500).
Confidence is the largest probability. Examples of the same confidence cannot be told apart:
among them, errors count as spread evenly.

Of the k most confident of N answers, e are wrong: the selective risk is e/k, the generalised
risk e/N, the coverage k/N. Areas under such curves have several conventions, which differ
where N is small: each function says its own.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlog1py

from mixmo_tf import arguments
from mixmo_tf.evaluation import predictions

RISK = 0.05
COVERAGE = 0.8


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

    confidence, wrong = predictions.confidence_and_wrong(probabilities, labels)
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
    confidence, wrong = predictions.confidence_and_wrong(probabilities, labels)
    ends, errors = predictions.ties(confidence, wrong)
    k = np.arange(1, len(wrong) + 1)
    return k / len(wrong), np.interp(k, np.append(0, ends), np.append(0, errors)) / k


def aurc(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Area under the risk-coverage curve; 0 is best.

    It is the mean of the N selective risks (Geifman and El-Yaniv 2017). Others integrate by
    trapezoids.
    """
    return float(np.mean(risk_coverage(probabilities, labels)[1]))


def eaurc(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """`aurc` beyond that of the best order of as many errors (Geifman et al. 2019); 0 is best.

    The best is e + (1 − e) ln(1 − e) for an error rate of e, its limit for large N (arXiv
    1805.08206): with few examples the best order's own is a little above 0.
    """
    risks = risk_coverage(probabilities, labels)[1]
    error = risks[-1]
    return float(np.mean(risks) - (error + xlog1py(1 - error, -error)))


def augrc(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Area under the generalised risk over coverage, by trapezoids from (0, 0); 0 is best.

    Traub et al. 2024 (arXiv 2407.01032): the mean share of answers that are wrong and yet
    accepted. Without an order it is half the error rate.
    """
    from scipy.integrate import trapezoid  # imported here: it takes a fifth of a second

    coverage, risk = risk_coverage(probabilities, labels)
    return float(trapezoid(np.append(0, risk * coverage), np.append(0, coverage)))


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
    confidence, wrong = predictions.confidence_and_wrong(probabilities, labels)
    ends, errors = predictions.ties(confidence, wrong)
    # 0.29 * 100 is less than 29, and 29 / 100 is 0.29
    return float(np.max(ends, where=errors / ends <= risk, initial=0) / len(wrong))


def risk_at_coverage(
    probabilities: ArrayLike, labels: ArrayLike, coverage: float = COVERAGE
) -> float:
    """The error among this share of the answers, the most confident ones.

    Args:
        probabilities: float (N, C).
        labels: int (N,).
        coverage: float in [0, 1].

    Returns:
        float in [0, 1], the selective risk of the k = ⌈coverage · N⌉ most confident answers, at
        least one; expected where the k-th lies among ties.

    Raises:
        ValueError: if the shapes disagree, or a label or `coverage` is out of range.
    """
    arguments.within("coverage", coverage, 0, 1)
    coverages, risks = risk_coverage(probabilities, labels)
    return float(risks[np.searchsorted(coverages, coverage)])  # 0.28 * 100 is more than 28
