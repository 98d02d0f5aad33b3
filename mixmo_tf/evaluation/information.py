"""How different are the members' probabilities? Divergence, and mutual information."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, xlogy

from mixmo_tf.evaluation import predictions


def pairwise_kl(member_logits: ArrayLike) -> float:
    """Mean of KL(p_i ‖ p_j) over examples and ordered pairs of members, in nats.

    Args:
        member_logits: float (N, M, C).

    Returns:
        float >= 0; infinite where a member excludes what another does not.

    Raises:
        ValueError: if M < 2, or a logit is no number.
    """
    p, log_p = _probabilities(member_logits)
    num_members = p.shape[1]
    own = np.sum(_times(p, log_p), axis=(1, 2))
    p, log_p = p.sum(axis=1), log_p.sum(axis=1)
    all_pairs = np.sum(_times(p, log_p), axis=1)  # and each member with itself
    kl = (num_members * own - all_pairs) / (num_members * (num_members - 1))
    return float(np.maximum(kl, 0).mean())


def mutual_information(member_logits: ArrayLike) -> float:
    """Entropy of the mean of the members' probabilities − mean of their entropies, in nats.

    Args:
        member_logits: float (N, M, C).

    Returns:
        float in [0, ln M]; the mean of `entropy_split`'s epistemic part.

    Raises:
        ValueError: if M < 2, or a logit is no number.
    """
    return float(entropy_split(member_logits)[1].mean())


def entropy_split(member_logits: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The entropy of the mean of the members' probabilities, in two parts (Depeweg et al. 2018).

    Args:
        member_logits: float (N, M, C).

    Returns:
        aleatoric: float64 (N,), nats; what every member is unsure of, the mean of the members'
            entropies.
        epistemic: float64 (N,), nats; what members differ by, the mutual information, in
            [0, ln M]. The sum of both is the entropy of the mean.

    Raises:
        ValueError: if M < 2, or a logit is no number.
    """
    p, _ = _probabilities(member_logits)
    mean = p.mean(axis=1)
    entropy_of_mean = 0.0 - xlogy(mean, mean).sum(axis=-1)  # never -0
    mean_entropy = 0.0 - xlogy(p, p).sum(axis=-1).mean(axis=-1)
    return mean_entropy, np.maximum(entropy_of_mean - mean_entropy, 0)


def _probabilities(member_logits):
    """Probabilities and their logarithms, float64 (N, M, C)."""
    member_logits = predictions.numbers(member_logits, "member_logits")
    member_logits = member_logits.astype(np.float64, copy=False)
    if member_logits.ndim != 3 or member_logits.shape[1] < 2 or not member_logits.size:
        raise ValueError(f"member_logits must be (N, M, C) with M >= 2, got {member_logits.shape}")
    predictions.check_finite(member_logits, "member_logits")
    log_p = log_softmax(member_logits, axis=-1)
    return np.exp(log_p), log_p


def _times(p, log_p):
    """p · log p, 0 where p is 0."""
    return np.multiply(p, log_p, where=p > 0, out=np.zeros_like(p))
