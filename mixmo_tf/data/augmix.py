"""AugMix (Hendrycks et al. 2020) on the host, by Keras' layer, with the paper's operations.

Keras chooses the operations of its three chains while TensorFlow traces the layer, and changes
all images of a batch alike. So the layer is traced `VARIANTS` times, and each batch takes one of
them; strengths and mixing weights are drawn anew for every batch. Strengths are on Keras' scale:
at a factor of 0.1, rotation by up to 36°, shear and shift by up to 10 %, in one direction.

Keras' layer ignores seeds in part: a run with AugMix is not repeatable, and one that was
interrupted does not end bit for bit where another would have.
"""

import keras
import tensorflow as tf

from mixmo_tf.data import stream

VARIANTS = 8  # tracing one takes half a second
FACTOR = 0.1  # shear and shift of the paper's severity 3


def augmix(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Applies AugMix to the images of training batches.

    Args:
        batches: tf.data.Dataset of tuples (images, ...), uint8 images (n, H, W, channels).

    Returns:
        tf.data.Dataset of the same elements; every repeat of an image in a step sees the same
        AugMix of it.

    Raises:
        ValueError: if the elements are no such tuples.
    """
    if not isinstance(batches, tf.data.Dataset):
        raise ValueError(f"batches must be a tf.data.Dataset, got a {type(batches).__name__}")
    spec = batches.element_spec
    if not isinstance(spec, tuple) or spec[0].dtype != tf.uint8 or spec[0].shape.rank != 4:
        raise ValueError(
            f"batches must be tuples that begin with uint8 images (n, H, W, channels), got {spec}"
        )
    layer = keras.layers.AugMix(value_range=(0, 255), factor=FACTOR, all_ops=False)

    def variant(images):
        return tf.cast(tf.round(layer(images, training=True)), tf.uint8)

    def augment(images, *rest):
        choice = tf.random.uniform([], maxval=VARIANTS, dtype=tf.int32)
        mixed = tf.switch_case(choice, [lambda: variant(images)] * VARIANTS)
        return tf.ensure_shape(mixed, images.shape), *rest

    batches = batches.map(augment, num_parallel_calls=2).prefetch(2)
    return batches.with_options(stream.without_autotune())
