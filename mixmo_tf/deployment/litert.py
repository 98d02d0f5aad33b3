"""LiteRT files (once TensorFlow Lite), for phones and small devices."""

import pathlib
import tempfile
import warnings

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.deployment import saved_model
from mixmo_tf.deployment.model_file import ModelFile, check_precision, new_file

TYPES = ("float32", "float16", "int8")


def check(model, types, calibration_images):
    """Raises ValueError unless `write` can do its work, for each of `types`."""
    for each in types or [None]:
        arguments.one_of("a LiteRT file's type", each, TYPES)
    if "int8" in types and calibration_images is None:
        raise ValueError("a LiteRT file in int8 needs calibration images")
    check_precision("a LiteRT file", model)


def write(model, file, type="float32", calibration_images=None):
    """Writes a model as a LiteRT file, which takes and gives what `Served` does, for n >= 1.

    Args:
        model: Ensemble whose networks compute in float32.
        file: path of the new file.
        type: of the weights: "float32"; "float16", half the size; or "int8", a quarter, with
            integer arithmetic, probabilities in steps of 1/256, and some accuracy lost.
        calibration_images: uint8 (N, H, W, channels), for "int8" alone: a hundred real images
            or more, whose activations set the integers' scales.

    Raises:
        FileExistsError, FileNotFoundError: if there is a file, or no folder for it.
        ValueError: if an argument is wrong, a network computes in 16 bits, or LiteRT lacks one
            of its operations.
    """
    check(model, [type], calibration_images)
    path = new_file(file)
    with tempfile.TemporaryDirectory() as folder:
        saved_model.write(model, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if type != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if type == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if type == "int8":
            images = np.asarray(calibration_images)
            converter.representative_dataset = lambda: ([image[None]] for image in images)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        try:
            content = converter.convert()
        except Exception as error:  # whatever an operation that LiteRT lacks makes it raise
            reason = str(error).split("\n")[0]
            raise ValueError(f"LiteRT cannot express the model: {reason}") from error
    path.write_bytes(content)


class LiteRTModel(ModelFile):
    """A LiteRT file that `write` wrote."""

    kind = "LiteRT file"

    def _open(self, path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that this class will move to ai_edge_litert
            content = pathlib.Path(path).read_bytes()  # TensorFlow checks bytes, not files
            interpreter = tf.lite.Interpreter(model_content=content)
        names = interpreter.get_signature_list()["serving_default"]
        self._answer = interpreter.get_signature_runner("serving_default")
        return names["inputs"], names["outputs"]

    def _run(self, images):
        return self._answer(images=images)["probabilities"]
