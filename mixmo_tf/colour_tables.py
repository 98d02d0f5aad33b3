"""Changes of pixels' values as PIL makes them, for a batch of images with an operation each.

What maps each value to another one, whatever the pixels around it, is a table of 256 entries. All
is in whole numbers, int32, so that any compiler gives the same.
"""

import tensorflow as tf

WHOLE = 3000  # the weight with which a blend is the image itself
_WEIGHT = 99  # by which each strength adds to it or takes from it: at 30, 0.99 of the whole
_VALUES = 256


def blend_weights(strengths: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """WHOLE·(1 ± 0.99·strength/30), int32, of strengths 0 … 30 and signs 1 or -1."""
    return WHOLE + _WEIGHT * strengths * signs


def blend(other: tf.Tensor, pixels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """other + w·(pixels − other) for w = weights / WHOLE, rounded down, within 0 … 255; int32."""
    blended = (WHOLE * other + weights * (pixels - other)) // WHOLE
    return tf.clip_by_value(blended, 0, _VALUES - 1)


def grey(pixels: tf.Tensor) -> tf.Tensor:
    """The brightness of each pixel: (..., channels) -> (..., 1), both int32.

    Of three channels it is that of ITU-R 601-2, of others their mean.
    """
    channels = pixels.shape[-1]
    if channels != 3:
        return tf.reduce_sum(pixels, axis=-1, keepdims=True) // channels
    red, green, blue = tf.split(pixels, 3, axis=-1)
    return (19595 * red + 38470 * green + 7471 * blue + 0x8000) // 0x10000


def smooth(pixels: tf.Tensor) -> tf.Tensor:
    """Means over 3×3 pixels, the middle one of weight 5; (B, M, H, W, channels), int32.

    Pixels at the border stay as they are.
    """
    if min(pixels.shape[2:4]) < 3:
        return pixels
    inner = pixels[:, :, 1:-1, 1:-1]
    three = pixels[:, :, :-2] + pixels[:, :, 1:-1] + pixels[:, :, 2:]
    nine = three[:, :, :, :-2] + three[:, :, :, 1:-1] + three[:, :, :, 2:]
    means = (2 * (nine + 4 * inner) + 13) // 26  # (nine + 4·inner) / 13, rounded
    return tf.pad(means - inner, [[0, 0], [0, 0], [1, 1], [1, 1], [0, 0]]) + pixels


def mean(brightness: tf.Tensor) -> tf.Tensor:
    """An image's mean brightness, rounded: (B, M, H, W, 1) -> (B, M, 1, 1), both int32."""
    height, width = brightness.shape[2:4]
    sums = tf.reduce_sum(brightness, axis=[2, 3])[..., None]
    return (2 * sums + height * width) // (2 * height * width)


def histograms(pixels: tf.Tensor) -> tf.Tensor:
    """How often each value is there: (B, M, H, W, channels) -> (B, M, channels, 256), int32."""
    shape = tf.shape(pixels)
    count = shape[0] * shape[1] * shape[4]
    flat = tf.reshape(_first_entries(pixels) + pixels, [-1])
    counted = tf.math.unsorted_segment_sum(tf.ones_like(flat), flat, count * _VALUES)
    return tf.reshape(counted, [shape[0], shape[1], shape[4], _VALUES])


def linear(other: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The table of `blend` with one value: (B, M, 1, 1) twice -> (B, M, 1, 256)."""
    return blend(other, tf.range(_VALUES), weights)


def posterize(strengths: tf.Tensor) -> tf.Tensor:
    """Keeps the upper 8 … 2 bits of each value: (B, M, 1, 1) -> (B, M, 1, 256)."""
    lower = (2 * strengths + 5) // 10  # strength / 5, rounded: 0 … 6 bits
    return tf.range(_VALUES) // 2**lower * 2**lower


def solarize(strengths: tf.Tensor) -> tf.Tensor:
    """Inverts the values from 255·(1 − strength/30) on: (B, M, 1, 1) -> (B, M, 1, 256)."""
    values = tf.range(_VALUES)
    is_above = 2 * values >= 17 * (30 - strengths)
    return tf.where(is_above, 255 - values, values)


def autocontrast(counts: tf.Tensor) -> tf.Tensor:
    """Spreads each channel's values over 0 … 255: histograms -> tables, (B, M, channels, 256)."""
    is_there = tf.cast(counts > 0, tf.int32)
    low = tf.argmax(is_there, axis=-1, output_type=tf.int32)[..., None]
    high = 255 - tf.argmax(is_there[..., ::-1], axis=-1, output_type=tf.int32)[..., None]
    values = tf.range(_VALUES)
    spread = 255 * (values - low) // tf.maximum(high - low, 1)
    return tf.where(high > low, tf.clip_by_value(spread, 0, 255), values)


def equalize(counts: tf.Tensor) -> tf.Tensor:
    """Makes each channel's values about equally frequent: histograms -> tables.

    A value becomes the share of pixels that are darker, in steps of 1/255 of all but those of the
    brightest value there.
    """
    is_there = tf.cast(counts > 0, tf.int32)
    high = 255 - tf.argmax(is_there[..., ::-1], axis=-1, output_type=tf.int32)[..., None]
    of_brightest = tf.gather(counts, high, axis=-1, batch_dims=3)
    step = (tf.reduce_sum(counts, axis=-1, keepdims=True) - of_brightest) // 255
    darker = tf.cumsum(counts, axis=-1, exclusive=True)
    equal = (darker + step // 2) // tf.maximum(step, 1)
    return tf.where(step > 0, tf.minimum(equal, 255), tf.range(_VALUES))


def look_up(tables: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """Each pixel's entry: (B, M, channels, 256), (B, M, H, W, channels) -> the latter, int32."""
    return tf.gather(tf.reshape(tables, [-1]), _first_entries(pixels) + pixels)


def _first_entries(pixels):
    """Where the tables of (B, M, channels) begin, one after the other: (B, M, 1, 1, channels)."""
    shape = tf.shape(pixels)
    numbers = tf.range(shape[0] * shape[1] * shape[4]) * _VALUES
    return tf.reshape(numbers, [shape[0], shape[1], 1, 1, shape[4]])
