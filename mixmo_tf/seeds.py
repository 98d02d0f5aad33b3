"""Explicit random seeds: every draw is a pure function of (run seed, step, replica).

A seed is an int32 tensor of shape (2,). Nothing here keeps a state, so a run that is
continued from step t draws what an undisturbed run would have drawn.

Code compiled by XLA draws what other code draws: the algorithm is always Philox, and floats
are made here from its integers, because TensorFlow and XLA make them from different bits.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.arguments import Integer

Seed: TypeAlias = tf.Tensor | np.ndarray | Sequence[int]  # int32 (2,)
Shape: TypeAlias = tf.Tensor | Sequence[int | tf.Tensor]
_PHILOX = 1  # of TensorFlow's algorithms
_KEY = 0x02461E293EC8F720  # with which TensorFlow makes a key of a seed


def step_seed(run_seed: Integer, step: Integer, replica: Integer = 0) -> tf.Tensor:
    """The seed of one training step on one replica.

    Args:
        run_seed: int, or int32 scalar; the seed of the whole run.
        step: integer scalar, the number of steps done before.
        replica: integer scalar, the replica's number.

    Returns:
        int32 (2,).
    """
    run_seed = arguments.tensor("run_seed", run_seed, "int ()", ())
    run_seed = tf.stack([tf.cast(run_seed, tf.int32), 0])
    return fold_in(fold_in(run_seed, step), replica)


def fold_in(seed: Seed, number: Integer) -> tf.Tensor:
    """Derives a new seed from `seed` (2,) and an integer scalar; returns int32 (2,).

    All 64 bits are hashed: `tf.random.fold_in` keeps 32, with which a long run would meet
    the same step seed twice.
    """
    number = arguments.tensor("number", number, "int ()", ())
    seed = _seed(seed) + tf.stack([0, tf.cast(number, tf.int32)])
    return split(seed, 1)[0]


def split(seed: Seed, count: int) -> list[tf.Tensor]:
    """Splits a seed (2,) into a list of `count` independent ones."""
    return tf.unstack(split_rows(seed, count))


def split_rows(seed: Seed, count: int) -> tf.Tensor:
    """Splits a seed (2,) into independent ones, a tensor (count, 2)."""
    return _whole(tf.int32, [count, 2], seed)


def uniform(shape: Shape, seed: Seed) -> tf.Tensor:
    """float32 draws, uniform in the open interval (0, 1): (k + 1/2) / 2^23."""
    bits = tf.bitwise.right_shift(_whole(tf.uint32, shape, seed), tf.constant(9, tf.uint32))
    return (tf.cast(bits, tf.float32) + 0.5) * 2.0**-23


def integers(shape: Shape, seed: Seed, high: Integer) -> tf.Tensor:
    """int32 draws, uniform in 0 … high - 1."""
    key, counter = _key(seed)
    return tf.raw_ops.StatelessRandomUniformIntV2(
        shape=shape, key=key, counter=counter, alg=_PHILOX, minval=0, maxval=tf.cast(high, tf.int32)
    )


def bits(shape: Shape, seed: Seed) -> tf.Tensor:
    """int64 draws, all 64 bits at random."""
    return _whole(tf.int64, shape, seed)


def normal(shape: Shape, seed: Seed) -> tf.Tensor:
    """float32 draws from N(0, 1), by the inverse of its distribution function."""
    return math.sqrt(2) * tf.math.erfinv(2 * uniform(shape, seed) - 1)


def _whole(dtype, shape, seed):
    """Integers of a dtype, all of their bits at random."""
    key, counter = _key(seed)
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=shape, key=key, counter=counter, alg=_PHILOX, dtype=dtype
    )


def _key(seed):
    """Philox's key (1,) and counter (2,), uint64, of a seed.

    They are those of `tf.random.stateless_uniform`, which takes thirty operations to make them.
    These are five, and traced in a third of the time; a training step draws 25 times.
    """
    words = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[2],
        key=tf.constant([_KEY], tf.uint64),
        counter=tf.cast(_seed(seed), tf.uint64),
        alg=_PHILOX,
        dtype=tf.uint64,
    )
    return words[:1], words * tf.constant([0, 1], tf.uint64)


def _seed(seed):
    return arguments.tensor("seed", seed, "int (2,)", (2,))
