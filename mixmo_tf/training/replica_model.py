"""keras.Model whose gradients XLA compiles inside each replica. All of Keras' internals.

Keras wraps XLA around `strategy.run`, which fails with two replicas on TensorFlow 2.21, and
reduces a batch over the replicas to build a model from it, which fails where their shares
differ. Its batch-norm statistics stay apart on each replica. What is here mends all three;
no other file of the package touches Keras' internals.
"""

import warnings

import keras
import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data import stream
from mixmo_tf.data.checks import check_label_array


class ReplicaModel(keras.Model):
    """A step counter, and `compile` and `fit` that suit replicas.

    A subclass has `image_shape`, `num_classes`, `seed` and `training_trackers`, the metrics
    that `train_step` reports. It writes `train_step` for one replica, and
    `loss_and_gradients`, which `train_step` calls by the name `compiled_loss_and_gradients`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.step = self.add_weight(
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
            name="step",
        )

    @property
    def loss_tracker(self):
        """The keras.metrics.Mean that is shown as `loss`."""
        return self._loss_tracker

    def compile(
        self,
        optimizer="sgd",
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
    ):
        """Configures training, from step 0 on. The loss is the model's own.

        Args:
            optimizer: a Keras optimizer or its name.
            metrics: list of Keras metrics or names; they judge the ensemble in `evaluate`.
            weighted_metrics: the same, weighted by the sample weights.
            run_eagerly: bool, for debugging.
            steps_per_execution: int, steps per call of the training function.
            jit_compile: True, False, or "auto": True where there is a GPU (on a CPU, XLA is
                slower than TensorFlow's own kernels).
        """
        arguments.one_of("jit_compile", jit_compile, ("auto", True, False))
        with self.distribute_strategy.scope():
            super().compile(
                optimizer=optimizer,
                metrics=metrics,
                weighted_metrics=weighted_metrics,
                run_eagerly=run_eagerly,
                steps_per_execution=steps_per_execution,
                jit_compile=False,
            )
            example = keras.KerasTensor((1, *self.image_shape)), keras.KerasTensor((1,), "int32")
            self._symbolic_build(data_batch=example)
        self.step.assign(0)
        self.jit_compile_argument = jit_compile
        if jit_compile == "auto":
            jit_compile = bool(tf.config.list_logical_devices("GPU"))
        self.uses_xla = jit_compile and not run_eagerly
        self.compiled_loss_and_gradients = self.loss_and_gradients
        if self.uses_xla:
            self.compiled_loss_and_gradients = tf.function(
                self.loss_and_gradients, jit_compile=True
            )

    def get_compile_config(self):
        config = super().get_compile_config()
        if not config:
            return config
        config = {name: config[name] for name in config if not name.startswith("loss")}
        return {**config, "jit_compile": self.jit_compile_argument}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def save_own_variables(self, store):
        """Adds what `fit` has summed up in this epoch; Keras leaves metrics out."""
        super().save_own_variables(store)
        for i, variable in enumerate(self._tracker_variables()):
            store[f"tracker_{i}"] = variable.numpy()

    def load_own_variables(self, store):
        of_keras = [name for name in store.keys() if not name.startswith("tracker_")]
        super().load_own_variables({name: store[name] for name in of_keras})
        if len(of_keras) < len(store.keys()):
            variables = self._tracker_variables()
            self.continue_epoch([store[f"tracker_{i}"] for i in range(len(variables))])

    def epoch_sums(self):
        """What `fit` has summed up in this epoch: arrays, for `continue_epoch`."""
        return [v.numpy() for v in self._tracker_variables()]

    def continue_epoch(self, sums):
        """Goes on from `epoch_sums`, after `fit` began an epoch from nothing."""
        for variable, value in zip(self._tracker_variables(), sums):
            variable.assign(value)

    def _tracker_variables(self):
        trackers = self.training_trackers if self.compiled else []
        return [variable for tracker in trackers for variable in tracker.variables]

    training_trackers = ()

    def loss_and_gradients(self, *step):
        """What XLA compiles; a subclass that is trained writes it."""
        raise NotImplementedError

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        **options,
    ):
        """`keras.Model.fit`, on full batches only.

        Arrays are served in an order that is a pure function of (seed, step). The last batch
        of an epoch is dropped where it is incomplete, for arrays and for a tf.data.Dataset.
        Each replica gets the same share of a batch.
        """
        replicas = self.distribute_strategy.num_replicas_in_sync
        ends_with_the_data = isinstance(x, tf.data.Dataset) and steps_per_epoch is None
        if isinstance(x, tf.data.Dataset):
            x, shuffle = stream.full_batches(x, replicas), False
        elif _are_arrays([x]):
            batch_size = 32 if batch_size is None else batch_size
            stream.check_shares(batch_size, replicas)
            arrays = [x, check_label_array(y, self.num_classes)]
            arrays += [] if sample_weight is None else [sample_weight]
            if validation_split and validation_data is None:
                arrays, validation_data = _split(arrays, validation_split)
            step = int(self.step.numpy())
            x = stream.training_batches(arrays, batch_size, self.seed, step, step, shuffle)
            steps_per_epoch = steps_per_epoch or len(arrays[0]) // batch_size
            self._check_executions(steps_per_epoch)
            options.setdefault("validation_batch_size", batch_size)
            y = batch_size = sample_weight = None
            validation_split, shuffle = 0.0, False
        if isinstance(validation_data, (tuple, list)) and _are_arrays(validation_data[:1]):
            images, labels, *weights = validation_data
            size = options.pop("validation_batch_size", None) or batch_size or 32
            validation_data = self._evaluation_batches(images, labels, *weights, batch_size=size)
        with warnings.catch_warnings():
            if ends_with_the_data:  # Keras would warn of what is no surprise
                warnings.filterwarnings("ignore", "Your input ran out of data")
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle,
                class_weight=class_weight,
                sample_weight=sample_weight,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                **options,
            )

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **options
    ):
        """`keras.Model.evaluate`; labels that come as an array are checked at once."""
        if y is not None and _are_arrays([x]):
            x = self._evaluation_batches(x, y, sample_weight, batch_size=batch_size or 32)
            y = batch_size = sample_weight = None
        return super().evaluate(
            x,
            y,
            batch_size=batch_size,
            verbose=verbose,
            sample_weight=sample_weight,
            **options,
        )

    def predict(self, x, batch_size=None, verbose="auto", **options):
        """`keras.Model.predict`."""
        if _are_arrays([x]):
            x, batch_size = stream.evaluation_batches((x,), batch_size or 32), None
        return super().predict(x, batch_size=batch_size, verbose=verbose, **options)

    def _evaluation_batches(self, images, labels, sample_weight=None, *, batch_size):
        """Our stream of arrays: the one of Keras leaves tf.data's tuning on."""
        arrays = [images, check_label_array(labels, self.num_classes)]
        arrays += [] if sample_weight is None else [sample_weight]
        return stream.evaluation_batches(arrays, batch_size)

    def _check_executions(self, steps_per_epoch):
        """Keras would run whole executions on the stream, which has no end, and so too many."""
        if steps_per_epoch % self.steps_per_execution:
            raise ValueError(
                f"the {steps_per_epoch} steps of an epoch must be a multiple of "
                f"steps_per_execution, got {self.steps_per_execution}"
            )

    def _get_metrics_result_or_logs(self, logs):
        """The metrics that a step reports, summed up over all replicas.

        Keras would show those of replica 0 where a step does not report every metric.
        """
        results = self.get_metrics_result()
        return {name: results[name] for name in logs}

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing to build: the network is functional, and `compile` built the rest."""


def _are_arrays(values):
    return all(isinstance(value, (np.ndarray, tf.Tensor)) for value in values)


def _split(arrays, validation_split):
    """Arrays without their last examples, and those; `validation_split` is their share."""
    if not 0 < validation_split < 1:
        raise ValueError(f"validation_split must be in (0, 1), got {validation_split}")
    num_train = int(len(arrays[0]) * (1 - validation_split))
    return [a[:num_train] for a in arrays], tuple(a[num_train:] for a in arrays)


def average_over_replicas(variables):
    """Sets each float variable to its mean over the replicas; called in replica context.

    Keras creates batch-norm statistics without aggregation: each replica keeps its own, and
    evaluation would read those of replica 0.
    """
    context = tf.distribute.get_replica_context()
    variables = [v for v in variables if "float" in v.dtype]
    if context.num_replicas_in_sync == 1 or not variables:
        return
    values = [tf.convert_to_tensor(v.value) for v in variables]
    for variable, mean in zip(variables, context.all_reduce("MEAN", values)):
        variable.assign(mean)


def at_least_one(images):
    """Appends a black image to an empty batch, which an uneven batch leaves to a replica.

    TensorFlow's convolutions for CPUs give an empty batch the wrong number of channels.
    """
    if images.shape[0] is not None or tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return images
    missing = tf.maximum(1 - tf.shape(images)[0], 0)
    return tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
