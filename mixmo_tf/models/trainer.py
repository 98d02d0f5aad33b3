"""What training needs of Keras: `compile` and `fit`, the step counter, a step that undoes itself.

Keras wraps XLA around `strategy.run`, which fails with two replicas on TensorFlow 2.21; here it
compiles what one replica computes.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from mixmo_tf import arguments, seeds
from mixmo_tf.data import checks
from mixmo_tf.models import averaging, core_update, executions, fit_arguments, fit_data
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.networks.batch_norm import is_synchronized
from mixmo_tf.networks.precision import uses_float16


class Trainer(Predictor):
    """A Predictor that is trained.

    A subclass has `network`, `seed` and `l2`. It writes `train_step`, which ends with
    `finite_step.apply`; `loss_and_gradients`, which `train_step` calls by the name
    `compiled_loss_and_gradients`; and `training_trackers`, the metrics that `fit` shows.
    """

    compiled_with = (*Predictor.compiled_with, "optimizer", "jit_compile", *core_update.ARGUMENTS)

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.step = self.add_weight(
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
            name="step",
        )
        self.averages = averaging.Averages()
        self.still = frozenset()  # ids of the variables that are frozen in the step that runs
        self._epochs_of_steps = None, None  # the step at which they began, and steps per epoch

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "sgd",
        loss: Any = None,
        *,
        metrics: list | None = None,
        weighted_metrics: list | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        freeze_steps: int = 0,
        core_learning_rate_factor: float = 1.0,
    ) -> None:
        """Configures training, from step 0 on. The loss is the model's own.

        Args:
            optimizer: a Keras optimizer or its name; with networks in float16 it becomes a
                LossScaleOptimizer.
            loss: None; it stands where Keras has it, so that what is put there can be answered.
            metrics, weighted_metrics, run_eagerly, steps_per_execution: see `Predictor.compile`.
            jit_compile: True, False, or "auto": True where there is a GPU (on a CPU, compiling
                takes minutes) and batch norm is not synchronized.
            freeze_steps: int >= 0, the first steps, in which the core is frozen while encoders and
                heads train; for optimizers of `core_update.FREEZING`.
            core_learning_rate_factor: float >= 0, a factor of the core's updates after these, for
                optimizers of `core_update.SCALING`; 0 keeps the core frozen.

        Raises:
            ValueError: if an argument is out of range, a loss is given, a metric does not take
                what the model gives it, XLA is to compile synchronized batch norm, or the optimizer
                is not for what is asked of the core.
        """
        fit_arguments.check_optimizer(optimizer)
        arguments.one_of("jit_compile", jit_compile, ("auto", True, False))
        synchronized = any(map(is_synchronized, self.networks))
        if synchronized and jit_compile is True:
            raise ValueError("jit_compile must be False with synchronized batch norm, got True")
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if any(map(uses_float16, self.networks)) and not scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.get(optimizer))
        self.core_update = core_update.checked(freeze_steps, core_learning_rate_factor, optimizer)
        super().compile(
            optimizer,
            loss,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
        )
        with self.distribute_strategy.scope():
            self.optimizer.build(self.trainable_variables)
            weights, statistics = self.trainable_variables, self.statistics()
            self.averages = averaging.Averages(self.optimizer, weights, statistics)
        self.step.assign(0)
        self._jit_compile_argument = jit_compile
        if jit_compile == "auto":
            jit_compile = bool(tf.config.list_logical_devices("GPU")) and not synchronized
        self.uses_xla = jit_compile and not run_eagerly
        self.compiled_loss_and_gradients = self.computation()

    def computation(self) -> Callable:
        """`loss_and_gradients`, to be traced anew, where XLA is used compiled by it."""
        if not self.uses_xla:
            return self.loss_and_gradients
        return tf.function(self.loss_and_gradients, autograph=False, jit_compile=True)

    def get_compile_config(self) -> dict | None:
        config = super().get_compile_config()
        if not config:
            return config
        of_core = self.core_update.arguments()
        return {**config, "jit_compile": self._jit_compile_argument, **of_core}

    # A step ----------------------------------------------------------------------------------

    def step_seed(self) -> tf.Tensor:
        """The seed of all that this step draws on this replica, int32 (2,)."""
        replica = tf.distribute.get_replica_context()
        return seeds.step_seed(self.seed, self.step, replica.replica_id_in_sync_group)

    def objective(self, loss: tf.Tensor) -> tf.Tensor:
        """What this replica's gradients are of: (loss + l2·ΣW²) / replicas, scaled for float16.

        What layers of the network add to the loss themselves, such as the penalty of a
        `kernel_regularizer`, joins it.
        """
        num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return self.optimizer.scale_loss((loss + self._decay() + self._penalties()) / num_replicas)

    def statistics(self) -> list[keras.Variable]:
        """The batch-norm statistics that a forward pass sets, none of a frozen core: variables."""
        state = [v for v in self.network.non_trainable_variables if id(v) not in self.still]
        return [variable for variable in state if "float" in variable.dtype]

    def _decay(self):
        """l2·ΣW² over all trainable variables, batch-norm scales and biases included."""
        weights = self.trainable_variables if self.l2 else ()
        return self.l2 * sum(tf.reduce_sum(tf.square(w)) for w in weights)

    def _penalties(self):
        """What the layers' regularizers and `add_loss` ask for, of the forward pass just done."""
        return sum(tf.cast(each, tf.float32) for each in self.network.losses)

    def save_own_variables(self, store: Any) -> None:
        """Adds what `fit` has summed up in this epoch; Keras leaves metrics out."""
        super().save_own_variables(store)
        for name, variables in self._also_saved().items():
            for i, variable in enumerate(variables):
                store[f"{name}_{i}"] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        names = [name for name in store.keys() if "_" not in name]
        super().load_own_variables({name: store[name] for name in names})
        for name, variables in self._also_saved().items():
            if f"{name}_0" in store.keys():  # which a file from before has not
                for i, variable in enumerate(variables):
                    variable.assign(store[f"{name}_{i}"])

    def state(self) -> list:
        """All that training changes, a list of arrays: weights, optimizer, sums of the epoch."""
        return [variable.numpy() for variable in self._all_variables()]

    def set_state(self, state: list) -> None:
        """Goes on from `state`, of a model with the same network and optimizer.

        With several workers all must call it at the same point.
        """
        for variable, array in zip(self._all_variables(), state, strict=True):
            variable.assign(array)

    def epoch_sums(self) -> list:
        """What `fit` has summed up in this epoch: arrays, for `continue_epoch`.

        With several workers all must call it, and save the model, at the same point: a metric
        is a sum over the workers, so reading it blocks until all do.
        """
        return [v.numpy() for v in self._tracker_variables()]

    def continue_epoch(self, sums: list) -> None:
        """Goes on from `epoch_sums`, after `fit` began an epoch from nothing."""
        for variable, value in zip(self._tracker_variables(), sums, strict=True):
            variable.assign(value)

    def _all_variables(self):
        optimizer = [*self.optimizer.variables, *self.averages.variables]
        return [*self.variables, *optimizer, *self._tracker_variables()]

    def _also_saved(self):
        """What Keras leaves out of a model's file, lists of variables by their names there."""
        return {"tracker": self._tracker_variables(), "average": self.averages.variables}

    def _tracker_variables(self):
        trackers = self.training_trackers if self.compiled else []
        return [variable for tracker in trackers for variable in tracker.variables]

    def fit(
        self,
        x: Any = None,
        y: arguments.Array | None = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: list | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: arguments.Array | None = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        *,
        stop_request: Any = None,
        **options: Any,
    ) -> keras.callbacks.History:
        """`keras.Model.fit`, on full batches only.

        Arrays are served in an order that is a pure function of (seed, step), of the step that
        callbacks such as BackupAndRestore have brought back. The last batch of an epoch is
        dropped where it is incomplete, for arrays and for a tf.data.Dataset. Each replica gets
        the same share of a batch.

        Args:
            stop_request: training.signals.StopRequest that all workers are to hear of, or None.

        Raises:
            ValueError: if no batch is left.
        """
        checks.check_data("x", x)
        fit_arguments.check_validation_data(validation_data)
        epochs = arguments.count("epochs", epochs, 0)
        initial_epoch = arguments.count("initial_epoch", initial_epoch, 0)
        (steps_per_epoch,) = fit_arguments.check_counts(steps_per_epoch=steps_per_epoch)
        fit_arguments.check_callbacks(callbacks)
        data = fit_data.prepare(
            self,
            x=x,
            y=y,
            batch_size=batch_size,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            steps_per_epoch=steps_per_epoch,
            **options,
        )
        self._epochs_of_steps = None, data["steps_per_epoch"]
        self.expects_data = True
        self.stop_request = stop_request
        with warnings.catch_warnings(), self.averages.trained(self.optimizer):
            if steps_per_epoch is None:  # Keras would warn of what is no surprise
                warnings.filterwarnings("ignore", "Your input ran out of data")
            try:
                return keras.Model.fit(
                    self,
                    epochs=epochs,
                    verbose=verbose,
                    callbacks=callbacks,
                    initial_epoch=initial_epoch,
                    **data,
                )
            finally:
                self.stop_request = None

    @functools.wraps(keras.Model.train_on_batch)
    def train_on_batch(self, *args: Any, **options: Any) -> Any:
        self.averages.swap(into_network=False)
        return keras.Model.train_on_batch(self, *args, **options)

    @functools.wraps(Predictor.evaluate)
    def evaluate(self, *args: Any, **options: Any) -> Any:
        with self.averages.shown():
            return super().evaluate(*args, **options)

    def make_train_function(self, force: bool = False) -> None:
        if self.train_function is None or force:
            make = functools.partial(executions.of_steps, self, self.train_step)
            if self.core_update.freezes:
                make = functools.partial(core_update.in_phases, self, make)
            self.train_function = make(self._steps_left, "to train on (drop_remainder?)")

    def _steps_left(self):
        """Steps of the next execution; int64, or it would be a constant to trace anew."""
        first_step, steps_per_epoch = self._epochs_of_steps
        steps = self.steps_per_execution
        if steps > 1 and steps_per_epoch:
            step = int(self.step.numpy())
            if first_step is None:  # callbacks have set it by now
                self._epochs_of_steps = step, steps_per_epoch
                first_step = step
            steps = min(steps, steps_per_epoch - (step - first_step) % steps_per_epoch)
        return tf.constant(steps, tf.int64)
