"""SavedModel: for TensorFlow alone, and for TensorFlow Serving."""

import functools
import os
from typing import Any

import keras
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data import crops
from mixmo_tf.formats import signature
from mixmo_tf.paths import expanded

INPUTS = ("pixels", "jpeg")


def files(input: str, central_fraction: float, **_: Any) -> dict[str, dict]:
    """The SavedModel in an export's folder, the folder itself, and the options of `write`."""
    return {"": {"input": input, "central_fraction": central_fraction}}


def check(model: keras.Model, input: str, central_fraction: float, **_: Any) -> None:
    """Raises ValueError unless `write` can do its work."""
    arguments.one_of("input", input, INPUTS)
    crops.check_fraction(central_fraction)
    channels = model.image_shape[2]
    if input == "jpeg" and channels != 3:
        raise ValueError(f"input=jpeg is for models of 3 channels, and this takes {channels}")


def write(
    model: keras.Model,
    folder: str | os.PathLike,
    takes_none: bool = True,
    input: str = "pixels",
    central_fraction: float = 1.0,
) -> None:
    """Writes a model's SavedModel; its signature `serving_default` is that of `Served`.

    Args:
        model: Predictor.
        folder: pathlib.Path; created if need be.
        takes_none: bool, see `signature.Served`.
        input: "pixels", or "jpeg" for a second signature, `signature.OF_BYTES`, which takes the
            bytes of JPEG and PNG files.
        central_fraction: float in (0, 1], see `signature.Served.answer_bytes`.
    """
    served = signature.Served(model, takes_none)
    module = tf.Module()  # keras.export.ExportArchive would write every weight twice
    module.weights = [v.value for network in model.networks for v in network.variables]
    signatures = {
        "serving_default": tf.function(served.call, input_signature=served.input_signature)
    }
    if input == "jpeg":
        answer = functools.partial(served.answer_bytes, central_fraction=central_fraction)
        signatures[signature.OF_BYTES] = tf.function(answer, input_signature=[signature.BYTES])
    tf.saved_model.save(module, folder, signatures=signatures)


def is_saved_model(path: str | os.PathLike) -> bool:
    """Whether `path` is a SavedModel's folder; one with a model.keras is a run's."""
    path = expanded(path)
    return (path / "saved_model.pb").is_file() and not (path / "model.keras").is_file()
