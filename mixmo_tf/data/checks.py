"""Checks of the images and labels that a model is given: one clear line on what is wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments

_MOST_OF_FLOAT32 = float(np.finfo(np.float32).max)
_MOST_OF_NORMALISED = 10  # standard deviations that a pixel may be off the mean
_OVERSHOOT = 10 * 255  # of floats beyond 0 and 255: more than added noise, or kernels that scale


def check_data(name: str, data: Any) -> None:
    """Raises ValueError where `data` cannot be images, or batches of them."""
    is_batches = hasattr(data, "__iter__") or hasattr(data, "__getitem__")
    no_batches = isinstance(data, (str, bytes, list, tuple, dict, set)) or not is_batches
    if no_batches or not getattr(data, "ndim", 1):
        came = "None" if data is None else f"a {type(data).__name__}"
        raise ValueError(
            f"{name} must be an array of images (n, height, width, channels), or a "
            f"tf.data.Dataset or another iterable of batches, got {came}"
        )


def check_images(images: arguments.Array, image_shape: Sequence[int]) -> tf.Tensor:
    """Returns `images` as a tensor (n, H, W, channels).

    Raises:
        ValueError: unless each image has the shape `image_shape`, and, where their values can be
            seen, they are what `check_pixels` asks for.
    """
    if isinstance(images, np.ndarray) or tf.executing_eagerly():
        check_pixels(images, image_shape)
    elif not tf.is_tensor(images):
        raise ValueError(f"images must be an array of numbers, got {arguments.brief(images)}")
    images = tf.convert_to_tensor(images)
    check_shape(images, image_shape)
    return images


def check_pixels(images: arguments.Array, image_shape: Sequence[int]) -> arguments.Array:
    """Checks whole images before anything runs; returns them.

    Args:
        images: array or tensor (n, H, W, channels).
        image_shape: (H, W, channels).

    Raises:
        ValueError: unless they are numbers of that shape, finite in float32; or if they are floats
            that look divided by 255 (not all equal, within [0, 1]) or normalised (some below 0,
            none above 10), or beyond 0 to 255 (floats by more than ten times that range).
    """
    array = _as_array("images", images)
    check_shape(array, image_shape)
    dtype = tf.as_dtype(array.dtype)
    if dtype == tf.uint8 or not array.size:
        return images
    low, high = array.min(), array.max()  # NaN if one is, and without a copy of the array
    if not _is_finite(np.array([low, high])):
        first = next(i for i, image in enumerate(array) if not _is_finite(image))
        raise ValueError(f"images must be finite, pixels 0 to 255, but image {first} is not")
    if not dtype.is_integer and _are_scaled(low, high):
        raise ValueError(f"{said_of_scaled('images')}; got {low} to {high}")
    beyond = 0 if dtype.is_integer else _OVERSHOOT
    if low < -beyond or high > 255 + beyond:
        raise ValueError(f"images must be pixels 0 to 255, got {low} to {high}")
    return images


def check_shape(images: arguments.Array, image_shape: Sequence[int]) -> None:
    """Checks what can be told without the values.

    Args:
        images: array or tensor, of a graph too.
        image_shape: (H, W, channels).

    Raises:
        ValueError: unless they are an array (n, H, W, channels), if their rank is known.
    """
    shape = getattr(images, "shape", None)
    if shape is None:
        raise ValueError(f"images must be an array of numbers, got {arguments.brief(images)}")
    if getattr(shape, "rank", 4) is None:  # of a graph, where it is not known
        return
    if len(shape) != 4 or tuple(shape[1:]) != tuple(image_shape):
        is_one = tuple(shape) == tuple(image_shape)
        raise ValueError(
            f"images must have the shape (n, {', '.join(map(str, image_shape))}) "
            f"of the network, got {tuple(shape)}{', a single image' if is_one else ''}"
        )


def said_of_scaled(images: str) -> str:
    """What is wrong with pixels that look scaled, and the way out."""
    return (
        f"{images} must be pixels 0 to 255, not divided by 255 or normalised (if they really are "
        "that dark, pass them as uint8)"
    )


def look_scaled(images: arguments.Array) -> tf.Tensor:
    """Whether a batch of tensors would fail `check_pixels` for its range, float32 ().

    Integers cost nothing.
    """
    if not tf.is_tensor(images) or not images.dtype.is_floating:
        return tf.constant(0.0)
    low, high = tf.reduce_min(images), tf.reduce_max(images)
    return tf.cast(_are_scaled(low, high), tf.float32)


def _are_scaled(low, high):
    return (low < high) & ((high <= 1) | ((low < 0) & (high <= _MOST_OF_NORMALISED)))


def check_mean_and_std(
    mean: Sequence[float], std: Sequence[float], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns both as tuples.

    Raises:
        ValueError: unless each is a finite number per channel, and `std` > 0.
    """
    for name, value in (("mean", mean), ("std", std)):
        try:
            arguments.values(name, value, channels)
        except ValueError as error:
            came = str(error).split(", got ")[-1]
            raise ValueError(
                f"mean and std must have {channels} values, finite numbers, and std be > 0, "
                f"got {came} as {name}"
            ) from None
    if not min(std) > 0:
        raise ValueError(
            f"mean and std must have {channels} values and std be > 0, got {mean} and {std}"
        )
    return tuple(mean), tuple(std)


