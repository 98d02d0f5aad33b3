"""Dropout and noise that draw from a seed which the network is given, not from one of their own.

Keras' layers count in a state that no file keeps, so a run that goes on would draw anew. Here the
step's seed is an input of the network, as the masks are: drawn outside, applied inside. At
inference each of these layers hands on what it gets.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from mixmo_tf import seeds
from mixmo_tf.networks import parts
from mixmo_tf.seeds import Seed

_NETWORK = 0x6E6574  # folded into a step's seed, which draws all else by itself
_SPATIAL = {
    keras.layers.SpatialDropout1D: 1,
    keras.layers.SpatialDropout2D: 2,
    keras.layers.SpatialDropout3D: 3,
}


class RandomLayer(keras.layers.Layer):
    """A layer that is random in training alone; a subclass writes `changed`.

    The layers of a network draw different numbers by their `number`.
    """

    def __init__(self, number: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.number = number
        self.supports_masking = True

    def call(self, inputs: tf.Tensor, seed: Seed, training: bool | None = None) -> tf.Tensor:
        """Any float tensor (B, …) and the network's seed, int32 (2,), to the same shape."""
        return self.changed(inputs, seeds.fold_in(seed, self.number)) if training else inputs

    def compute_output_shape(self, inputs_shape: Sequence, seed_shape: Sequence) -> Sequence:
        return inputs_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "number": self.number}


@keras.saving.register_keras_serializable(package="mixmo_tf")
class SeededDropout(RandomLayer):
    """`keras.layers.Dropout`: what is kept is divided by its chance 1 - rate.

    Args:
        rate: float in [0, 1], the chance that a number is dropped.
        noise_shape: sizes, each None for the input's own or 1 where one draw holds for all of an
            axis; None for a draw each.
    """

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = rate
        self.noise_shape = noise_shape and tuple(noise_shape)

    def changed(self, inputs: tf.Tensor, seed: Seed) -> tf.Tensor:
        kept = _kept(inputs, self.rate, self.noise_shape, seed)
        scale = 0.0 if self.rate == 1 else 1 / (1 - self.rate)
        return inputs * tf.cast(kept, inputs.dtype) * tf.cast(scale, inputs.dtype)

    def get_config(self) -> dict:
        return {**super().get_config(), "rate": self.rate, "noise_shape": self.noise_shape}


@keras.saving.register_keras_serializable(package="mixmo_tf")
class SeededAlphaDropout(SeededDropout):
    """`keras.layers.AlphaDropout` (Klambauer et al. 2017): keeps mean and variance after a SELU."""

    def changed(self, inputs: tf.Tensor, seed: Seed) -> tf.Tensor:
        kept = tf.cast(_kept(inputs, self.rate, self.noise_shape, seed), inputs.dtype)
        low = -1.6732632423543772 * 1.0507009873554805  # a SELU's limit at -∞
        scale = ((1 - self.rate) * (1 + self.rate * low**2)) ** -0.5
        return scale * (inputs * kept + low * (1 - kept)) - scale * low * self.rate


@keras.saving.register_keras_serializable(package="mixmo_tf")
class SeededNoise(RandomLayer):
    """`keras.layers.GaussianNoise`, or, where it `multiplies`, `GaussianDropout`.

    `stddev` is that of what is added to the inputs, or to the factor 1.
    """

    def __init__(self, stddev: float, multiplies: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.stddev, self.multiplies = stddev, multiplies

    def changed(self, inputs: tf.Tensor, seed: Seed) -> tf.Tensor:
        noise = tf.cast(self.stddev * seeds.normal(tf.shape(inputs), seed), inputs.dtype)
        return inputs * (1 + noise) if self.multiplies else inputs + noise

    def get_config(self) -> dict:
        return {**super().get_config(), "stddev": self.stddev, "multiplies": self.multiplies}


def seed_of(network: keras.Model, seed: Seed | None = None) -> tf.Tensor | None:
    """What a network's layers draw from in a step with this seed; both int32 (2,).

    None for a network without random layers; zeros where there is no step.
    """
    if not parts.takes_seed(network):
        return None
    return tf.zeros([2], tf.int32) if seed is None else seeds.fold_in(seed, _NETWORK)


def is_random(operation: keras.Operation) -> bool:
    """Whether it is a layer of this file."""
    return isinstance(operation, RandomLayer)


def seeded(layer: keras.Operation) -> Callable | None:
    """What makes the layer of this file that does what a layer of Keras, once called, does.

    Returns:
        function (name=…, number=…) -> layer; None for a layer that is not random, or that has no
        such counterpart.
    """
    make = None
    if type(layer) in (keras.layers.Dropout, keras.layers.AlphaDropout):
        kind = SeededDropout if type(layer) is keras.layers.Dropout else SeededAlphaDropout
        make = kind, {"rate": layer.rate, "noise_shape": layer.noise_shape}
    elif type(layer) in _SPATIAL:
        rank = _SPATIAL[type(layer)]
        make = SeededDropout, {"rate": layer.rate, "noise_shape": (None, *[1] * rank, None)}
    elif type(layer) is keras.layers.GaussianNoise:
        make = SeededNoise, {"stddev": layer.stddev}
    elif type(layer) is keras.layers.GaussianDropout and layer.rate < 1:
        stddev = math.sqrt(layer.rate / (1 - layer.rate))
        make = SeededNoise, {"stddev": stddev, "multiplies": True}
    elif type(layer).__name__ == "StochasticDepth" and hasattr(layer, "drop_path_rate"):  # ConvNeXt
        rank = len(layer.input.shape)
        noise_shape = (None, *[1] * (rank - 1))
        make = SeededDropout, {"rate": layer.drop_path_rate, "noise_shape": noise_shape}
    if make is None:
        return None
    kind, arguments = make
    return lambda **others: kind(**arguments, dtype=layer.dtype_policy, **others)


def _kept(inputs, rate, noise_shape, seed):
    """Which numbers are kept, bool, in a shape that fits the inputs'."""
    shape = tf.shape(inputs)
    if noise_shape is not None:
        shape = tf.stack([shape[i] if n is None else n for i, n in enumerate(noise_shape)])
    return seeds.uniform(shape, seed) >= rate
