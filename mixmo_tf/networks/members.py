"""Members around a core: M inputs, M encoders, mixing, the shared core, M heads."""

from collections.abc import Callable, Sequence

import keras

from mixmo_tf import arguments
from mixmo_tf.mixing import MixingLayer
from mixmo_tf.networks import parts, size
from mixmo_tf.networks.layers import LAST

MOST_MEMBERS = 100  # each has layers of its own, which take a while to build


def build(
    name: str,
    encoder: Callable,
    core: Callable,
    num_members: int,
    num_classes: int,
    image_shape: Sequence[int],
    head_initializer: str | keras.initializers.Initializer,
    seed: keras.KerasTensor | None = None,
) -> keras.Model:
    """Builds a network from its encoder and its core::

        def encoder(member, image):
            return keras.layers.Conv2D(16, 3, padding="same", name=f"encoder_{member}")(image)

        def core(x):
            return keras.layers.Conv2D(32, 3, activation="relu")(x)

        network = build("small", encoder, core, 2, 10, (32, 32, 3), "he_normal")

    Args:
        name: the name of the keras.Model.
        encoder: function (member's number i, image (B, H, W, channels)) -> encoded image
            (B, h, w, filters), with layers of its own. Where it is a single convolution named
            encoder_i, the model can be folded, and its memory split be measured.
        core: function (B, h, w, filters) -> features (B, h', w', features), shared by the
            members. Their mean over the pixels, the layer "pool", goes to the heads. A core that
            pools itself gives (B, features).
        num_members: int M >= 1.
        num_classes: int C >= 2.
        image_shape: (H, W, channels).
        head_initializer: initializer of the heads' kernels (features, C).
        seed: the input "seed" that random layers of encoder and core have taken, or None.

    Returns:
        keras.Model with inputs by name, "image_0" … "image_{M-1}" (B, H, W, channels) and
        "masks" (B, h, w, M); output logits (B, M, C) float32. With M = 1 "image_0" is the
        only input and nothing is mixed.

    Raises:
        ValueError: if `num_members`, `num_classes` or `image_shape` is out of range, the core
            gives another shape, or the heads do not fit into memory.
    """
    check(num_members, num_classes, image_shape)
    images = [keras.Input(image_shape, name=parts.IMAGE.format(i)) for i in range(num_members)]
    encoded = [encoder(i, image) for i, image in enumerate(images)]
    masks = None
    if num_members == 1:
        mixed = encoded[0]
    else:
        masks = keras.Input((*encoded[0].shape[1:3], num_members), name=parts.MASKS)
        mixed = MixingLayer(name=parts.MIXING)(encoded, masks)
    features = core(mixed)
    if len(features.shape) == 4:
        pool = keras.layers.GlobalAveragePooling2D(data_format=LAST, name=parts.POOL)
        features = pool(features)
    if len(features.shape) != 2:
        raise ValueError(
            f"core must give (B, h, w, features), or (B, features), got {features.shape}"
        )
    weights = num_members * num_classes * features.shape[-1]
    size.check_memory(f"{num_members} heads of {num_classes} classes", size.BYTES * weights)
    logits = [_head(i, num_classes, head_initializer)(features) for i in range(num_members)]
    return keras.Model(
        parts.inputs(images, masks, seed), keras.ops.stack(logits, axis=1), name=name
    )


def check(num_members: int, num_classes: int, image_shape: Sequence[int]) -> None:
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
        name=parts.HEAD.format(member),
    )
