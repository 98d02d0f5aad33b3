"""A block of one's own is tried once, on a small map: what is wrong with it is said in a line."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments

_RATIO, _SIZE, _SEED = (0.0, 0.3, 1.0), (8, 16), (0, 1)


def check(name: str, function: Callable) -> None:
    """Raises ValueError unless the function draws patches as `masks.register` says.

    It is called twice, and must give the same both times, so draw from the seed alone; and once as
    in training, in a graph where B is not known.
    """
    if not callable(function):
        raise ValueError(f"function must be a mixing block, got {arguments.brief(function)}")

    def draw(ratio, seed):
        return function(ratio, _SIZE, seed)

    signature = tf.TensorSpec([None], tf.float32), tf.TensorSpec([2], tf.int32)
    in_graph = tf.function(draw, autograph=False, input_signature=signature)
    first, second = (_patch(f"mixing block {name!r}", draw) for _ in range(2))
    if not np.array_equal(first, second):
        raise ValueError(
            f"mixing block {name!r} must draw from its seed alone, got two patches from one seed"
        )
    _patch(f"mixing block {name!r} in a graph, where B is not known,", in_graph)


def _patch(what, draw):
    """The patch that is drawn; a ValueError says what is wrong with it."""
    try:
        patch = tf.convert_to_tensor(draw(tf.constant(_RATIO), tf.constant(_SEED)))
    except Exception as error:  # whatever a user's function raises
        raise ValueError(f"{what} failed: {arguments.first_line(error)}") from error
    shape = (len(_RATIO), *_SIZE)
    said = arguments.brief(patch)
    if patch.shape == shape and patch.dtype == tf.float32:
        low, high = float(tf.reduce_min(patch)), float(tf.reduce_max(patch))
        if 0 <= low and high <= 1:
            return patch.numpy()
        said = f"values from {low:g} to {high:g}"
    raise ValueError(f"{what} must give a patch float32 {shape} in [0, 1], got {said}")
