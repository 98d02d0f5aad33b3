"""A network whose heads see the core's map through their members' masks: see `unmixing`."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from mixmo_tf import unmixing
from mixmo_tf.networks import parts


def forward(network: keras.Model) -> Callable[..., tf.Tensor]:
    """Makes the network's forward pass of training with unmixing, of the same layers and weights.

    Args:
        network: keras.Model with M >= 2 members, as `networks.build` gives it.

    Returns:
        function (M times images (B, H, W, channels), masks (B, h, w, M), fade m (), the network's
        own seed or None) -> logits (B, M, C) float32. A function, not a keras.Model: a model that
        kept such a one would save the layers twice.

    Raises:
        ValueError: if the core pools itself, so that there is no map to look at.
    """
    pool, heads = parts.pool(network), parts.heads(network)
    core_map = keras.Model(network.input, pool.input, name=f"{network.name}_map")

    def logits(
        images: Sequence[tf.Tensor],
        masks: tf.Tensor,
        fade: tf.Tensor,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        inputs = parts.inputs(images, masks, seed)
        feature_map = core_map(inputs, training=True)  # (B, h', w', features)
        seen = unmixing.pool(feature_map, masks, fade)
        of_members = [head(features) for head, features in zip(heads, seen, strict=True)]
        return keras.ops.stack(of_members, axis=1)  # (B, M, C)

    return logits
