"""AugMix (Hendrycks et al. 2020) on the host, by Keras' layer.

Keras chooses the operations of a chain once, while TensorFlow traces the layer, and applies
one choice to a whole batch. So the layer is traced `VARIANTS` times, and each batch takes one
of them. Strengths and mixing weights are drawn anew for every batch.

Keras' layer ignores seeds in part: a run with AugMix is not repeatable, and one that was
interrupted does not end bit for bit where another would have.
"""

import keras
import tensorflow as tf

from mixmo_tf.data import stream

VARIANTS = 8  # tracing one takes half a second


def augmix(batches):
    """Applies AugMix to the images of training batches.

    Args:
        batches: tf.data.Dataset of tuples (images, ...), uint8 images (n, H, W, channels).

    Returns:
        tf.data.Dataset of the same elements; every repeat of an image in a step sees the same
        AugMix of it.
    """
    layer = keras.layers.AugMix(value_range=(0, 255))

    def variant(images):
        return tf.cast(tf.round(layer(images, training=True)), tf.uint8)

    def augment(images, *rest):
        choice = tf.random.uniform([], maxval=VARIANTS, dtype=tf.int32)
        mixed = tf.switch_case(choice, [lambda: variant(images)] * VARIANTS)
        return tf.ensure_shape(mixed, images.shape), *rest

    batches = batches.map(augment, num_parallel_calls=2).prefetch(2)
    return batches.with_options(stream.without_autotune())
