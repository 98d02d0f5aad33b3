"""Unmixing: each head sees the core's map through its own member's mask.

    A_i = 𝓜_i + m·(1 − 𝓜_i)
    u_i = mean of F ⊙ A_i over all positions
    logits_i = d_i(u_i)

F is the core's map, m the fade: 0 is full unmixing, 1 is MixMo (Sun et al., CVPRW ECV 2022, arXiv
2205.10139; their masks are binary and of two members, the rest is ours). It is a matter of
training alone: at inference A = 1.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mixmo_tf import arguments


def pool(feature_map: tf.Tensor, masks: tf.Tensor, fade: float | tf.Tensor) -> list[tf.Tensor]:
    """What each member's head gets: u_i, the mean of the map that its member's mask lets through.

    The mean is over all positions, not over the mask's area. In a linear batch the mask is κ_i
    everywhere, and so u_i is the plain mean times κ_i + m·(1 − κ_i). It is left so, and not made
    the plain mean: a binary mask of the same ratio weights the map by as much on average, so the
    heads see the same scale in both kinds of batch, and both reach the plain mean with m = 1.

    Args:
        feature_map: float (B, h', w', features), F.
        masks: float (B, h, w, M), 𝓜.
        fade: float scalar in [0, 1], m. With 1 the means are those of F, bit for bit.

    Returns:
        M times (B, features), of the map's dtype.
    """
    masks = resize(masks, feature_map.shape[1:3])  # (B, h', w', M)
    seen = masks + fade * (1 - masks)
    seen = tf.cast(seen, feature_map.dtype)
    members = [feature_map * seen[..., i : i + 1] for i in range(seen.shape[3])]
    return [keras.ops.mean(of_member, axis=(1, 2)) for of_member in members]


def resize(masks: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Masks of another size, by nearest neighbour: row i' is row ⌊i'·h/h'⌋, columns likewise.

    This is PyTorch's rule; those of `tf.image.resize` take other rows.

    Args:
        masks: (B, h, w, M).
        size: (h', w').

    Returns:
        (B, h', w', M).
    """
    rows, columns = (
        np.arange(new) * old // new for old, new in zip(masks.shape[1:3], size, strict=True)
    )
    return tf.gather(tf.gather(masks, rows, axis=1), columns, axis=2)


@keras.saving.register_keras_serializable(package="mixmo_tf")
class UnmixingFade(keras.optimizers.schedules.LearningRateSchedule):
    """The fade m of unmixing: from 0 in a straight line to 1 at a third of the training, then 1.

    So the heads need their members' masks ever less, and do without them at inference. It is a
    Keras schedule, like those of learning rates; any other Keras schedule can stand in its place.

    Args:
        total_steps: int, the steps of the whole training.

    Raises:
        ValueError: if `total_steps` is out of range.
    """

    def __init__(self, total_steps: int):
        self.total_steps = arguments.count("total_steps", total_steps, 1, math.inf)

    def __call__(self, step: arguments.Integer) -> tf.Tensor:
        done = tf.cast(step, tf.float32) / self.total_steps
        return tf.clip_by_value(3 * done, 0.0, 1.0)

    def get_config(self) -> dict:
        return {"total_steps": self.total_steps}


def fade_at(unmixing: str | Callable | None, step: arguments.Integer) -> tf.Tensor | None:
    """The fade m at a step, float32 (); None without unmixing.

    Args:
        unmixing: "full", a schedule of the step, or None.
        step: int scalar.
    """
    if unmixing is None:
        return None
    return tf.constant(0.0) if unmixing == "full" else tf.cast(unmixing(step), tf.float32)


def check(unmixing: Any, num_members: int) -> None:
    """Raises ValueError unless a model of so many members can have such an unmixing."""
    if unmixing is None:
        return
    is_schedule = callable(unmixing) and not isinstance(unmixing, type)
    if not is_schedule and not (isinstance(unmixing, str) and unmixing == "full"):
        raise ValueError(
            'unmixing must be "full", None or a schedule of the step, such as '
            f"mixmo_tf.UnmixingFade(total_steps), got {arguments.brief(unmixing)}"
        )
    if num_members == 1:
        raise ValueError(
            f"unmixing must be None for a network with M = 1, got {arguments.brief(unmixing)}"
        )
