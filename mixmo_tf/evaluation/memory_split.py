"""Do the members share the encoders' filters, or split them? After the paper's analysis.

The core sees a member only through its encoder. A filter whose kernel is large for one member
and small for the others carries that member alone.
"""

import keras
import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf.networks import parts


def encoder_norms(network: keras.Model) -> np.ndarray:
    """L1 norms of the encoders' kernels.

    Args:
        network: keras.Model as `mixmo_tf.networks` builds it: a convolution named encoder_i
            for each member i.

    Returns:
        float64 (M, filters): Σ|W| over height, width and channels of each filter.

    Raises:
        ValueError: if the network has fewer than two such encoders.
    """
    parts.check_network(network)
    encoders = parts.encoders(network)
    if len(encoders) < 2:
        raise ValueError(f"the network must have two encoders or more, got {len(encoders)}")
    kernels = np.stack([encoder.kernel.numpy() for encoder in encoders])
    return np.abs(kernels.astype(np.float64)).sum(axis=(1, 2, 3))


def split_score(norms: ArrayLike) -> float:
    """How separate the subnetworks are: 0 if all share every filter alike, 1 if none.

    Of a filter with shares p_i = norm_i / Σ norms: (M·max p − 1) / (M − 1). The score is the
    mean over the filters, each counted by its norm.

    Args:
        norms: float (M, filters), as `encoder_norms` gives them.

    Returns:
        float in [0, 1].
    """
    norms = np.asarray(norms, np.float64)
    num_members = len(norms)
    largest = norms.max(axis=0).sum() / norms.sum()
    return float((num_members * largest - 1) / (num_members - 1))
