"""Members around a core: M inputs, M encoders, mixing, the shared core, M heads."""

import keras

from mixmo_tf import arguments
from mixmo_tf.mixing import MixingLayer


def build(name, encoder, core, num_members, num_classes, image_shape, head_initializer):
    """Builds a network from its encoder and its core.

    Args:
        name: the name of the keras.Model.
        encoder: function (member's number, image) -> encoded image, with layers of its own.
        core: function (B, h, w, filters) -> (B, features), shared by the members.
        num_members: int M >= 1.
        num_classes: int C >= 2.
        image_shape: (H, W, channels).
        head_initializer: initializer of the heads' kernels.

    Returns:
        keras.Model with inputs by name, "image_0" … "image_{M-1}" (B, H, W, channels) and
        "masks" (B, h, w, M); output logits (B, M, C) float32. With M = 1 "image_0" is the
        only input and nothing is mixed.

    Raises:
        ValueError: if `num_members`, `num_classes` or `image_shape` is out of range.
    """
    arguments.at_least("num_members", num_members, 1)
    arguments.at_least("num_classes", num_classes, 2)
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise ValueError(f"image_shape must be (height, width, channels), got {image_shape}")
    inputs = {f"image_{i}": keras.Input(image_shape, name=f"image_{i}") for i in range(num_members)}
    encoded = [encoder(i, inputs[f"image_{i}"]) for i in range(num_members)]
    if num_members == 1:
        mixed = encoded[0]
    else:
        inputs["masks"] = keras.Input((*encoded[0].shape[1:3], num_members), name="masks")
        mixed = MixingLayer(name="mixing")(encoded, inputs["masks"])
    features = core(mixed)
    logits = [_head(i, num_classes, head_initializer)(features) for i in range(num_members)]
    return keras.Model(inputs, keras.ops.stack(logits, axis=1), name=name)


def _head(member, num_classes, initializer):
    initializer = keras.initializers.get(initializer)
    return keras.layers.Dense(
        num_classes,
        kernel_initializer=initializer.clone(),  # one initializer gives the same values twice
        dtype="float32",
        name=f"head_{member}",
    )
