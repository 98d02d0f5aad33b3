"""What all figures are computed from: members' logits, what an ensemble makes of them, checks."""

import numpy as np
from scipy.special import log_softmax, logsumexp

from mixmo_tf import arguments

ENSEMBLES = ("logits", "probabilities")


def ensemble_logits(member_logits, ensemble="logits"):
    """The logits of the members together.

    Args:
        member_logits: float (N, M, C).
        ensemble: "logits" for the mean of the logits, "probabilities" for the logarithm of
            the mean of the probabilities.

    Returns:
        float64 (N, C).

    Raises:
        ValueError: if `ensemble` is unknown.
    """
    arguments.one_of("ensemble", ensemble, ENSEMBLES)
    member_logits = np.asarray(member_logits, np.float64)
    if ensemble == "logits":
        return member_logits.mean(axis=1)
    log_probabilities = log_softmax(member_logits, axis=-1)
    return logsumexp(log_probabilities, axis=1) - np.log(member_logits.shape[1])


def check_members(member_logits, labels):
    """Returns them as arrays, float (N, M, C) and int (N,).

    Raises:
        ValueError: if a shape or dtype is wrong, a logit is NaN or +inf, or a label is out of
            range.
    """
    member_logits = np.asarray(member_logits)
    if member_logits.ndim != 3 or member_logits.shape[1] < 1:
        raise ValueError(f"member_logits must be (N, M, C), got {member_logits.shape}")
    check(member_logits[:, 0], labels, "member_logits")
    check_finite(member_logits, "member_logits")
    return member_logits, np.asarray(labels)


def check(scores, labels, name):
    """Returns scores, float64 (N, C), and labels, int (N,), such as logits or probabilities.

    Raises:
        ValueError: if a shape or dtype is wrong, a score is NaN or +inf, or a label is out of
            range.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
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
    check_finite(scores, name)
    if name == "probabilities" and not (scores.min() >= 0 and scores.max() <= 1 + 1e-6):
        raise ValueError(
            f"probabilities must be in [0, 1], got {scores.min():g} to {scores.max():g}"
        )
    return scores, labels


def check_finite(scores, name):
    """Raises ValueError if one is NaN or +inf; the logit of probability 0 may be -inf."""
    bad = np.argwhere(np.isnan(scores) | (scores == np.inf))
    if len(bad):
        raise ValueError(f"{name} of example {bad[0, 0]} are not finite")
