"""What all metrics are computed from: members' logits, what an ensemble makes of them, checks."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, logsumexp

from mixmo_tf import arguments

ENSEMBLES = ("logits", "probabilities")
ROUNDING = 16 * np.finfo(np.float64).eps  # a softmax depends that much on the classes' order


def ensemble_logits(member_logits: ArrayLike, ensemble: str = "logits") -> np.ndarray:
    """The logits of the members together.

    Args:
        member_logits: float (N, M, C).
        ensemble: "logits" for the mean of the logits, "probabilities" for the logarithm of
            the mean of the probabilities.

    Returns:
        float64 (N, C).

    Raises:
        ValueError: if `ensemble` is unknown, or the logits are no (N, M, C) numbers.
    """
    arguments.one_of("ensemble", ensemble, ENSEMBLES)
    member_logits = numbers(member_logits, "member_logits").astype(np.float64, copy=False)
    _check_three_axes(member_logits, "member_logits")
    if ensemble == "logits":
        return member_logits.mean(axis=1)
    log_probabilities = log_softmax(member_logits, axis=-1)
    return logsumexp(log_probabilities, axis=1) - np.log(member_logits.shape[1])


def ranks(confidence: np.ndarray) -> np.ndarray:
    """Ranks of confidences, float64 (N,) in [0, 1], from 0 and rising: int (N,), without gaps.

    What differs by rounding alone is a tie, of one rank.
    """
    order = np.argsort(confidence)
    rises = np.diff(confidence[order], prepend=confidence[order[:1]]) > ROUNDING
    result = np.empty(len(order), int)
    result[order] = np.cumsum(rises)
    return result


def ties(confidence: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """After each group of equal confidence, from the largest on: answers, and errors.

    They are of confidences, float64 (N,) in [0, 1], and whether the answers are wrong, bool (N,).
    """
    ranked = ranks(confidence)
    answers, errors = np.bincount(ranked), np.bincount(ranked, weights=wrong)
    return np.cumsum(answers[::-1]), np.cumsum(errors[::-1])


def confidence_and_wrong(
    probabilities: ArrayLike, labels: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """The largest probabilities, float64 (N,), and whether they are of a wrong class, bool (N,).

    Raises:
        ValueError: as `check`.
    """
    probabilities, labels = check(probabilities, labels, "probabilities")
    return probabilities.max(axis=1), probabilities.argmax(axis=1) != labels


def check_members(
    member_logits: ArrayLike, labels: ArrayLike, name: str = "member_logits"
) -> tuple[np.ndarray, np.ndarray]:
    """Returns them as arrays, float (N, M, C) and int (N,).

    Raises:
        ValueError: as `check_member_logits`, or if a label is out of range, or their number wrong.
    """
    member_logits = check_member_logits(member_logits, name)
    _, labels = check(member_logits[:, 0], labels, name)
    return member_logits, labels


def check_member_logits(member_logits: ArrayLike, name: str = "member_logits") -> np.ndarray:
    """Returns them as an array, float (N, M, C).

    Raises:
        ValueError: if the shape or dtype is wrong, or a logit is not finite in float32.
    """
    member_logits = numbers(member_logits, name)
    _check_three_axes(member_logits, name)
    if not member_logits.size:
        raise ValueError(f"{name} must be of one example or more, got {member_logits.shape}")
    bad = np.argwhere(~(np.abs(member_logits) <= np.finfo(np.float32).max))
    if len(bad):
        value = member_logits[tuple(bad[0])]
        raise ValueError(f"{name} of example {bad[0, 0]} are not finite in float32: {value}")
    return member_logits


def check(scores: ArrayLike, labels: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns scores, float64 (N, C), and labels, int (N,), such as logits or probabilities.

    Raises:
        ValueError: as `check_scores`, or if a label is out of range, or their number wrong.
    """
    scores, labels = numbers(scores, name), np.asarray(labels)
    if scores.ndim == 3:
        raise ValueError(
            f"{name} must be (N, C), got {scores.shape}; ensemble_logits(member_logits) makes an "
            "ensemble's of its members'"
        )
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not scores.size:
        raise ValueError(
            f"{name} and labels must be of the same examples, one or more, "
            f"got {scores.shape} and {labels.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers, got {labels.dtype}")
    wrong = labels[(labels < 0) | (labels >= scores.shape[1])]
    if len(wrong):
        raise ValueError(f"labels must be in 0 to {scores.shape[1] - 1}, got {wrong[0]}")
    return check_scores(scores, name), labels


def check_scores(scores: ArrayLike, name: str) -> np.ndarray:
    """Returns them, such as logits or probabilities, as float64 (N, C).

    Raises:
        ValueError: if the shape or dtype is wrong, a score is NaN or +inf, or a probability is
            none.
    """
    scores = numbers(scores, name).astype(np.float64, copy=False)
    if scores.ndim != 2 or not scores.size:
        raise ValueError(f"{name} must be (N, C), one example or more, got {scores.shape}")
    check_finite(scores, name)
    if name == "probabilities" and not (scores.min() >= 0 and scores.max() <= 1 + 1e-6):
        raise ValueError(
            f"probabilities must be in [0, 1], got {scores.min():g} to {scores.max():g}"
        )
    return scores


def check_threshold(threshold: float) -> None:
    """Raises ValueError unless it is a number >= 0, which may be infinite."""
    try:
        fits = np.ndim(threshold) == 0 and bool(threshold >= 0)
    except TypeError:
        fits = False
    if not fits:
        raise ValueError(f"threshold must be a number >= 0, got {arguments.brief(threshold)}")


def check_finite(scores: np.ndarray, name: str) -> None:
    """Raises ValueError if one is NaN or +inf, or all of an example (…, C) are -inf.

    The logit of probability 0 may be -inf.
    """
    none = np.all(scores == -np.inf, axis=-1, keepdims=True)
    bad = np.argwhere(np.isnan(scores) | (scores == np.inf) | none)
    if len(bad):
        raise ValueError(f"{name} of example {bad[0, 0]} are not finite")


def numbers(array: ArrayLike, name: str) -> np.ndarray:
    """An array, of float64 where its dtype is not one of NumPy's floats."""
    try:
        array = np.asarray(array)
        if array.dtype.kind in "cSU":  # which become floats, but are none
            raise TypeError(f"got {array.dtype}")
        return array if array.dtype.kind == "f" else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers ({error})") from None


def _check_three_axes(member_logits, name):
    """Raises ValueError unless an array is (N, M, C), of one member or more."""
    if member_logits.ndim != 3 or member_logits.shape[1] < 1:
        raise ValueError(f"{name} must be (N, M, C), got {member_logits.shape}")
