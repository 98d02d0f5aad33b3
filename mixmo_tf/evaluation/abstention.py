"""When not to answer: a threshold on confidence for a wanted error, or a wanted coverage.

The threshold is found on held-out images; what it keeps on others is measured there. Confidence
is the largest probability, and an answer is given where it is the threshold or more.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from mixmo_tf import arguments
from mixmo_tf.evaluation import predictions

LEVEL = 0.95  # of confidence, of `risk_bound`


def abstention_threshold(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    risk: float | None = None,
    coverage: float | None = None,
) -> float:
    """The threshold on confidence that keeps a wanted error, or gives a wanted share of answers.

    Args:
        probabilities: float (N, C), of held-out images.
        labels: int (N,).
        risk: float in [0, 1]: the lowest threshold with at most this error among the answers.
        coverage: float in [0, 1]: the highest threshold with at least this share of answers.
            One of the two is to be given.

    Returns:
        float in [0, 1], one of the confidences; infinite where none keeps the error, so that
        nothing is answered.

    Raises:
        ValueError: if the shapes disagree, a label or what is wanted is out of range, or both
            or neither of `risk` and `coverage` are given.
    """
    wanted = {"risk": risk, "coverage": coverage}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if len(wanted) != 1:
        raise ValueError(f"risk or coverage must be given, one of them, got {len(wanted)}")
    ((name, value),) = wanted.items()
    arguments.within(name, value, 0, 1)
    confidence, wrong = predictions.confidence_and_wrong(probabilities, labels)
    answers, errors = predictions.ties(confidence, wrong)
    falling = -np.sort(-confidence)
    if name == "risk":
        # 0.29 * 100 is less than 29, and 29 / 100 is 0.29
        kept = answers[errors / answers <= risk]
        return float(falling[kept[-1] - 1]) if len(kept) else float("inf")
    kept = answers[np.searchsorted(answers / len(wrong), coverage)]
    return float(falling[kept - 1])


def coverage_and_risk(
    probabilities: ArrayLike, labels: ArrayLike, threshold: float
) -> tuple[float, float]:
    """What a threshold on confidence keeps.

    Args:
        probabilities: float (N, C).
        labels: int (N,).
        threshold: float, as `abstention_threshold` gives it.

    Returns:
        coverage: float, the share of the answers whose confidence is the threshold or more.
        risk: float, the share of these that are wrong; NaN where there are none.

    Raises:
        ValueError: if the shapes disagree, a label is out of range, or `threshold` is no number.
    """
    predictions.check_threshold(threshold)
    confidence, wrong = predictions.confidence_and_wrong(probabilities, labels)
    is_given = confidence >= threshold - predictions.ROUNDING
    risk = wrong[is_given].mean() if is_given.any() else float("nan")
    return float(is_given.mean()), float(risk)


def risk_bound(answers: int, errors: int, level: float = LEVEL) -> float:
    """The largest error that such a count still allows: Clopper and Pearson's upper bound (1934).

    Where the images are new ones, the error of the answers is at most this with a chance of
    `level` or more. A threshold that was chosen on the same images makes it a little too low.

    Args:
        answers: int n >= 0, how many answers were given.
        errors: int k in [0, n], how many of these are wrong.
        level: float in [0, 1], of confidence, on this side alone.

    Returns:
        float in [0, 1]; 1 - (1 - level)^(1/n) where k = 0, and 1 where k = n.

    Raises:
        ValueError: if an argument is out of range.
    """
    arguments.count("answers", answers, 0)
    arguments.count("errors", errors, 0)
    arguments.within("errors", errors, 0, answers)
    arguments.within("level", level, 0, 1)
    return 1.0 if errors == answers else float(betaincinv(errors + 1, answers - errors, level))
