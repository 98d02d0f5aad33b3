"""The weighted loss of M members, each of which sees its share of the pixels."""

import tensorflow as tf

from mixmo_tf import arguments, ratios


def weighted(
    member_logits: arguments.Array,
    labels: arguments.Array,
    masks: arguments.Array,
    root: float,
    sample_weight: arguments.Array | None = None,
) -> tf.Tensor:
    """Mean over rows of Σ_i w_i·CE(y_i, logits_i), w from the realised ratios.

    Args:
        member_logits: float (B, M, C).
        labels: int (B, M), or label vectors, float (B, M, C).
        masks: float (B, h, w, M); their means over the pixels are the realised ratios.
        root: float r > 0, see `ratios.loss_weights`.
        sample_weight: float (B, M), a factor of each term.

    Returns:
        float32 ().
    """
    realised = tf.reduce_mean(masks, axis=[1, 2])  # (B, M)
    weights = ratios.loss_weights(realised, root)
    if sample_weight is not None:
        weights *= tf.cast(sample_weight, weights.dtype)
    if len(labels.shape) == 3:
        cross_entropy = -tf.reduce_sum(labels * tf.nn.log_softmax(member_logits), axis=-1)
    else:
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, member_logits)
    return tf.reduce_mean(tf.reduce_sum(weights * cross_entropy, axis=1))
