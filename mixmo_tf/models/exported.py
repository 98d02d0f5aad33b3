"""A SavedModel, opened again."""

import os

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments, class_labels
from mixmo_tf.formats import signature, trusted_operations
from mixmo_tf.formats.saved_model import is_saved_model
from mixmo_tf.models import file_outputs
from mixmo_tf.models.absent import Absent
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.paths import expanded, without_pattern

_MOST_MEMBERS = 1000  # each has metrics of its own


class ExportedModel(Predictor):
    """A SavedModel that `export` wrote: predicts, and is evaluated, like the model it is from.

    Args:
        path: its folder; ~ is the home folder.
        trust: bool, load it whatever operations it holds: a SavedModel is a program.

    Attributes:
        description: dict, what its model.json says.
        output_names: str, the keys of `outputs`.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read, `export` has not written it, or it holds more than
            arithmetic and variables: it is refused, nothing of it is executed.
    """

    save = export = Absent("is saved already: copy its folder")
    networks = ()

    def __init__(self, path: str | os.PathLike, trust: bool = False):
        path = expanded(path)
        if not is_saved_model(path):
            raise FileNotFoundError(f"there is no SavedModel at {path}")
        if not (path / signature.DESCRIPTION).is_file():
            raise ValueError(f"{path} has no {signature.DESCRIPTION}: it is not from MixMo.export")
        if not trust:
            trusted_operations.check(path)
        try:
            description, class_names = signature.read_description(path)
            with without_pattern(path) as plain:
                module = tf.saved_model.load(plain)
            function = module.signatures["serving_default"]
            images = function.structured_input_signature[1]["images"].shape
            _, num_members, num_classes = function.structured_outputs["member_logits"].shape
            if images.as_list() != [None, *description["image_shape"]]:
                raise ValueError(f"{signature.DESCRIPTION} is of another model")
            if num_members > _MOST_MEMBERS:
                raise ValueError(f"it has {num_members:,} members")
            ensemble, class_names = description["ensemble"], class_labels.mended(class_names)
            super().__init__(num_members, num_classes, images[1:], ensemble, class_names)
        except Exception as error:  # whatever a damaged file makes TensorFlow raise
            reason = arguments.first_line(error)
            raise ValueError(f"{path} is not a readable SavedModel: {reason}") from error
        self.description = description
        self.output_names = tuple(function.structured_outputs)
        self._module, self._function = module, function

    def outputs(
        self, images: arguments.Array, batch_size: int | None = None
    ) -> dict[str, np.ndarray]:
        """All that the file gives, by name: `probabilities`, and what else `description` lists.

        The arguments, the shapes and the errors are those of `file_outputs.of`.
        """

        def answer(batch):
            answers = self._function(images=tf.constant(batch))
            return {name: each.numpy() for name, each in answers.items()}

        return file_outputs.of(answer, images, self.image_shape, batch_size)

    def logits_of_some(self, images: tf.Tensor) -> tf.Tensor:
        """Pixels 0–255 (n, H, W, channels), rounded to uint8 -> float32 (n, M, C).

        The logits of an image that is not finite are NaN, which uint8 cannot be.
        """
        if images.dtype == tf.uint8:
            return self._function(images=images)["member_logits"]
        pixels = tf.saturate_cast(tf.round(images), tf.uint8)
        logits = self._function(images=pixels)["member_logits"]
        if not images.dtype.is_floating:
            return logits
        finite = tf.reduce_all(tf.math.is_finite(images), axis=[1, 2, 3])  # (n,)
        return tf.where(finite[:, None, None], logits, float("nan"))
