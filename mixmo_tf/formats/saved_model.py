"""SavedModel: for TensorFlow alone, and for TensorFlow Serving."""

import os
from typing import Any

import keras
import tensorflow as tf

from mixmo_tf.formats import signature
from mixmo_tf.paths import expanded


def check(model: keras.Model, **_: Any) -> None:
    """Every model can be a SavedModel."""


def write(model: keras.Model, folder: str | os.PathLike, takes_none: bool = True) -> None:
    """Writes a model's SavedModel; its signature `serving_default` is that of `Served`.

    Args:
        model: Predictor.
        folder: pathlib.Path; created if need be.
        takes_none: bool, see `signature.Served`.
    """
    served = signature.Served(model, takes_none)
    module = tf.Module()  # keras.export.ExportArchive would write every weight twice
    module.weights = [v.value for network in model.networks for v in network.variables]
    function = tf.function(served.call, input_signature=served.input_signature)
    tf.saved_model.save(module, folder, signatures=function)


def is_saved_model(path: str | os.PathLike) -> bool:
    """Whether `path` is a SavedModel's folder; one with a model.keras is a run's."""
    path = expanded(path)
    return (path / "saved_model.pb").is_file() and not (path / "model.keras").is_file()
