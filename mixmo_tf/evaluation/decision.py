"""What a model's answer is worth, decided from its logits by three numbers of held-out images.

The temperature makes probabilities of the logits; the largest of these is the confidence, which
a first threshold accepts or not (see `abstention`); and a second one says which classes are in
the image's set (APS, see `conformal`). All three are fitted on the same images, in that order:
the temperature is a single number, so it bends the sets' promise by next to nothing.

Exported models decide by the same numbers, in float32. So the thresholds are fitted to
probabilities of float32, and what differs by its rounding is the same.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from mixmo_tf.evaluation import abstention, calibration, conformal, predictions, scores

ROUNDING = 16 * float(np.finfo(np.float32).eps)


class Decision(NamedTuple):
    """The numbers that are fitted."""

    temperature: float
    confidence_threshold: float  # infinite where no threshold keeps the wanted error
    set_threshold: float  # infinite where the images are too few for the promise


class Decided(NamedTuple):
    """What they say of n images."""

    calibrated_probabilities: np.ndarray  # float32 (n, C)
    confidence: np.ndarray  # float32 (n,)
    accept: np.ndarray  # bool (n,)
    prediction_set: np.ndarray  # bool (n, C)


def fit(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    risk: float | None = None,
    coverage: float | None = None,
    set_coverage: float = conformal.COVERAGE,
) -> Decision:
    """Fits the temperature and both thresholds on held-out images.

    Args:
        logits: float (N, C), the ensemble's, of held-out images.
        labels: int (N,).
        risk, coverage: what to accept, one of them, see `abstention.abstention_threshold`.
        set_coverage: float in [0, 1], the chance that a set must hold the label.

    Raises:
        ValueError: if the shapes disagree, or an argument is out of range.
    """
    jeffreys = scores.accuracy(logits, labels) == 1  # as `reporting.report` has it
    temperature = calibration.fit_temperature(logits, labels, jeffreys)
    p = _probabilities(predictions.check_scores(logits, "logits"), temperature)
    return Decision(
        temperature,
        abstention.abstention_threshold(p, labels, risk=risk, coverage=coverage),
        conformal.threshold(p, labels, set_coverage),
    )


def decide(logits: ArrayLike, decision: Decision) -> Decided:
    """What the numbers say of images.

    Args:
        logits: float (n, C), the ensemble's.
        decision: Decision.

    Raises:
        ValueError: if the logits are not (n, C), or not finite.
    """
    p = _probabilities(predictions.check_scores(logits, "logits"), decision.temperature)
    confidence = p.max(axis=1)
    return Decided(
        p,
        confidence,
        confidence >= decision.confidence_threshold - ROUNDING,
        conformal.sets(p, decision.set_threshold + ROUNDING),
    )


def disagreement_of_each(member_logits: ArrayLike) -> np.ndarray:
    """Of each image, the share of the pairs of members that predict different classes.

    Args:
        member_logits: float (n, M, C), M >= 2.

    Returns:
        float32 (n,).

    Raises:
        ValueError: if they are not of two members or more.
    """
    member_logits = predictions.check_member_logits(member_logits)
    num_members = member_logits.shape[1]
    if num_members < 2:
        raise ValueError(f"member_logits must be of two members or more, got {num_members}")
    predicted = member_logits.argmax(axis=-1)  # (n, M)
    differs = predicted[:, :, None] != predicted[:, None, :]  # (n, M, M), each pair twice
    return (differs.sum(axis=(1, 2)) / (num_members * (num_members - 1))).astype(np.float32)


def _probabilities(logits, temperature):
    return softmax(logits / temperature, axis=1).astype(np.float32)
