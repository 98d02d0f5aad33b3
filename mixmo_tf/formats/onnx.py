"""ONNX files, for ONNX Runtime; written by Keras and tf2onnx."""

import os
import warnings
from typing import Any

import keras

from mixmo_tf import extras
from mixmo_tf.formats.signature import Served, check_precision
from mixmo_tf.outputs import at_once, new_file

REQUESTS = "any n; images of another shape or dtype are an error of ONNX Runtime"


def check(model: keras.Model, **_: Any) -> None:
    """Raises ImportError or ValueError unless `write` can do its work."""
    extras.check("onnx", ["tf2onnx", "onnxruntime"])
    check_precision("an ONNX file", model)


def write(model: keras.Model, file: str | os.PathLike) -> None:
    """Writes a model as an ONNX file, which takes and gives what `Served` does.

    Args:
        model: Predictor whose networks compute in float32.
        file: path of the new file.

    Raises:
        FileExistsError, FileNotFoundError: if there is a file, or no folder for it.
        OSError: if it cannot be written; nothing is left.
        ImportError: unless the extra `onnx` is installed.
        ValueError: if a network computes in 16 bits.
    """
    check(model)
    served = Served(model, takes_none=False)
    with at_once(new_file(file)) as path, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras' patch of tf2onnx for NumPy 2
        served.export(
            str(path), format="onnx", input_signature=served.input_signature, verbose=False
        )
