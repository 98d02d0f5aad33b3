"""keras.Model whose gradients XLA compiles inside each replica. All of Keras' internals.

Keras wraps XLA around `strategy.run`, which fails with two replicas on TensorFlow 2.21. It
reduces a batch over the replicas to build a model from it, which fails where their shares
differ; and logs over an axis that they do not have, with several workers (keras issue 20585).
What is here mends all three; no other file of the package touches Keras' internals.
"""

import warnings

import keras
import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data import arrays, checks, stream
from mixmo_tf.networks.batch_norm import is_synchronized
from mixmo_tf.networks.precision import uses_float16
from mixmo_tf.training import executions, fit_arguments, metric_checks, replicas

# Logs of a step that are for the model itself, and shown to nobody.
FINITE = "_finite"  # 0 where the step was not finite, and so not done
LOOK_SCALED = "_look_scaled"  # 1 where the pixels look as if they were divided by 255


class ReplicaModel(keras.Model):
    """A step counter, and `compile` and `fit` that suit replicas.

    A subclass has `networks`, `image_shape`, `num_classes`, `seed` and `training_trackers`,
    the metrics that `train_step` reports. It writes `train_step` for one replica, and
    `loss_and_gradients`, which `train_step` calls by the name `compiled_loss_and_gradients`.
    """

    counts_steps = True  # False for a model that is not trained: it has its networks' weights alone

    def __init__(self, **kwargs):
        kwargs.setdefault("dtype", "float32")  # pixels and metrics; the networks have their own
        super().__init__(**kwargs)
        if self.counts_steps:
            self.step = self.add_weight(
                shape=(),
                dtype="int64",
                initializer="zeros",
                trainable=False,
                aggregation="only_first_replica",
                name="step",
            )
        self._epochs_of_steps = None, None  # the step at which they began, and steps per epoch
        self._expects_data = False
        self._share_that_asks = 0.0
        self._has_warned = False

    @property
    def loss_tracker(self):
        """The keras.metrics.Mean that is shown as `loss`."""
        return self._loss_tracker

    def compile(
        self,
        optimizer="sgd",
        loss=None,
        *,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
    ):
        """Configures training, from step 0 on. The loss is the model's own.

        Args:
            optimizer: a Keras optimizer or its name; with networks in float16 it becomes a
                LossScaleOptimizer.
            loss: None; it stands where Keras has it, so that what is put there can be answered.
            metrics: list of Keras metrics or names; they judge the ensemble in `evaluate`, by
                integer labels (n,) and probabilities (n, C).
            weighted_metrics: the same, weighted by the sample weights.
            run_eagerly: bool, for debugging.
            steps_per_execution: int >= 1, steps that run before callbacks and progress hear
                of them.
            jit_compile: True, False, or "auto": True where there is a GPU (on a CPU, compiling
                takes minutes) and batch norm is not synchronized.

        Raises:
            ValueError: if an argument is out of range, a loss is given, a metric does not take
                what the model gives it, or XLA is to compile synchronized batch norm.
        """
        fit_arguments.check_loss(loss, type(self).__name__)
        fit_arguments.check_optimizer(optimizer)
        fit_arguments.check_metrics(metrics=metrics, weighted_metrics=weighted_metrics)
        arguments.one_of("jit_compile", jit_compile, ("auto", True, False))
        arguments.one_of("run_eagerly", run_eagerly, (True, False))
        arguments.count("steps_per_execution", steps_per_execution, 1)
        synchronized = any(map(is_synchronized, self.networks))
        if synchronized and jit_compile is True:
            raise ValueError("jit_compile must be False with synchronized batch norm, got True")
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if any(map(uses_float16, self.networks)) and not scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.get(optimizer))
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
            example = keras.KerasTensor((1, *self.image_shape)), keras.KerasTensor((1,), "int32")
            self._symbolic_build(data_batch=example)
        if self.counts_steps:
            self.step.assign(0)
        self.jit_compile_argument = jit_compile
        if jit_compile == "auto":
            jit_compile = bool(tf.config.list_logical_devices("GPU")) and not synchronized
        self.uses_xla = jit_compile and not run_eagerly
        self.compiled_loss_and_gradients = self.loss_and_gradients
        if self.uses_xla:
            self.compiled_loss_and_gradients = tf.function(
                self.loss_and_gradients, jit_compile=True
            )

    def _check_metrics(self):
        metrics = self._compile_metrics
        if metrics is None:
            return
        try:
            example = keras.KerasTensor((1,), "int32"), keras.KerasTensor((1, self.num_classes))
            metrics.build(*example)
            metric_checks.check(metrics.metrics, self.num_classes)
        except ValueError:
            self._compile_metrics = None  # Keras would keep them for the next `compile`
            raise

    def get_compile_config(self):
        config = super().get_compile_config()
        if not config:
            return config
        config = {name: config[name] for name in config if not name.startswith("loss")}
        return {**config, "jit_compile": self.jit_compile_argument}

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        try:
            self.compile(**config)
        except metric_checks.UnusableMetricError as error:  # of a file from before the check
            warnings.warn(f"{error}; the model is loaded without its compiled metrics")
            self.compile(**{**config, "metrics": None, "weighted_metrics": None})

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

    def state(self):
        """All that training changes, a list of arrays: weights, optimizer, sums of the epoch."""
        variables = [*self.variables, *self.optimizer.variables]
        return [variable.numpy() for variable in variables] + self.epoch_sums()

    def set_state(self, state):
        """Goes on from `state`, of a model with the same network and optimizer.

        With several workers all must call it at the same point.
        """
        variables = [*self.variables, *self.optimizer.variables]
        for variable, array in zip(variables, state[: len(variables)], strict=True):
            variable.assign(array)
        self.continue_epoch(state[len(variables) :])

    def epoch_sums(self):
        """What `fit` has summed up in this epoch: arrays, for `continue_epoch`.

        With several workers all must call it, and save the model, at the same point.
        """
        return [v.numpy() for v in self._tracker_variables()]

    def continue_epoch(self, sums):
        """Goes on from `epoch_sums`, after `fit` began an epoch from nothing."""
        for variable, value in zip(self._tracker_variables(), sums, strict=True):
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

        Arrays are served in an order that is a pure function of (seed, step), of the step that
        callbacks such as BackupAndRestore have brought back. The last batch of an epoch is
        dropped where it is incomplete, for arrays and for a tf.data.Dataset. Each replica gets
        the same share of a batch.

        Raises:
            ValueError: if no batch is left.
        """
        fit_arguments.check_data("x", x)
        fit_arguments.check_validation_data(validation_data)
        fit_arguments.check_epochs(epochs, initial_epoch)
        fit_arguments.check_counts(steps_per_epoch=steps_per_epoch)
        fit_arguments.check_callbacks(callbacks)
        if class_weight is not None:
            checks.check_class_weight(class_weight, self.num_classes)
        strategy = self.distribute_strategy
        ends_with_the_data = steps_per_epoch is None
        if isinstance(x, tf.data.Dataset):
            x, shuffle = stream.full_batches(x, strategy.num_replicas_in_sync), False
            if class_weight is None:  # which Keras joins to the dataset
                x = replicas.split(strategy, x)
        elif arrays.are_arrays([x]):
            batch_size = 32 if batch_size is None else batch_size
            arguments.whole("batch_size", batch_size)
            stream.check_shares(batch_size, strategy.num_replicas_in_sync)
            content = arrays.weighted(
                x, y, self.image_shape, self.num_classes, sample_weight, class_weight
            )
            if validation_split and validation_data is None:
                content, validation_data = arrays.split(content, validation_split)
            x = replicas.distribute(
                strategy,
                lambda shares: stream.training_batches_from(
                    self.step.numpy, content, batch_size, self.seed, shuffle, shares
                ),
            )
            steps_per_epoch = steps_per_epoch or len(content[0]) // batch_size
            options.setdefault("validation_batch_size", batch_size)
            y = batch_size = sample_weight = class_weight = None
            validation_split, shuffle = 0.0, False
        shuffle = shuffle and not isinstance(x, tf.distribute.DistributedDataset)
        self._epochs_of_steps = None, steps_per_epoch
        self._expects_data = True
        if isinstance(validation_data, (tuple, list)) and arrays.are_arrays(validation_data[:1]):
            images, labels, *weights = validation_data
            size = options.pop("validation_batch_size", None) or batch_size or 32
            validation_data = self._evaluation_batches(images, labels, *weights, batch_size=size)
        if isinstance(validation_data, tf.data.Dataset):
            validation_data = replicas.split(strategy, validation_data)
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
        fit_arguments.check_data("x", x)
        fit_arguments.check_counts(batch_size=batch_size, steps=options.get("steps"))
        fit_arguments.check_callbacks(options.get("callbacks"))
        if arrays.are_arrays([x]):
            x = self._evaluation_batches(x, y, sample_weight, batch_size=batch_size or 32)
            y = batch_size = sample_weight = None
        if isinstance(x, tf.data.Dataset):
            x = replicas.split(self.distribute_strategy, x)
        self._expects_data = True
        return super().evaluate(
            x,
            y,
            batch_size=batch_size,
            verbose=verbose,
            sample_weight=sample_weight,
            **options,
        )

    def predict(self, x, batch_size=None, verbose="auto", **options):
        """`keras.Model.predict`; of no images the empty answer (0, C)."""
        fit_arguments.check_data("x", x)
        fit_arguments.check_counts(batch_size=batch_size, steps=options.get("steps"))
        fit_arguments.check_callbacks(options.get("callbacks"))
        if arrays.are_arrays([x]):
            checks.check_pixels(x, self.image_shape)
            if not len(x):
                return np.zeros((0, self.num_classes), np.float32)
            x, batch_size = stream.evaluation_batches((x,), batch_size or 32), None
        strategy = self.distribute_strategy
        if replicas.num_workers(strategy) > 1 and isinstance(x, tf.data.Dataset):
            all_of_it = x
            x = strategy.distribute_datasets_from_function(
                lambda context: all_of_it, replicas.input_options()
            )
        elif isinstance(x, tf.data.Dataset):
            x = replicas.split(strategy, x)
        return super().predict(x, batch_size=batch_size, verbose=verbose, **options)

    def _evaluation_batches(self, images, labels, sample_weight=None, *, batch_size):
        """Our stream of arrays: the one of Keras leaves tf.data's tuning on."""
        content = arrays.weighted(images, labels, self.image_shape, self.num_classes, sample_weight)
        return replicas.distribute(
            self.distribute_strategy,
            lambda shares: stream.evaluation_batches(content, batch_size, shares=shares),
        )

    def _make_function(self, step_function):
        """What `fit` and `evaluate` call: takes an iterator, runs an execution, gives its logs.

        An execution is up to `steps_per_execution` steps; none goes beyond the epoch's last.
        """
        mean_logs = replicas.MeanLogs(self.distribute_strategy, step_function, FINITE)
        step = self._autoconvert_optionals(lambda data_asked: mean_logs.run(*data_asked))
        run_execution = executions.make(step, self.steps_per_execution, self.run_eagerly)
        run_execution = self._expecting_data(run_execution, step_function)

        def run(iterator):
            asked = tf.constant(float(self.asks_to_stop()))
            values = run_execution(iterator, self._steps_left(step_function), asked)
            logs, self._share_that_asks = mean_logs.unpack(values)
            finite, look_scaled = logs.pop(FINITE, 1), logs.pop(LOOK_SCALED, 0)
            if finite < 1:
                step = int(self.step.numpy()) + 1
                raise executions.NotFiniteError(
                    f"the loss or a gradient became NaN or infinite at step {step}"
                )
            if look_scaled == 1:
                self._warn_of_scaled_pixels()
            return logs

        return run

    def _warn_of_scaled_pixels(self):
        """Says once what `checks.check_pixels` says of arrays."""
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(checks.said_of_scaled("a batch's images"), stacklevel=2)

    def asks_to_stop(self):
        """Whether this worker is asked to stop; a callback may put its own function here."""
        return False

    def is_asked_to_stop(self):
        """Whether a worker was asked to, when the last step began; the same on all workers."""
        return float(self._share_that_asks) > 0

    def _expecting_data(self, run_execution, step_function):
        """`run_execution` that tells data that never begins from data that has ended."""
        what = "to train on (drop_remainder?)" if step_function == self.train_step else "to judge"

        def run(*arguments):
            try:
                values = run_execution(*arguments)
            except StopIteration:
                if self._expects_data:
                    raise ValueError(f"the dataset gave no batch {what}") from None
                raise
            self._expects_data = False
            return values

        return run

    def _steps_left(self, step_function):
        """Steps of the next execution; int64, or it would be a constant to trace anew."""
        first_step, steps_per_epoch = self._epochs_of_steps
        steps = self.steps_per_execution
        if step_function == self.train_step and steps > 1 and steps_per_epoch:
            step = int(self.step.numpy())
            if first_step is None:  # callbacks have set it by now
                self._epochs_of_steps = step, steps_per_epoch
                first_step = step
            steps = min(steps, steps_per_epoch - (step - first_step) % steps_per_epoch)
        return tf.constant(steps, tf.int64)

    def make_predict_function(self, force=False):
        """Predictions of the worker's own replicas, one after the other.

        Keras would gather those of all workers; here every worker predicts everything.
        """
        if self.predict_function is not None and not force:
            return
        strategy = self.distribute_strategy

        def step(data):
            images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
            return self.predict_step(data), checks.look_scaled(images)

        def predict(batches):
            outputs, look_scaled = [], []
            for batch in batches:
                results = strategy.run(self._autoconvert_optionals(step), (batch,))
                of_replicas = map(strategy.experimental_local_results, results)
                for found, of_each in zip((outputs, look_scaled), of_replicas, strict=True):
                    found += of_each
            return tf.concat(outputs, axis=0), tf.reduce_min(look_scaled)

        compiled = predict if self.run_eagerly else tf.function(predict)

        def predict_and_warn(batches):
            outputs, look_scaled = compiled(batches)
            if look_scaled == 1:
                self._warn_of_scaled_pixels()
            return outputs

        self.predict_function = predict_and_warn

    def _get_metrics_result_or_logs(self, logs):
        """The metrics that a step reports, summed up over all replicas.

        Keras would show those of replica 0 where a step does not report every metric.
        """
        results = self.get_metrics_result()
        return {name: results[name] for name in logs}

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing to build: the network is functional, and `compile` built the rest."""
