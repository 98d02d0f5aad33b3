"""Mixing ratios and the loss weights that follow from them.

A row of ratios κ lies on the simplex: κ_i is how much of the mixed features belongs to
member i.
"""

import tensorflow as tf

from mixmo_tf import arguments, seeds
from mixmo_tf.seeds import Seed

_SMALLEST, _LARGEST = 1e-30, 1e15  # beyond, κ is one-hot or even in float32, and overflows
_PROPOSALS = 8  # each is accepted with probability > 0.95, so all fail once in 10^10 draws


def draw(batch_size: int | tf.Tensor, num_members: int, alpha: float, seed: Seed) -> tf.Tensor:
    """Draws κ ~ Dirichlet(α, …, α), a row of ratios per row of the batch.

    Args:
        batch_size: int or int32 scalar, the number of rows B.
        num_members: int, M.
        alpha: float >= 0, the concentration; 0 means κ = 1/M exactly, which is MIMO.
        seed: int32 (2,).

    Returns:
        float32 (B, M), each row summing to 1.

    Raises:
        ValueError: if an argument is out of range.
    """
    arguments.number_of_rows("batch_size", batch_size)
    arguments.at_least("alpha", alpha, 0)
    arguments.count("num_members", num_members, 1)
    if alpha == 0:
        return tf.fill([batch_size, num_members], 1.0 / num_members)
    alpha = min(max(float(alpha), _SMALLEST), _LARGEST)
    return tf.nn.softmax(_log_gamma(batch_size, num_members, alpha, seed))


def loss_weights(ratios: arguments.Array, root: float) -> tf.Tensor:
    """Weights of the members' losses: w_i = M·κ_i^(1/r) / Σ_j κ_j^(1/r).

    Args:
        ratios: float (B, M), on the simplex.
        root: float r > 0; 1 weighs by the ratios themselves, a large r weighs all alike.

    Returns:
        float (B, M), averaging to 1 over the members.

    Raises:
        ValueError: if `root` is not positive, or `ratios` are of another shape.
    """
    arguments.above("weight_root", root, 0)
    ratios = arguments.tensor("ratios", ratios, "float (B, M)", (None, None))
    rooted = ratios ** (1.0 / root)
    return ratios.shape[-1] * rooted / tf.reduce_sum(rooted, axis=-1, keepdims=True)


def _log_gamma(batch_size, num_members, alpha, seed):
    """Logarithms of Gamma(α) draws, (B, M); normalised by a softmax they are Dirichlet.

    Marsaglia and Tsang (2000), "A simple method for generating gamma variables", with its
    rejection unrolled, because XLA cannot compile `tf.random.stateless_gamma`. In logarithms
    a small α does not underflow.
    """
    shape = [batch_size, num_members, _PROPOSALS]
    normal_seed, accept_seed, boost_seed = seeds.split(seed, 3)
    d = alpha + 1 - 1 / 3
    x = seeds.normal(shape, normal_seed)
    v = (1 + x / (9 * d) ** 0.5) ** 3
    log_v = tf.math.log(tf.maximum(v, 1e-30))
    accepted = tf.math.log(seeds.uniform(shape, accept_seed)) < (0.5 * x**2 + d - d * v + d * log_v)
    first = tf.argmax(tf.cast(accepted & (v > 0), tf.int32), axis=-1)
    log_gamma = tf.math.log(d) + tf.gather(log_v, first, batch_dims=2)  # (B, M), of α + 1
    boost = tf.math.log(seeds.uniform(shape[:2], boost_seed)) / alpha
    return log_gamma + boost
