"""Variables are created within a bound of memory, which is known before they take any."""

import contextlib
import math

import numpy as np
import tensorflow as tf

_OF_FLOAT = 4  # bytes of a float32, which all weights are


class TooLargeError(ValueError):
    """More variables were to be created than allowed; `size` is their bytes up to there."""

    def __init__(self, size):
        super().__init__(f"variables take {size:,} bytes or more")
        self.size = size


@contextlib.contextmanager
def at_most(size):
    """Lets Keras create variables inside, up to a size.

    Args:
        size: int, bytes of all of them together.

    Raises:
        TooLargeError: instead of creating the variable that would be beyond it.
    """
    taken = 0

    def create(next_creator, **arguments):
        nonlocal taken
        value = arguments["initial_value"]
        if callable(value):
            value = _traced(value)
        taken += _OF_FLOAT * math.prod(np.shape(value))
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
