"""The chance p(t) that a batch uses the binary mixing block."""

import math

import keras
import tensorflow as tf

from mixmo_tf import arguments


@keras.saving.register_keras_serializable(package="mixmo_tf")
class AnnealedProbability(keras.optimizers.schedules.LearningRateSchedule):
    """p while t < 11/12, then a straight line down to 0 at t = 1.

    t is the fraction of training that is done, step / total_steps. It is a Keras schedule,
    like those of learning rates; any other Keras schedule can stand in its place.

    Args:
        probability: float p in [0, 1].
        total_steps: int, the steps of the whole training.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, probability: float, total_steps: int):
        arguments.within("mixing_probability", probability, 0, 1)
        arguments.count("total_steps", total_steps, 1, math.inf)
        self.probability = float(probability)
        self.total_steps = int(total_steps)

    def __call__(self, step: arguments.Integer) -> tf.Tensor:
        remaining = 1 - tf.cast(step, tf.float32) / self.total_steps
        return self.probability * tf.clip_by_value(12 * remaining, 0.0, 1.0)

    def get_config(self) -> dict:
        return {"probability": self.probability, "total_steps": self.total_steps}
