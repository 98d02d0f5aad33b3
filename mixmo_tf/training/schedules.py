"""The learning rate: warmup, then the steps of the paper's recipes, or a cosine."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from mixmo_tf import arguments


@keras.saving.register_keras_serializable(package="mixmo_tf")
class WarmupMultiStep(keras.optimizers.schedules.LearningRateSchedule):
    """lr·i/W at step i (from 1) of a warmup of W steps, and ×0.1 from each milestone on.

    Args:
        learning_rate: float > 0, the rate after the warmup.
        warmup_steps: int W >= 0.
        milestones: epochs, counted from 1; at E = 101, 100 epochs ran at the higher rate.
        steps_per_epoch: int >= 1.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        learning_rate: float,
        warmup_steps: int,
        milestones: Sequence[int],
        steps_per_epoch: int,
    ):
        arguments.above("learning_rate", learning_rate, 0)
        arguments.count("warmup_steps", warmup_steps, 0)
        arguments.count("steps_per_epoch", steps_per_epoch, 1)
        for epoch in arguments.values("milestones", milestones):
            arguments.count("milestones", epoch, 1)
        self.learning_rate = float(learning_rate)
        self.warmup_steps = int(warmup_steps)
        self.milestones = [int(epoch) for epoch in milestones]
        self.steps_per_epoch = int(steps_per_epoch)

    def __call__(self, step: arguments.Integer) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        warmup = _warmup(step, self.warmup_steps)
        epoch = tf.floor(step / self.steps_per_epoch) + 1
        passed = sum((tf.cast(epoch >= e, tf.float32) for e in self.milestones), 0.0)
        return self.learning_rate * warmup * 0.1**passed

    def get_config(self) -> dict:
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "milestones": self.milestones,
            "steps_per_epoch": self.steps_per_epoch,
        }


@keras.saving.register_keras_serializable(package="mixmo_tf")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """lr·i/W at step i (from 1) of a warmup of W steps, then half a cosine from lr to 0.

    After the warmup, step i of T has the rate lr·(1 + cos(π·(i − 1 − W)/(T − W)))/2: the first of
    these steps lr, the last almost 0, and 0 is where step T + 1 would be. It is the schedule of
    Loshchilov and Hutter (SGDR, ICLR 2017) without restarts, by steps rather than by epochs.

    Args:
        learning_rate: float > 0, the rate after the warmup.
        warmup_steps: int W >= 0.
        total_steps: int T >= 1, of the whole training; from then on the rate is 0. With T <= W
            it rises to the end.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, learning_rate: float, warmup_steps: int, total_steps: int):
        arguments.above("learning_rate", learning_rate, 0)
        arguments.count("warmup_steps", warmup_steps, 0)
        arguments.count("total_steps", total_steps, 1)
        self.learning_rate = float(learning_rate)
        self.warmup_steps = int(warmup_steps)
        self.total_steps = int(total_steps)

    def __call__(self, step: arguments.Integer) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        falling_steps = max(self.total_steps - self.warmup_steps, 1)
        share = tf.clip_by_value((step - self.warmup_steps) / falling_steps, 0.0, 1.0)
        cosine = (1 + tf.cos(math.pi * share)) / 2
        return self.learning_rate * _warmup(step, self.warmup_steps) * cosine

    def get_config(self) -> dict:
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
        }


def _warmup(step, warmup_steps):
    """The share of the rate that step `step` (from 0) of a warmup has, float32 ()."""
    return tf.minimum((step + 1) / max(warmup_steps, 1), 1.0)
