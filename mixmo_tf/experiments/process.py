"""What a run needs and a whole process has: random state, and deterministic kernels."""

import contextlib
import random
import threading

import keras
import numpy as np
from keras.src.backend.common import global_state
from tensorflow.python.eager import context
from tensorflow.python.framework import config

_OF_KERAS = "global_random_seed", "global_seed_generator"  # in its global state
_OF_TENSORFLOW = "_seed", "_rng"  # in its eager context
_of_one_thread = threading.RLock()


@contextlib.contextmanager
def seeded(seed):
    """Under it, all random state is what `keras.utils.set_random_seed` makes it.

    Afterwards that of Python, NumPy, TensorFlow and Keras is what it was before. Of TensorFlow
    and Keras no public function tells it. Other threads draw from the same state: of several
    that call this, one waits for the other.
    """
    with _of_one_thread:
        of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
        of_keras = {name: global_state.get_global_attribute(name) for name in _OF_KERAS}
        tensorflow = context.context()
        of_tensorflow = {name: getattr(tensorflow, name, None) for name in _OF_TENSORFLOW}
        keras.utils.set_random_seed(seed)
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)  # noqa: NPY002
            for name, value in of_keras.items():
                global_state.set_global_attribute(name, value)
            for name, value in of_tensorflow.items():
                setattr(tensorflow, name, value)


def check_deterministic():
    """Raises ValueError unless TensorFlow's deterministic kernels are on.

    They stay on for as long as the process lives, so no call switches them on by the way.
    """
    if not config.is_op_determinism_enabled():
        raise ValueError(
            "deterministic is for a whole process, in which nothing switches it off again: call "
            "tf.config.experimental.enable_op_determinism() at its start"
        )
