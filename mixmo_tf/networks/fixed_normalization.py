"""Keras' Normalization with mean and variance in its config, where no file loses them.

Keras keeps what `adapt` has found in variables, and computes with copies of them, which do not
follow when the variables are set; a SavedModel would hold these copies as objects of their own.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable(package="mixmo_tf")
class FixedNormalization(keras.layers.Layer):
    """(x - mean) / √variance, or with `invert` the way back, with Keras' numbers.

    Mean and variance are numbers in lists that broadcast to the inputs.
    """

    def __init__(self, mean: list, variance: list, invert: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.mean, self.variance, self.invert = mean, variance, invert

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Float tensor (B, …) to the same shape."""
        mean = tf.constant(self.mean, inputs.dtype)
        variance = tf.constant(self.variance, inputs.dtype)
        deviation = tf.maximum(tf.sqrt(variance), tf.cast(keras.config.epsilon(), inputs.dtype))
        return mean + inputs * deviation if self.invert else (inputs - mean) / deviation

    def compute_output_shape(self, inputs_shape: tuple) -> tuple:
        return inputs_shape

    def get_config(self) -> dict:
        own = {"mean": self.mean, "variance": self.variance, "invert": self.invert}
        return {**super().get_config(), **own}


def fixed(layer: keras.layers.Normalization, name: str) -> FixedNormalization:
    """What computes as a layer of Keras does that was called."""
    mean, variance = (np.array(tf.cast(v, tf.float32)) for v in (layer.mean, layer.variance))
    return FixedNormalization(
        mean.tolist(), variance.tolist(), layer.invert, name=name, dtype=layer.dtype_policy
    )
