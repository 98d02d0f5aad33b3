"""The random state of the whole process: set for a while, and afterwards what it was.

Keras draws the seeds of its initial weights from Python's `random` whenever a layer is made, also
where weights are only loaded.
"""

import contextlib
import random
import threading
from collections.abc import Iterator

import keras
import numpy as np
from keras.src.backend.common import global_state
from tensorflow.python.eager import context

_OF_KERAS = "global_random_seed", "global_seed_generator"  # in its global state
_OF_TENSORFLOW = "_seed", "_rng"  # in its eager context
_of_one_thread = threading.RLock()


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """What is drawn under it is not missed: afterwards the random state is what it was before.

    That is the state of Python, NumPy, TensorFlow and Keras; of the last two no public function
    tells it. Other threads draw from the same state: of several that call this, one waits for the
    other.
    """
    with _of_one_thread, _put_back():
        yield


@contextlib.contextmanager
def seeded(seed: int, alone: bool = True) -> Iterator[None]:
    """Under it, the random state is what `keras.utils.set_random_seed` makes it; see `kept`.

    Other threads that call this or `kept` wait for its end, unless it is not `alone`.
    """
    with kept() if alone else _put_back():
        keras.utils.set_random_seed(seed)
        yield


@contextlib.contextmanager
def _put_back():
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    of_keras = {name: global_state.get_global_attribute(name) for name in _OF_KERAS}
    tensorflow = context.context()
    of_tensorflow = {name: getattr(tensorflow, name, None) for name in _OF_TENSORFLOW}
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002
        for name, value in of_keras.items():
            global_state.set_global_attribute(name, value)
        for name, value in of_tensorflow.items():
            setattr(tensorflow, name, value)
