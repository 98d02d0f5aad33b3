"""What networks get in place of no images.

No convolution may get an empty batch: oneDNN's, on processors with AVX-512, give it the channels of
their input.
"""

import tensorflow as tf


def filled(images: tf.Tensor) -> tf.Tensor:
    """Images (n, H, W, channels), n >= 0, as they are; a black image in place of none."""
    if images.shape[0]:
        return images
    missing = tf.maximum(1 - tf.shape(images)[0], 0)
    return tf.concat([images, tf.zeros([missing, *images.shape[1:]], images.dtype)], axis=0)
