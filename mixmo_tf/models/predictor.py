"""What every model here does: predicts as one, is evaluated beside its members, is exported.

Keras reduces a batch over the replicas to build a model from it, which fails where their shares
differ; and logs over an axis that they do not have, with several workers (keras issue 20585).
So `evaluate` and `predict` run functions of our own; what they take from inside Keras is below
"Keras' internals", and tests/test_trainer.py says what a new Keras changed.
"""

import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mixmo_tf import arguments, class_labels
from mixmo_tf.data import arrays, checks, stream
from mixmo_tf.distribution import replicas
from mixmo_tf.evaluation.diversity import PairwiseDiversity
from mixmo_tf.evaluation.predictions import ENSEMBLES
from mixmo_tf.formats import write_one
from mixmo_tf.models import array_predictions, empty_batch, executions, fit_arguments, metric_checks
from mixmo_tf.models.absent import Absent


class Predictor(keras.Model):
    """A model whose members' predictions are averaged.

    A subclass writes `logits_of_some`: pixels (n, H, W, channels), n >= 1 -> float32
    (n, M, C); and `networks`, the list of keras.Model that it computes them with.

    Args:
        num_members, num_classes: M and C.
        image_shape: (H, W, channels).
        ensemble: "logits" or "probabilities", what is averaged over the members.
        class_names: C strings by label, or None.
    """

    fit = train_on_batch = Absent("is not trained: train the MixMo that it is from")
    training_only: tuple[str, ...] = ()  # names of the metrics that `evaluate` leaves out
    observe: Callable | None = None  # is told what `evaluate` finds in each batch
    compiled_with = "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution"

    def __init__(
        self,
        num_members: int,
        num_classes: int,
        image_shape: Sequence[int],
        ensemble: str,
        class_names: Sequence[str] | None,
        **kwargs: Any,
    ):
        kwargs.setdefault("dtype", "float32")  # pixels and metrics; the networks have their own
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
        several = num_members > 1
        self.ratio_error = PairwiseDiversity("ratio_error", num_members) if several else None
        self.expects_data = False  # until the first batch is there
        self.stop_request = None  # of the `fit` or `evaluate` that runs
        self.has_warned = False
        self.built = True

    # The ensemble --------------------------------------------------------------------------

    def member_logits(self, images: arguments.Array) -> tf.Tensor:
        """Every member's logits on the same images.

        Args:
            images: (n, H, W, channels), pixels 0–255; n may be 0.

        Returns:
            float32 (n, M, C).
        """
        images = checks.check_images(images, self.image_shape)
        return self.logits_of_some(empty_batch.filled(images))[: tf.shape(images)[0]]

    def call(self, images: arguments.Array) -> tf.Tensor:
        """The ensemble's probabilities: pixels (n, H, W, channels) -> float32 (n, C)."""
        return tf.nn.softmax(self.ensemble_logits(self.member_logits(images)))

    def ensemble_logits(self, member_logits: arguments.Array) -> tf.Tensor:
        """The ensemble's logits (n, C), from its members' (n, M, C).

        The mean of the members' logits, or the logarithm of the mean of their probabilities.
        """
        if self.ensemble == "logits":
            return tf.reduce_mean(member_logits, axis=1)
        log_probabilities = tf.nn.log_softmax(member_logits)
        return tf.reduce_logsumexp(log_probabilities, axis=1) - math.log(self.num_members)

    def test_step(self, data: tuple) -> dict:
        """Evaluates the ensemble and each member on ordinary images."""
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        images = checks.check_images(images, self.image_shape)
        labels = checks.check_labels(labels, self.num_classes)
        member_logits = self.member_logits(images)  # (n, M, C)
        ensemble = self.ensemble_logits(member_logits)  # (n, C)
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, ensemble)  # (n,)
        self.loss_tracker.update_state(nll, sample_weight)
        predicted = tf.argmax(member_logits, axis=-1, output_type=labels.dtype)  # (n, M)
        for i, accuracy in enumerate(self.member_accuracies):
            accuracy.update_state(tf.equal(predicted[:, i], labels), sample_weight)
        if self.ratio_error:
            self.ratio_error.update_state(labels, predicted, sample_weight)
        if self.observe:
            self.observe(labels, ensemble, member_logits, sample_weight)
        results = self.compute_metrics(images, labels, tf.nn.softmax(ensemble), sample_weight)
        shown = {name: results[name] for name in results if name not in self.training_only}
        return {**shown, executions.LOOK_SCALED: checks.look_scaled(images)}

    def export(
        self, filepath: str | os.PathLike, format: str = "tf_saved_model", verbose: Any = None
    ) -> None:
        """Writes a SavedModel's folder, an ONNX or a LiteRT file that take uint8 images.

        Args:
            filepath: where; an existing folder is refused.
            format: one of `formats.FORMATS`, in Keras' words: "tf_saved_model", "onnx", "litert"
                (or "tflite"). `deployment.export` writes several at once, and LiteRT in more types.

        Raises:
            FileExistsError, OSError, ImportError, ValueError: see `deployment.export`.
        """
        del verbose  # Keras' argument; there is nothing to tell
        write_one(self, filepath, format)

    # What Keras calls ----------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        *,
        metrics: list | None = None,
        weighted_metrics: list | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
    ) -> None:
        """Configures `evaluate`, whose `loss` is the mean negative log-likelihood.

        Args:
            optimizer: not used; it stands where Keras has it.
            loss: None; it stands where Keras has it, so that what is put there can be answered.
            metrics: Keras metrics or names; they evaluate the ensemble, by integer labels (n,) and
                probabilities (n, C).
            weighted_metrics: the same, weighted by the sample weights.
            run_eagerly: for debugging.
            steps_per_execution: steps that run before callbacks and progress hear of them.

        Raises:
            ValueError: if an argument is out of range, a loss is given, or a metric does not
                take what the model gives it.
        """
        fit_arguments.check_loss(loss, type(self).__name__)
        fit_arguments.check_metrics(metrics=metrics, weighted_metrics=weighted_metrics)
        arguments.one_of("run_eagerly", run_eagerly, (True, False))
        steps_per_execution = arguments.count("steps_per_execution", steps_per_execution, 1)
        with self.distribute_strategy.scope():
            super().compile(
                optimizer=optimizer,
                metrics=metrics,
                weighted_metrics=weighted_metrics,
                run_eagerly=run_eagerly,
                steps_per_execution=steps_per_execution,
                jit_compile=False,
            )
            self._check_metrics()

    def get_compile_config(self) -> dict | None:
        config = super().get_compile_config()
        return config and {name: config[name] for name in self.compiled_with if name in config}

    def compile_from_config(self, config: dict) -> None:
        config = keras.saving.deserialize_keras_object(config)
        config = {name: config[name] for name in self.compiled_with if name in config}
        try:
            self.compile(**config)
        except metric_checks.UnusableMetricError as error:  # of a file from before the check
            warnings.warn(f"{error}; the model is loaded without its compiled metrics")
            self.compile(**{**config, "metrics": None, "weighted_metrics": None})

    def evaluate(
        self,
        x: Any = None,
        y: arguments.Array | None = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: arguments.Array | None = None,
        *,
        stop_request: Any = None,
        **options: Any,
    ) -> float | list | dict:
        """`keras.Model.evaluate`; labels that come as an array are checked before anything runs.

        All workers are to hear of `stop_request`, a training.signals.StopRequest, if there is one.
        """
        steps, callbacks = options.get("steps"), options.get("callbacks")
        batch_size, options["steps"] = fit_arguments.check_call(x, batch_size, steps, callbacks)
        if arrays.are_arrays([x]):
            x = self.evaluation_batches(x, y, sample_weight, batch_size=batch_size or 32)
            y = batch_size = sample_weight = None
        if isinstance(x, tf.data.Dataset):
            x = replicas.split(self.distribute_strategy, x)
        outer = self.expects_data, self.stop_request
        self.expects_data, self.stop_request = True, stop_request or self.stop_request
        try:
            return super().evaluate(x, y, batch_size, verbose, sample_weight, **options)
        finally:
            self.expects_data, self.stop_request = outer

    def evaluation_batches(
        self,
        images: arguments.Array,
        labels: arguments.Array,
        sample_weight: arguments.Array | None = None,
        *,
        batch_size: int,
    ) -> replicas.Batches:
        """Our stream of arrays: the one of Keras leaves tf.data's tuning on."""
        content = arrays.weighted(images, labels, self.image_shape, self.num_classes, sample_weight)
        return replicas.distribute(
            self.distribute_strategy,
            lambda shares: stream.evaluation_batches(content, batch_size, shares=shares),
        )

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: list | None = None,
    ) -> np.ndarray:
        """`keras.Model.predict`, by any number of threads; of no images the empty answer (0, C)."""
        batch_size, steps = fit_arguments.check_call(x, batch_size, steps, callbacks)
        if arrays.are_arrays([x]):
            checks.check_pixels(x, self.image_shape)
            size, batch_size = batch_size or 32, None
            if not len(x) or array_predictions.can_be(self, steps):
                return array_predictions.of(self, x, size, verbose, callbacks)
            x = stream.evaluation_batches((x,), size)
        if isinstance(x, tf.data.Dataset):
            x = replicas.for_every_worker(self.distribute_strategy, x)
        try:
            return super().predict(x, batch_size, verbose, steps, callbacks)
        except UnboundLocalError as error:  # Keras', of the answers of a batch that never came
            if "batch_outputs" not in str(error):
                raise
            return np.zeros((0, self.num_classes), np.float32)

    def make_test_function(self, force: bool = False) -> None:
        if self.test_function is None or force:
            steps = tf.constant(self.steps_per_execution, tf.int64)
            self.test_function = executions.of_steps(
                self, self.test_step, lambda: steps, "to evaluate"
            )

    def make_predict_function(self, force: bool = False) -> None:
        if self.predict_function is None or force:
            self.predict_function = executions.of_predictions(self)

    # Keras' internals ----------------------------------------------------------------------

    @property
    def loss_tracker(self) -> keras.metrics.Mean:
        """The keras.metrics.Mean that is shown as `loss`."""
        return self._loss_tracker

    def _check_metrics(self):
        """Builds the compiled metrics, and tries them out."""
        try:
            metric_checks.build(self._compile_metrics, self.num_classes)
        except ValueError:
            self._compile_metrics = None  # Keras would keep them for the next `compile`
            raise

    def _get_metrics_result_or_logs(self, logs):
        """The metrics that a step reports, summed up over all replicas.

        Keras would show those of replica 0 where a step does not report every metric.
        """
        results = self.get_metrics_result()
        return {name: results[name] for name in logs}

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing to build: the network is functional, and `compile` built the rest."""
