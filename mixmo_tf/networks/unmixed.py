"""A network whose heads see the core's map through their members' masks: see `unmixing`."""

import inspect
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from mixmo_tf import unmixing
from mixmo_tf.networks import graph, parts


def forward(network: keras.Model) -> Callable[..., tf.Tensor]:
    """Makes the network's forward pass of training with unmixing, of the same layers and weights.

    Args:
        network: keras.Model with M >= 2 members, as `networks.build` gives it.

    Returns:
        function (M times images (B, H, W, channels), masks (B, h, w, M), fade m (), the network's
        own seed or None) -> logits (B, M, C) float32. A function, not a keras.Model: a model that
        kept such a one would save the layers twice.

    Raises:
        ValueError: see `parts.pool`.
    """
    (pool, after), heads = parts.pool(network), parts.heads(network)
    features = heads[0].input
    core_map = keras.Model(network.input, pool.input, name=f"{network.name}_map")

    def logits(
        images: Sequence[tf.Tensor],
        masks: tf.Tensor,
        fade: tf.Tensor,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        def call(operation, *args, **kwargs):  # between pool and heads, such as dropout
            args = [seed if isinstance(each, keras.KerasTensor) else each for each in args]
            if "training" in inspect.signature(operation.call).parameters:
                kwargs["training"] = True
            return operation(*args, **kwargs)

        def see(head, pooled):
            return head(graph.follow(after, pool.output, pooled, features, call))

        feature_map = core_map(parts.inputs(images, masks, seed), training=True)  # (B, h', w', …)
        pooled = unmixing.pool(feature_map, masks, fade)  # M times (B, features)
        of_members = [see(head, each) for head, each in zip(heads, pooled, strict=True)]
        return keras.ops.stack(of_members, axis=1)  # (B, M, C)

    return logits
