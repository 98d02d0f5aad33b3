"""The decision that travels with a model: further outputs of every exported file.

They are what `evaluation.decision` computes, in operations that TensorFlow, ONNX and LiteRT have.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mixmo_tf.evaluation.decision import ROUNDING, Decision

_ABOVE_ALL = 2.0  # no probability, and no sum of them; files that need no infinity


class Output(NamedTuple):
    """One of them, for model.json."""

    dtype: str
    is_per_class: bool  # (n, C), or else (n,)
    meaning: str


OUTPUTS = {
    "calibrated_probabilities": Output(
        "float32", True, "of the ensemble, at the temperature that was fitted"),
    "confidence": Output("float32", False, "the largest calibrated probability"),
    "accept": Output("bool", False, "whether the confidence reaches its threshold"),
    "prediction_set": Output("bool", True, "the classes in the image's set"),
    "disagreement": Output(
        "float32", False, "share of the pairs of members that predict different classes"),
}  # fmt: skip


def of_model(num_members: int) -> dict[str, Output]:
    """Those that a model with so many members gives: of one member there are no pairs."""
    return {
        name: each for name, each in OUTPUTS.items() if name != "disagreement" or num_members > 1
    }


def decide(logits: tf.Tensor, member_logits: tf.Tensor, decision: Decision) -> dict[str, tf.Tensor]:
    """The outputs of logits float32 (n, C) and (n, M, C), by the names in `of_model`."""
    confidence_threshold, set_threshold = (
        np.float32(min(threshold, _ABOVE_ALL)) for threshold in decision[1:]
    )
    p = tf.nn.softmax(logits / np.float32(decision.temperature))  # (n, C)
    confidence = tf.reduce_max(p, axis=1)  # (n,)
    falling = tf.math.top_k(p, p.shape[1]).values
    larger = tf.cumsum(falling, axis=1, exclusive=True)  # (n, C), the sum of those before
    is_in = larger <= set_threshold + np.float32(ROUNDING)
    smallest = tf.reduce_min(tf.where(is_in, falling, _ABOVE_ALL), axis=1)  # (n,)
    outputs = {
        "calibrated_probabilities": p,
        "confidence": confidence,
        "accept": confidence >= confidence_threshold - np.float32(ROUNDING),
        "prediction_set": p >= smallest[:, None],
    }
    num_members = member_logits.shape[1]
    if num_members > 1:
        predicted = tf.argmax(member_logits, axis=-1, output_type=tf.int32)  # (n, M)
        differs = tf.not_equal(predicted[:, :, None], predicted[:, None, :])  # each pair twice
        pairs = num_members * (num_members - 1)
        outputs["disagreement"] = tf.reduce_sum(tf.cast(differs, tf.float32), axis=[1, 2]) / pairs
    return outputs