def check_weights(weights: arguments.Array, num_examples: int) -> np.ndarray:
    """Checks weights of examples; returns them as float32 (n,).

    Raises:
        ValueError: unless they are numbers (n,) or (n, 1), finite in float32.
    """
    weights = _as_array("sample_weight", weights)
    if weights.size != num_examples or weights.shape[:1] != (num_examples,):
        raise ValueError(
            f"sample_weight must have the shape ({num_examples},), got {weights.shape}"
        )
    if not _is_finite(weights):
        raise ValueError("sample_weight must be finite in float32, got others")
    return weights.reshape(-1).astype(np.float32)


def check_class_weight(class_weight: dict[int, float], num_classes: int) -> None:
    """Checks weights of classes.

    Raises:
        ValueError: unless they are a dict of finite numbers by labels 0 … C - 1.
    """
    if not isinstance(class_weight, dict):
        raise ValueError(
            f"class_weight must be a dict of weights by label, got a {type(class_weight).__name__}"
        )
    for label, weight in class_weight.items():
        arguments.count("labels of class_weight", label, 0, num_classes - 1)
        arguments.finite(f"class_weight of label {label}", weight)
        if abs(weight) > _MOST_OF_FLOAT32:
            raise ValueError(
                f"class_weight of label {label} must be finite in float32, got {weight}"
            )


def check_labels(labels: arguments.Array, num_classes: int) -> tf.Tensor:
    """Returns `labels`, integers (n,) or (n, 1), as an int32 tensor (n,).

    Raises:
        ValueError: if they are no integers, or of another shape.
        tf.errors.InvalidArgumentError: when the graph runs, unless they are 0 … C - 1.
    """
    if not tf.is_tensor(labels):
        labels = _as_array("labels", labels)
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank is None:  # after datasets of both shapes, TensorFlow traces for any
        shape = tf.shape(labels)
        is_flat = (tf.size(shape) <= 2) & (tf.reduce_prod(shape[1:]) == 1)
        said = ["labels must be integers of shape (n,), got", shape]
        with tf.control_dependencies([tf.debugging.Assert(is_flat, said)]):
            labels = tf.reshape(labels, [-1])
    _check_kind(labels.dtype.as_numpy_dtype, labels.shape.as_list())
    labels = tf.cast(tf.reshape(labels, [-1]), tf.int64)  # int32 would make 0 of 2^32
    in_range = tf.reduce_all((labels >= 0) & (labels < num_classes))
    tf.debugging.Assert(in_range, [f"labels must be in 0 to {num_classes - 1}, got", labels])
    return tf.cast(labels, tf.int32)


def check_number(images: tf.Tensor, with_msda: bool) -> None:
    """Checks that a step has images (n, …) to train on, and where MSDA mixes them two or more.

    Raises:
        ValueError: if n is known to be too small.
        tf.errors.InvalidArgumentError: when the graph runs, if n turns out to be.
    """
    too_few = {0: "a batch to train on must have images, got none"}
    if with_msda:
        too_few[1] = "msda needs two images or more in a step of a replica, got 1"
    for number, message in too_few.items():
        if images.shape[0] == number:
            raise ValueError(message)
        if images.shape[0] is None:
            tf.debugging.Assert(tf.shape(images)[0] != number, [message])


def check_label_array(labels: arguments.Array, num_classes: int) -> np.ndarray:
    """Checks a whole array of labels before anything runs; returns it as (n,).

    Raises:
        ValueError: unless they are integers 0 … C - 1 of shape (n,) or (n, 1).
    """
    labels = _as_array("labels", labels)
    _check_kind(labels.dtype, labels.shape)
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if wrong.size:
        raise ValueError(f"labels must be in 0 to {num_classes - 1}, got {wrong.flat[0]}")
    return labels.reshape(-1)


def _as_array(name, values):
    """A NumPy array of numbers.

    Raises:
        ValueError: if `values` are something else.
    """
    try:
        array = np.asarray(values)
        tf.as_dtype(array.dtype)  # which knows bfloat16, and text
        is_number = array.dtype.kind not in "OSUMmc"
    except (ValueError, TypeError):
        is_number = False
    if not is_number:
        raise ValueError(f"{name} must be an array of numbers, got {arguments.brief(values)}")
    return array


def _is_finite(array):
    """Whether all are finite in float32, in which a model computes."""
    return bool(np.all(np.abs(array.astype(np.float64)) <= _MOST_OF_FLOAT32))


def _check_kind(dtype, shape):
    is_flat = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if not np.issubdtype(dtype, np.integer) or not is_flat:
        is_one_hot = len(shape) == 2 and shape[1] != 1
        way_out = ": labels.argmax(-1) gives them" if is_one_hot else ""
        raise ValueError(
            f"labels must be integers of shape (n,){way_out}, "
            f"got {np.dtype(dtype).name} {tuple(shape)}"
        )
