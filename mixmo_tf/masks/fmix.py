"""Low-frequency shapes (FMix, Harris et al. 2020)."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mixmo_tf import seeds
from mixmo_tf.seeds import Seed

DECAY = 3  # the spectrum falls like f^-3


def draw(ratio: tf.Tensor, size: Sequence[int], seed: Seed) -> tf.Tensor:
    """The ⌈κ·h·w⌉ or ⌊κ·h·w⌋ largest pixels of noise with a falling spectrum."""
    noise_seed, coin_seed = seeds.split(seed, 2)
    batch_size = tf.shape(ratio)[0]
    noise = low_frequency_noise(batch_size, size, noise_seed)
    wanted = ratio * (size[0] * size[1])
    coin = seeds.uniform([batch_size], coin_seed) < 0.5
    count = tf.cast(tf.where(coin, tf.math.ceil(wanted), tf.floor(wanted)), tf.int32)
    mask = largest(tf.reshape(noise, [batch_size, size[0] * size[1]]), count)
    return tf.reshape(mask, [batch_size, *size])


def low_frequency_noise(batch_size: int | tf.Tensor, size: Sequence[int], seed: Seed) -> tf.Tensor:
    """Real part of the inverse FFT of a complex Gaussian spectrum times 1/max(f, 1/W)^3.

    f is the distance from frequency 0 in cycles per pixel, W the longer side.

    Args:
        batch_size: int or int32 scalar.
        size: (h, w).
        seed: int32 (2,).

    Returns:
        float32 (B, h, w).
    """
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1]))  # (h, w)
    scale = np.maximum(frequency, 1 / max(size)) ** -DECAY
    parts = seeds.normal([2, batch_size, *size], seed) * scale.astype(np.float32)
    return tf.math.real(tf.signal.ifft2d(tf.complex(parts[0], parts[1])))


def largest(values: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """1 at the `count` (B,) largest of the values (B, N), 0 elsewhere; the first of equals."""
    last = tf.maximum(count - 1, 0)[:, None]
    descending = tf.sort(values, axis=1, direction="DESCENDING")
    threshold = tf.gather(descending, last, axis=1, batch_dims=1)  # (B, 1)
    above = tf.cast(values > threshold, tf.int32)
    equal = tf.cast(values == threshold, tf.int32)
    wanted = count[:, None] - tf.reduce_sum(above, axis=1, keepdims=True)
    first_equal = equal * tf.cast(tf.cumsum(equal, axis=1) <= wanted, tf.int32)
    return tf.cast(above + first_equal, tf.float32)
