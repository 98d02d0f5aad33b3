"""An ONNX or LiteRT file, evaluated like the model that it is from."""

import os

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.deployment import loading
from mixmo_tf.evaluation.predictions import ENSEMBLES
from mixmo_tf.formats import signature
from mixmo_tf.models.absent import Absent
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.paths import expanded


class FilePredictor(Predictor):
    """Predicts with the file's own arithmetic, and is evaluated as any model is.

    Args:
        file: path of an `.onnx` or a `.tflite` file that `export` wrote.
        ensemble: "logits" or "probabilities", what is averaged over the members; None for what
            the file says itself, or model.json beside it.

    Raises:
        ImportError, FileNotFoundError, ValueError: see `loading.load`; or if the file has several
            members, and nothing says what their ensemble averages.
    """

    save = export = Absent("is written already: copy its file")
    networks = ()

    def __init__(self, file: str | os.PathLike, ensemble: str | None = None):
        file = expanded(file)
        loaded = loading.load(file)
        black = np.zeros((1, *loaded.image_shape), np.uint8)
        try:
            _, num_members, num_classes = loaded.member_logits(black).shape
        except Exception as error:  # each library raises its own
            raise ValueError(f"{file} is not from MixMo.export: it has no member_logits") from error
        beside, _ = signature.description_beside(file)
        said = (each.get("ensemble") for each in (loaded.description, beside))
        ensemble = ensemble or next((each for each in said if each in ENSEMBLES), None)
        if ensemble is None and num_members > 1:
            raise ValueError(
                f"{file} has no {signature.DESCRIPTION} beside it: say what is averaged, --ensemble"
            )
        names = loaded.class_names
        super().__init__(num_members, num_classes, loaded.image_shape, ensemble or "logits", names)
        self._loaded = loaded

    def logits_of_some(self, images: arguments.Array) -> tf.Tensor:
        """Pixels 0–255 (n, H, W, channels), rounded to uint8 -> float32 (n, M, C)."""
        if images.dtype != tf.uint8:
            images = tf.saturate_cast(tf.round(images), tf.uint8)
        logits = tf.numpy_function(self._loaded.member_logits, [images], tf.float32)
        return tf.ensure_shape(logits, (None, self.num_members, self.num_classes))
