"""The weighted loss of M members, each of which sees its share of the pixels."""

import tensorflow as tf

from mixmo_tf import arguments, ratios


def weighted(
    member_logits: arguments.Array,
    labels: arguments.Array,
    masks: arguments.Array,
    root: float,
    sample_weight: arguments.Array | None = None,
    label_smoothing: float = 0.0,
) -> tf.Tensor:
    """Mean over rows of Σ_i w_i·CE(y_i, logits_i), w from the realised ratios.

    CE(y, logits) is −Σ_c t_c·log softmax(logits)_c. Without smoothing the target t is the label y,
    as a vector. With it, t is (1 − ε)·y + ε·(Σ_k y_k)/C: the target of a label is smoothed before
    it is weighted by w_i. Label vectors of MSDA, λ'·y + (1 − λ')·y' times sample weights, sum to
    the image's weight, and so do their targets.

    Args:
        member_logits: float (B, M, C).
        labels: int (B, M), or label vectors, float (B, M, C).
        masks: float (B, h, w, M); their means over the pixels are the realised ratios.
        root: float r > 0, see `ratios.loss_weights`.
        sample_weight: float (B, M), a factor of each term.
        label_smoothing: ε in [0, 1) (Szegedy et al., CVPR 2016).

    Returns:
        float32 ().
    """
    realised = tf.reduce_mean(masks, axis=[1, 2])  # (B, M)
    weights = ratios.loss_weights(realised, root)
    if sample_weight is not None:
        weights *= tf.cast(sample_weight, weights.dtype)
    if label_smoothing:
        labels = smoothed(labels, label_smoothing, member_logits.shape[-1])
    if len(labels.shape) == 3:
        cross_entropy = -tf.reduce_sum(labels * tf.nn.log_softmax(member_logits), axis=-1)
    else:
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, member_logits)
    return tf.reduce_mean(tf.reduce_sum(weights * cross_entropy, axis=1))


def smoothed(labels: arguments.Array, label_smoothing: float, num_classes: int) -> tf.Tensor:
    """(1 − ε)·y + ε·(Σ_k y_k)/C: labels int (B, M), or vectors y (B, M, C), to float (B, M, C)."""
    if len(labels.shape) == 2:
        labels = tf.one_hot(labels, num_classes)
    total = tf.reduce_sum(labels, axis=-1, keepdims=True)
    return (1 - label_smoothing) * labels + label_smoothing * total / num_classes
