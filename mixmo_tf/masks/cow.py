"""Blobs of blurred noise (CowMix, French, Oliver and Salimans 2020)."""

import math
from collections.abc import Sequence

import tensorflow as tf

from mixmo_tf import seeds
from mixmo_tf.seeds import Seed

SIGMA = (4.0, 16.0)  # pixels, the range of the blur
PROPORTION = (0.2, 0.8)  # the range of the share q that a mask covers, about
RADIUS = math.ceil(3 * SIGMA[1])  # pixels at which the blur's kernel ends


def draw(ratio: tf.Tensor, size: Sequence[int], seed: Seed) -> tf.Tensor:
    """Blobs that cover the share q, uniform in [0.2, 0.8]; κ says only how many rows."""
    batch_size = tf.shape(ratio)[0]
    noise_seed, sigma_seed, proportion_seed = seeds.split(seed, 3)
    noise = seeds.normal([batch_size, *size], noise_seed)
    low, high = map(math.log, SIGMA)
    sigma = tf.exp(low + (high - low) * seeds.uniform([batch_size], sigma_seed))
    low, high = PROPORTION
    proportion = low + (high - low) * seeds.uniform([batch_size], proportion_seed)
    return cow_masks(noise, sigma, proportion)


def cow_masks(noise: tf.Tensor, sigma: tf.Tensor, proportion: tf.Tensor) -> tf.Tensor:
    """1 where the blurred noise is at most mean + √2·erfinv(2q−1)·std, else 0.

    Args:
        noise: float (B, h, w).
        sigma: float (B,), pixels.
        proportion: float (B,), q.

    Returns:
        float32 (B, h, w).
    """
    blurred = blur(noise, sigma)
    mean = tf.reduce_mean(blurred, axis=[1, 2], keepdims=True)
    std = tf.math.reduce_std(blurred, axis=[1, 2], keepdims=True)
    quantile = math.sqrt(2) * tf.math.erfinv(2 * proportion - 1)[:, None, None]
    return tf.cast(blurred <= mean + quantile * std, tf.float32)


def blur(images: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Gaussian blur with a σ per row, zeros around the images: (B, h, w), (B,) -> (B, h, w).

    The kernel is separable: a product with a banded matrix on either side.
    """
    height, width = images.shape[1:]
    return _blur_matrix(height, sigma) @ images @ _blur_matrix(width, sigma)


def _blur_matrix(length, sigma):
    """Weights of pixel j in the blurred pixel i: (B, length, length), symmetric."""
    distance = tf.range(-RADIUS, RADIUS + 1, dtype=tf.float32)
    kernel = tf.exp(-0.5 * (distance / sigma[:, None]) ** 2)  # (B, 2·RADIUS + 1)
    kernel /= tf.reduce_sum(kernel, axis=1, keepdims=True)
    offsets = tf.range(length)[:, None] - tf.range(length)
    weights = tf.gather(kernel, tf.clip_by_value(offsets, -RADIUS, RADIUS) + RADIUS, axis=1)
    return tf.where(tf.abs(offsets) <= RADIUS, weights, 0.0)
