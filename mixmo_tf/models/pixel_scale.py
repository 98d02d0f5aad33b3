"""Which mean and standard deviation pixels are normalised by, if none are given."""

from collections.abc import Sequence

import keras

from mixmo_tf.data.checks import check_mean_and_std
from mixmo_tf.networks import parts

_AS_THEY_ARE = 0.0, 1 / 255  # (pixel/255 - mean) / std is the pixel, bit for bit


def of(
    network: keras.Model, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std per channel, of pixels scaled to [0, 1].

    Where None is given they are 0.5 each; or 0 and 1/255, which leave pixels 0–255 as they are,
    for a network that rescales or normalises them itself.

    Raises:
        ValueError: unless what is given is a finite number per channel, and `std` > 0.
    """
    channels = parts.image_shape(network)[2]
    defaults = _AS_THEY_ARE if parts.rescales(network) else (0.5, 0.5)
    given = zip((mean, std), defaults, strict=True)
    mean, std = ((default,) * channels if value is None else value for value, default in given)
    return check_mean_and_std(mean, std, channels)
