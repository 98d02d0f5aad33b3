"""The mixing layer: mixed = M · Σ_i 𝓜_i ⊙ c_i(x_i)."""

from collections.abc import Sequence

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="mixmo_tf")
class MixingLayer(keras.layers.Layer):
    """Mixes the encoded inputs of M members into one feature map.

    With the masks 1/M of inference this is the plain sum of the encoded inputs. The factor M
    keeps the scale of that sum whatever the masks are.

    Call arguments:
        features: list of M tensors (B, h, w, filters), the encoded inputs.
        masks: (B, h, w, M), summing to 1 over the members.

    Returns:
        (B, h, w, filters).
    """

    def call(self, features: Sequence[tf.Tensor], masks: tf.Tensor) -> tf.Tensor:
        mixed = sum(features[i] * masks[..., i : i + 1] for i in range(len(features)))
        return len(features) * mixed

    def compute_output_shape(self, features_shape: Sequence[tuple], masks_shape: tuple) -> tuple:
        return features_shape[0]
