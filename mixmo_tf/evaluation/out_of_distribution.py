"""Does confidence tell images of something else? Out-of-distribution detection.

Measured as OpenOOD 1.5 does (Zhang et al. 2023, arXiv 2306.09301): what is out of distribution
is the positive class, and its score is minus the confidence. Images of the same confidence
cannot be told apart: they share every value evenly.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp, softmax, xlogy

from mixmo_tf.evaluation import information, predictions

TRUE_POSITIVE_RATE = 0.95
_DECIMALS = 14  # what differs by less differs by rounding alone


def ood(scores_in: ArrayLike, scores_out: ArrayLike) -> dict[str, float]:
    """How well a confidence parts images in distribution from images out of distribution.

    Args:
        scores_in: float (N,), confidences of images in distribution, such as a value of
            `ood_scores`; larger means more in distribution.
        scores_out: float (K,), those of images out of distribution.

    Returns:
        dict of floats in [0, 1]:
        - "auroc": chance that an image out of distribution is less confident than one in it; a
          tie counts half.
        - "fpr_at_95_tpr": share of the images in distribution that are rejected by the first
          threshold that rejects 95 % of the others or more; 0 is best.
        - "aupr_in", "aupr_out": area under the precision-recall curve, by the trapezoid, with
          the images in or out of distribution as the positive ones. Average precision, which is
          a sum of steps, is another number.

    Raises:
        ValueError: if one is not (N,) numbers, or is empty, or holds a NaN.
    """
    from sklearn import metrics  # imported here: it takes a second

    is_out, rank = _ranked(scores_in, scores_out)
    false, true, _ = metrics.roc_curve(is_out, -rank, drop_intermediate=False)
    precision_in, recall_in, _ = metrics.precision_recall_curve(~is_out, rank)
    precision_out, recall_out, _ = metrics.precision_recall_curve(is_out, -rank)
    return {
        "auroc": float(metrics.auc(false, true)),
        "fpr_at_95_tpr": float(false[np.argmax(true >= TRUE_POSITIVE_RATE)]),
        "aupr_in": float(metrics.auc(recall_in, precision_in)),
        "aupr_out": float(metrics.auc(recall_out, precision_out)),
    }


def ood_roc(scores_in: ArrayLike, scores_out: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The ROC curve that `ood`'s AUROC is the area under, from (0, 0) to (1, 1).

    Args:
        scores_in, scores_out: as `ood` takes them.

    Returns:
        false: float64 (thresholds,), the shares of the images in distribution that are rejected.
        true: float64 (thresholds,), those of the others.

    Raises:
        ValueError: as `ood`.
    """
    from sklearn import metrics

    is_out, rank = _ranked(scores_in, scores_out)
    return metrics.roc_curve(is_out, -rank)[:2]


def ood_scores(member_logits: ArrayLike, ensemble: str = "logits") -> dict[str, np.ndarray]:
    """How much each image looks like those of the training, by five measures of confidence.

    Args:
        member_logits: float (N, M, C).
        ensemble: "logits" or "probabilities", what the ensemble averages.

    Returns:
        dict of float64 (N,), larger means more in distribution; they are rounded to 14 decimals,
        so that what differs by rounding alone is a tie:
        - "max_probability": the ensemble's largest (Hendrycks and Gimpel 2017).
        - "max_logit": the largest mean of the members' logits (Hendrycks et al. 2022).
        - "energy": minus the energy, logsumexp of the mean logits (Liu et al. 2020).
        - "entropy": minus the entropy of the ensemble's probabilities, nats.
        - "mutual_information": minus `entropy_split`'s epistemic part, nats; only where there
          are two members or more.

    Raises:
        ValueError: if a shape is wrong, a logit is not finite, or `ensemble` is unknown.
    """
    member_logits = predictions.check_member_logits(member_logits)
    p = softmax(predictions.ensemble_logits(member_logits, ensemble), axis=1)
    mean_logits = predictions.ensemble_logits(member_logits)
    scores = {
        "max_probability": p.max(axis=1),
        "max_logit": mean_logits.max(axis=1),
        "energy": logsumexp(mean_logits, axis=1),
        "entropy": xlogy(p, p).sum(axis=1),
    }
    if member_logits.shape[1] > 1:
        scores["mutual_information"] = -information.entropy_split(member_logits)[1]
    return {name: np.round(of_images, _DECIMALS) for name, of_images in scores.items()}


def _ranked(scores_in, scores_out):
    """Of all images, whether they are out of distribution, and the ranks of their scores."""
    scores_in, scores_out = _scores("scores_in", scores_in), _scores("scores_out", scores_out)
    _, rank = np.unique(np.concatenate([scores_in, scores_out]), return_inverse=True)
    return np.arange(len(rank)) >= len(scores_in), rank


def _scores(name, scores):
    """Returns them as float64 (N,)."""
    scores = predictions.numbers(scores, name)
    if scores.ndim != 1 or not len(scores):
        raise ValueError(f"{name} must be (N,) with N >= 1, got {scores.shape}")
    if np.isnan(scores).any():
        raise ValueError(f"{name} must not be NaN, got one for image {np.isnan(scores).argmax()}")
    return scores.astype(np.float64)
