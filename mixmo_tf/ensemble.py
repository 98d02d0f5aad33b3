"""What every ensemble here does: predict as one, be judged beside its members, be exported."""

import math

import keras
import tensorflow as tf

from mixmo_tf import arguments, class_labels
from mixmo_tf.data.checks import check_images, check_labels, look_scaled
from mixmo_tf.evaluation.diversity import PairwiseDiversity
from mixmo_tf.evaluation.predictions import ENSEMBLES
from mixmo_tf.training.replica_model import LOOK_SCALED, ReplicaModel


class Ensemble(ReplicaModel):
    """A model whose members' predictions are averaged.

    A subclass writes `logits_of_some`: pixels (n, H, W, channels), n >= 1 -> float32
    (n, M, C); and `networks`, the list of keras.Model that it computes them with.

    Args:
        num_members: int M.
        num_classes: int C.
        image_shape: (H, W, channels).
        ensemble: "logits" or "probabilities", what is averaged over the members.
        class_names: C strings by label, or None.
    """

    training_only = ()  # names of the metrics that `evaluate` leaves out

    def __init__(self, num_members, num_classes, image_shape, ensemble, class_names, **kwargs):
        super().__init__(**kwargs)
        self.num_members = num_members
        self.num_classes = num_classes
        self.image_shape = tuple(image_shape)
        self.ensemble = ensemble
        self.class_names = class_labels.check(class_names, num_classes)
        arguments.one_of("ensemble", ensemble, ENSEMBLES)
        self.member_accuracies = [
            keras.metrics.Mean(name=f"member_{i}_accuracy") for i in range(num_members)
        ]
        self.ratio_error = (
            PairwiseDiversity("ratio_error", num_members) if num_members > 1 else None
        )
        self.built = True

    def member_logits(self, images):
        """Every member's logits on the same images.

        Args:
            images: (n, H, W, channels), pixels 0–255; n may be 0.

        Returns:
            float32 (n, M, C).
        """
        images = check_images(images, self.image_shape)
        return self.logits_of_some(_at_least_one(images))[: tf.shape(images)[0]]

    def call(self, images):
        """The ensemble's probabilities: pixels (n, H, W, channels) -> float32 (n, C)."""
        return tf.nn.softmax(self.ensemble_logits(self.member_logits(images)))

    def ensemble_logits(self, member_logits):
        """The ensemble's logits (n, C), from its members' (n, M, C).

        They are the mean of the members' logits, or the logarithm of the mean of the members'
        probabilities.
        """
        if self.ensemble == "logits":
            return tf.reduce_mean(member_logits, axis=1)
        log_probabilities = tf.nn.log_softmax(member_logits)
        return tf.reduce_logsumexp(log_probabilities, axis=1) - math.log(self.num_members)

    def test_step(self, data):
        """Judges the ensemble and each member on ordinary images."""
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        images = check_images(images, self.image_shape)
        labels = check_labels(labels, self.num_classes)
        member_logits = self.member_logits(images)  # (n, M, C)
        ensemble = self.ensemble_logits(member_logits)  # (n, C)
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, ensemble)  # (n,)
        self.loss_tracker.update_state(nll, sample_weight)
        predicted = tf.argmax(member_logits, axis=-1, output_type=labels.dtype)  # (n, M)
        for i, accuracy in enumerate(self.member_accuracies):
            accuracy.update_state(tf.equal(predicted[:, i], labels), sample_weight)
        if self.ratio_error:
            self.ratio_error.update_state(labels, predicted, sample_weight)
        results = self.compute_metrics(images, labels, tf.nn.softmax(ensemble), sample_weight)
        shown = {name: results[name] for name in results if name not in self.training_only}
        return {**shown, LOOK_SCALED: look_scaled(images)}

    def export(self, filepath, format="tf_saved_model", verbose=None):
        """Writes a SavedModel's folder, an ONNX or a LiteRT file that take uint8 images.

        Args:
            filepath: where; an existing folder is refused.
            format: "tf_saved_model", "onnx" or "litert", Keras' names. `deployment.export`
                writes several at once, and LiteRT in other types than float32.

        Raises:
            FileExistsError, OSError, ImportError, ValueError: see `deployment.export`.
        """
        from mixmo_tf.deployment import export, litert, onnx  # imported here: they know this class

        del verbose  # Keras' argument; there is nothing to tell
        writers = {"tf_saved_model": export, "onnx": onnx.write, "litert": litert.write}
        arguments.path("filepath", filepath)
        arguments.one_of("format", format, writers)
        writers[format](self, filepath)


def _at_least_one(images):
    """Appends a black image to an empty batch.

    No convolution may get one: oneDNN's, on processors with AVX-512, give it the channels of
    their input.
    """
    num_images = images.shape[0]
    if num_images:
        return images
    missing = tf.maximum(1 - tf.shape(images)[0], 0)
    return tf.concat([images, tf.zeros([missing, *images.shape[1:]], images.dtype)], axis=0)
