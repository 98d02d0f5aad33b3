"""Members around a core: M inputs, M encoders, mixing, the shared core, M heads."""

import keras

from mixmo_tf import arguments
from mixmo_tf.mixing import MixingLayer
from mixmo_tf.networks import size

MOST_MEMBERS = 100  # each has layers of its own, which take a while to build


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
        ValueError: if `num_members`, `num_classes` or `image_shape` is out of range, or the heads
            do not fit into memory.
    """
    check(num_members, num_classes, image_shape)
    inputs = {f"image_{i}": keras.Input(image_shape, name=f"image_{i}") for i in range(num_members)}
    encoded = [encoder(i, inputs[f"image_{i}"]) for i in range(num_members)]
    if num_members == 1:
        mixed = encoded[0]
    else:
        inputs["masks"] = keras.Input((*encoded[0].shape[1:3], num_members), name="masks")
        mixed = MixingLayer(name="mixing")(encoded, inputs["masks"])
    features = core(mixed)
    weights = num_members * num_classes * features.shape[-1]
    size.check_memory(f"{num_members} heads of {num_classes} classes", size.BYTES * weights)
    logits = [_head(i, num_classes, head_initializer)(features) for i in range(num_members)]
    return keras.Model(inputs, keras.ops.stack(logits, axis=1), name=name)


def check_network(network):
    """Raises ValueError unless it is a keras.Model of layers."""
    if not isinstance(network, keras.Model):
        raise ValueError(
            f"network must be a keras.Model, as mixmo_tf.networks build it, "
            f"got a {type(network).__name__}"
        )


def check_has_members(network):
    """Raises ValueError unless it is a keras.Model whose inputs and output are those of `build`."""
    check_network(network)
    inputs, output = getattr(network, "input", None), getattr(network, "output", None)
    has_images = isinstance(inputs, dict) and "image_0" in inputs
    if not has_images or len(getattr(output, "shape", ())) != 3:
        raise ValueError(
            "network must take image_0, … by name and give logits (n, M, C), as mixmo_tf.networks "
            f"build it; {network.name} does not"
        )


def check(num_members, num_classes, image_shape):
    """Raises ValueError unless a network can have these."""
    arguments.count("num_members", num_members, 1, MOST_MEMBERS)
    arguments.count("num_classes", num_classes, 2)
    try:
        height, width, channels = image_shape
        arguments.count("height", height, 1, arguments.LARGEST_SIDE)
        arguments.count("width", width, 1, arguments.LARGEST_SIDE)
        arguments.count("channels", channels, 1)
    except (TypeError, ValueError):
        raise ValueError(
            "image_shape must be (height, width, channels), whole numbers >= 1, sides of at most "
            f"{arguments.LARGEST_SIDE}, got {image_shape}"
        ) from None


def _head(member, num_classes, initializer):
    initializer = keras.initializers.get(initializer)
    return keras.layers.Dense(
        num_classes,
        kernel_initializer=initializer.clone(),  # one initializer gives the same values twice
        dtype="float32",
        name=f"head_{member}",
    )
