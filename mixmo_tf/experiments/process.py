"""What a run asks of the whole process: deterministic kernels, and who watches its output."""

import sys

import keras
from tensorflow.python.framework import config

from mixmo_tf.training import progress


def check_deterministic() -> None:
    """Raises ValueError unless TensorFlow's deterministic kernels are on.

    They stay on for as long as the process lives, so no call switches them on by the way.
    """
    if not config.is_op_determinism_enabled():
        raise ValueError(
            "deterministic is for a whole process, in which nothing switches it off again: call "
            "tf.config.experimental.enable_op_determinism() at its start"
        )


def is_watched() -> bool:
    """Whether a person may be watching stdout: on a terminal, or in a notebook.

    `keras.utils.disable_interactive_logging()` says that nobody is.
    """
    return progress.is_watched(sys.stdout) and keras.utils.is_interactive_logging_enabled()
