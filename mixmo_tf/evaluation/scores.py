"""Accuracy, and the proper scoring rules: negative log-likelihood and Brier score."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax

from mixmo_tf import arguments
from mixmo_tf.evaluation import predictions


def accuracy(scores: ArrayLike, labels: ArrayLike) -> float:
    """Share of examples whose label has the largest score: (N, C), int (N,) -> float.

    Raises:
        ValueError: if the shapes disagree, or a label is out of range.
    """
    scores, labels = predictions.check(scores, labels, "scores")
    return float(np.mean(scores.argmax(axis=1) == labels))


def top_k_accuracy(scores: ArrayLike, labels: ArrayLike, k: int = 5) -> float:
    """Share of examples whose label is among the k largest scores; 1 if k >= C.

    Of equal scores the lower class goes first, as in `argmax`.

    Args:
        scores: float (N, C).
        labels: int (N,).
        k: int >= 1.

    Raises:
        ValueError: if the shapes disagree, or a label or `k` is out of range.
    """
    arguments.count("k", k, 1)
    scores, labels = predictions.check(scores, labels, "scores")
    own = scores[np.arange(len(labels)), labels][:, None]
    before = np.arange(scores.shape[1]) < labels[:, None]
    rank = np.sum((scores > own) | ((scores == own) & before), axis=1)
    return float(np.mean(rank < k))


def nll(logits: ArrayLike, labels: ArrayLike) -> float:
    """Mean negative log-likelihood, in nats.

    Args:
        logits: float (N, C), or logarithms of probabilities.
        labels: int (N,).

    Raises:
        ValueError: if the shapes disagree, or a label is out of range.
    """
    logits, labels = predictions.check(logits, labels, "logits")
    own = log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return float(0.0 - own.mean())  # never -0


def brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Brier score (Brier 1950): mean over examples of Σ_c (p_c − [c = label])²; in [0, 2].

    The published MixMo code divides it by C: `report` has that as brier_mean_over_classes.

    Args:
        probabilities: float (N, C).
        labels: int (N,).

    Raises:
        ValueError: if the shapes disagree, or a label is out of range.
    """
    probabilities, labels = predictions.check(probabilities, labels, "probabilities")
    own = probabilities[np.arange(len(labels)), labels]
    return float(np.mean(np.sum(probabilities**2, axis=1) - 2 * own + 1))
