"""Do the members share the encoders' filters, or split them? After the paper's analysis.

The core sees a member only through its encoder. A filter whose kernel is large for one member
and small for the others carries that member alone.
"""

import numpy as np

from mixmo_tf.networks.members import check_network


def encoder_norms(network):
    """L1 norms of the encoders' kernels.

    Args:
        network: keras.Model as `mixmo_tf.networks` builds it: a convolution named encoder_i
            for each member i.

    Returns:
        float64 (M, filters): Σ|W| over height, width and channels of each filter.

    Raises:
        ValueError: if the network has fewer than two such encoders.
    """
    check_network(network)
    names = {layer.name for layer in network.layers}
    members = 0
    while f"encoder_{members}" in names:
        members += 1
    if members < 2:
        raise ValueError(f"the network must have two encoders or more, got {members}")
    kernels = [network.get_layer(f"encoder_{i}").kernel.numpy() for i in range(members)]
    return np.abs(np.stack(kernels).astype(np.float64)).sum(axis=(1, 2, 3))


def split_score(norms):
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
