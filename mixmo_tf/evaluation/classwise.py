"""Class by class: how good and how calibrated a model is about each, and which it takes for which.

Means over classes count a class with few images as much as one with many.
"""

import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf import arguments
from mixmo_tf.evaluation import predictions
from mixmo_tf.evaluation.calibration import NUM_BINS

MOST_CLASSES = 1000  # whose confusion matrix is written: a million numbers
UNDEFINED = {
    "class_recall": "there is a class without images",
    "class_precision": "there is a class that is never answered",
}


def per_class(scores: ArrayLike, labels: ArrayLike) -> dict[str, np.ndarray]:
    """The metrics of each class, and the confusion matrix.

    Args:
        scores: float (N, C), logits or probabilities.
        labels: int (N,).

    Returns:
        dict:
        - "class_images": int (C,), the number of each one's images.
        - "class_recall": float64 (C,), the share of them that is answered right, which is the
          accuracy on the class; NaN where there are none.
        - "class_precision": float64 (C,), the share of the answers with the class that is
          right; NaN where there are none.
        - "confusion_matrix": int (C, C), the number of images by label and by answer; only where
          there are at most `MOST_CLASSES`.

    Raises:
        ValueError: if the shapes disagree, or a label is out of range.
    """
    scores, labels = predictions.check(scores, labels, "scores")
    num_classes, answers = scores.shape[1], scores.argmax(axis=1)
    images, answered, right = _counts(labels, answers, num_classes)
    with np.errstate(invalid="ignore"):
        metrics = {
            "class_images": images,
            "class_recall": right / images,
            "class_precision": right / answered,
        }
    if num_classes <= MOST_CLASSES:
        cell = labels.astype(np.int64) * num_classes + answers
        matrix = np.bincount(cell, minlength=num_classes**2).reshape(num_classes, num_classes)
        metrics["confusion_matrix"] = matrix
    return metrics


def balanced_accuracy(scores: ArrayLike, labels: ArrayLike) -> float:
    """The mean of the accuracies on the images of each class, of those that have images.

    Args:
        scores: float (N, C), logits or probabilities.
        labels: int (N,).

    Returns:
        float in [0, 1].

    Raises:
        ValueError: if the shapes disagree, or a label is out of range.
    """
    scores, labels = predictions.check(scores, labels, "scores")
    images, _, right = _counts(labels, scores.argmax(axis=1), scores.shape[1])
    return float(np.mean(right[images > 0] / images[images > 0]))


def classwise_ece(probabilities: ArrayLike, labels: ArrayLike, num_bins: int = NUM_BINS) -> float:
    """The mean over the classes of the calibration error of each one's probability.

    Kull et al. 2019 (arXiv 1910.12656). The probability of class c, of every image, is held
    against how often c is the label, in bins as those of `ece`.

    Args:
        probabilities: float (N, C).
        labels: int (N,).
        num_bins: int >= 1.

    Returns:
        float, Σ_c Σ_b |Σ_{n in b} ([label_n = c] − p_nc)| / (N·C).

    Raises:
        ValueError: if the shapes disagree, or an argument is out of range.
    """
    arguments.count("num_bins", num_bins, 1)
    probabilities, labels = predictions.check(probabilities, labels, "probabilities")
    total = 0.0
    for c, of_class in enumerate(probabilities.T):
        bins = np.clip(np.ceil(of_class * num_bins).astype(int) - 1, 0, num_bins - 1)
        total += np.abs(np.bincount(bins, weights=(labels == c) - of_class)).sum()
    return float(total / probabilities.size)


def _counts(labels, answers, num_classes):
    """Of each class its images, the answers with it, and those that are right, int (C,)."""
    counted = labels, answers, labels[labels == answers]
    return [np.bincount(classes, minlength=num_classes) for classes in counted]
