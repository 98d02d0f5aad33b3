"""SavedModel: for TensorFlow alone, and for TensorFlow Serving."""

import functools
import os
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data import crops
from mixmo_tf.evaluation.decision import Decision
from mixmo_tf.formats import signature
from mixmo_tf.paths import expanded

INPUTS = ("pixels", "jpeg")
REQUESTS = "any n; images of another shape or dtype are an error, and the process goes on"


def files(
    input: str, central_fraction: float, decision: Decision | None, **_: Any
) -> dict[str, dict]:
    """The SavedModel in an export's folder, the folder itself, and the options of `write`."""
    return {"": {"input": input, "central_fraction": central_fraction, "decision": decision}}


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
    input: str = "pixels",
    central_fraction: float = 1.0,
    decision: Decision | None = None,
) -> None:
    """Writes a model's SavedModel; its signature `serving_default` is that of `Served`.

    Args:
        folder: created if need be.
        input: "pixels", or "jpeg" for a second signature, `signature.OF_BYTES`, which takes the
            bytes of JPEG and PNG files.
        central_fraction: float in (0, 1], see `signature.Served.answer_bytes`.
        decision: for the outputs of `decision_outputs`.
    """
    served, others = signature.Served(model, decision=decision), {}
    if input == "jpeg":
        answer = functools.partial(served.answer_bytes, central_fraction=central_fraction)
        others[signature.OF_BYTES] = tf.function(
            answer, autograph=False, input_signature=[signature.BYTES]
        )
    write_served(served, folder, **others)


def write_served(served: signature.Served, folder: str | os.PathLike, **others: Callable) -> None:
    """The same of a `signature.Served`, with `others`, tf.functions, as further signatures."""
    module = tf.Module()  # keras.export.ExportArchive would write every weight twice
    module.weights = [v.value for network in served.networks for v in network.variables]
    function = tf.function(served.call, autograph=False, input_signature=served.input_signature)
    tf.saved_model.save(module, folder, signatures={"serving_default": function, **others})


def is_saved_model(path: str | os.PathLike) -> bool:
    """Whether `path` is a SavedModel's folder; one with a model.keras is a run's."""
    path = expanded(path)
    return (path / "saved_model.pb").is_file() and not (path / "model.keras").is_file()
