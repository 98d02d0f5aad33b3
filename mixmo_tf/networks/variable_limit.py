"""Variables are created within a bound of memory, which is known before they take any."""

import contextlib
import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from mixmo_tf.networks.size import BYTES


class TooLargeError(ValueError):
    """More variables were to be created than allowed; the message says their bytes up to there."""

    def __init__(self, size: int):
        super().__init__(f"variables take {size:,} bytes or more")


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
    """Lets Keras create variables inside, of at most `size` bytes together.

    Raises:
        TooLargeError: instead of creating the variable that would be beyond it.
    """
    taken = 0

    def create(next_creator, **arguments):
        nonlocal taken
        value = arguments["initial_value"]
        if callable(value):
            value = _traced(value)
        taken += BYTES * math.prod(np.shape(value))
        if taken > size:
            raise TooLargeError(taken)
        return next_creator(**arguments)

    try:
        with tf.variable_creator_scope(create):
            yield
    except Exception:
        if taken > size:  # Keras may have put another exception in its place
            raise TooLargeError(taken) from None
        raise


def _traced(initialise):
    """An initial value in a graph, where it has a shape and takes no memory."""
    try:
        with tf.Graph().as_default():
            return initialise()
    except RuntimeError:  # it reads a variable, a generator's of seeds; slower, so only there
        return tf.function(initialise, autograph=False).get_concrete_function().outputs[0]
