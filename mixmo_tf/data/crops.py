"""Images of any size brought to one size: a random crop to train on, a central one to evaluate.

A box is (top, left, height, width), int32, in pixels.
"""

import tensorflow as tf

from mixmo_tf import arguments

AREA = 0.08, 1.0  # of the image
ASPECT_RATIO = 3 / 4, 4 / 3  # width / height
CENTRAL_FRACTION = 0.875  # of the shorter side: 224 pixels of 256


def check_fraction(fraction: float) -> None:
    """Raises ValueError unless `fraction` is how much of a side a central square may take."""
    arguments.above("central_fraction", fraction, 0)
    arguments.within("central_fraction", fraction, 0, 1)


def random_box(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A box of random area and shape (Szegedy et al. 2015, arXiv 1409.4842), TensorFlow's draw.

    `shape` is int32 (3,), height, width, channels; `seed` int32 (2,).
    """
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        tf.zeros([1, 0, 4]),
        seed,
        min_object_covered=0.0,
        aspect_ratio_range=ASPECT_RATIO,
        area_range=AREA,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], size[:2]], axis=0)


def central_box(shape: tf.Tensor, fraction: float = 1.0) -> tf.Tensor:
    """The square in the middle, `fraction` of the shorter side; `shape` as in `random_box`."""
    side = tf.cast(tf.round(fraction * tf.cast(tf.reduce_min(shape[:2]), tf.float32)), tf.int32)
    return tf.concat([(shape[:2] - side) // 2, [side, side]], axis=0)


def decode_jpeg(content: tf.Tensor, box: tf.Tensor, size: int) -> tf.Tensor:
    """Decodes a box int32 (4,) of a JPEG str (), and nothing else of it: uint8 (size, size, 3)."""
    return scaled(tf.io.decode_and_crop_jpeg(content, box, channels=3), size)


def central_square(image: tf.Tensor, size: int, fraction: float = 1.0) -> tf.Tensor:
    """The `central_box` of an image (h, w, channels), scaled to uint8 (size, size, channels)."""
    top, left, height, width = tf.unstack(central_box(tf.shape(image), fraction))
    return scaled(image[top : top + height, left : left + width], size)


def scaled(image: tf.Tensor, size: int) -> tf.Tensor:
    """Brings an image (h, w, channels) to uint8 (size, size, channels)."""
    image = tf.image.resize(image, (size, size), antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)
