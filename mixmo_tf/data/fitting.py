"""Images of any size and colours brought to what a network takes, as OpenOOD 1.5 does.

Their shorter side is scaled to the network's (bilinear), and the middle is cut out: other than a
random or a central crop, which an image's own dataset may have. Grey images become RGB for a
network of three channels; for one of a single channel, colours become grey (ITU-R BT.601).
"""

import tensorflow as tf

from mixmo_tf.data.examples import Examples

_GREY, _RGB, _RGBA = 1, 3, 4


def fitted(examples: Examples, image_shape: tuple[int, int, int]) -> Examples:
    """Examples of any size, whose images are brought to `image_shape` as they are decoded.

    Raises:
        ValueError: if the channels cannot be made of those that are there.
    """
    there = examples.info.image_shape[2]
    if (there, image_shape[2]) not in _CHANGES and there != image_shape[2]:
        raise ValueError(
            f"{examples.info.name} has images of {there} channels, the network takes "
            f"{image_shape[2]}"
        )
    decode = examples.decode or tf.convert_to_tensor
    return examples.changed(lambda image: fit(decode(image), image_shape, there), image_shape)


def described(image_shape: tuple[int, int, int]) -> str:
    """What `fit` does, in a few words for a table."""
    height, width, channels = image_shape
    colours = {_GREY: "grey", _RGB: "RGB"}.get(channels, f"{channels} channels")
    size = f"{height}" if height == width else f"{height}×{width}"
    return f"{colours}, the shorter side scaled to {size} pixels (bilinear), centre crop"


def fit(image: tf.Tensor, image_shape: tuple[int, int, int], channels: int) -> tf.Tensor:
    """One image uint8 (h, w, channels) as uint8 of `image_shape`."""
    height, width, _ = image_shape
    if change := _CHANGES.get((channels, image_shape[2])):
        image = change(image)
    there = tf.shape(image)
    # the scale that makes one side fit, and the other no shorter than it must be
    high = tf.maximum(height, there[0] * width // there[1])
    wide = tf.maximum(width, there[1] * height // there[0])
    image = tf.image.resize(image, (high, wide), antialias=True)
    top, left = (high - height) // 2, (wide - width) // 2
    image = image[top : top + height, left : left + width]
    image = tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)
    return tf.ensure_shape(image, image_shape)


_CHANGES = {
    (_GREY, _RGB): tf.image.grayscale_to_rgb,
    (_RGB, _GREY): tf.image.rgb_to_grayscale,
    (_RGBA, _RGB): lambda image: image[..., :3],
    (_RGBA, _GREY): lambda image: tf.image.rgb_to_grayscale(image[..., :3]),
}
