"""What `fit`, `evaluate` and `predict` call: steps on all replicas, without Python between them.

After each step the replicas' logs are averaged in one exchange, as one vector, and with them
whether a worker is asked to stop: so all see the same loss, and stop at the same step.
"""

import contextlib
import functools
import itertools
import re
import warnings
from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from mixmo_tf.data import checks
from mixmo_tf.distribution import replicas

# Logs of a step that are for the model itself, and shown to nobody.
FINITE = "_finite"  # 0 where the step was not finite, and so not done: no step may follow
LOOK_SCALED = "_look_scaled"  # 1 where the pixels look divided by 255, or normalised


class NotFiniteError(ArithmeticError):
    """The loss, a gradient or a weight became NaN or infinite; the message says at which step."""


def of_steps(
    model: keras.Model, step: Callable, num_steps: Callable[[], tf.Tensor], purpose: str
) -> Callable[[Iterable], dict]:
    """Makes what Keras calls with an iterator, for the logs of an execution of steps.

    TensorFlow may run a step's counters although the step's batch was never there; so a step
    runs only where the iterator says that there is one.

    Args:
        step: function of a replica's data that gives logs, a dict of numbers.
        num_steps: function that gives the number of steps of the next execution, int64 (), at
            most `steps_per_execution`.
        purpose: what the data is for, for the message that there is none.

    Returns:
        function of an iterator that gives the logs of the last step, means over the replicas;
        it raises StopIteration where the data has ended before the first.
    """
    strategy, most_steps = model.distribute_strategy, model.steps_per_execution
    layout = {}  # of the logs in their vector, known when a step was traced

    def on_replica(data, asked):
        logs = step(_without_optionals(data))
        logs = logs.get(FINITE, 1.0), logs, asked
        numbers = list(map(tf.convert_to_tensor, tf.nest.flatten(logs)))
        layout["logs"] = tf.nest.map_structure(lambda number: None, logs)
        layout["shapes"] = [number.shape for number in numbers]
        return replicas.flat([tf.cast(number, tf.float32) for number in numbers])

    def on_all(batch, asked):
        return strategy.reduce("MEAN", strategy.run(on_replica, (batch(), asked)), axis=None)

    def next_step(iterator, asked, done, goes_on, values):
        batch = iterator.get_next_as_optional()
        has_data = batch.has_value()
        one_step = functools.partial(on_all, batch.get_value, asked)
        values = tf.cond(has_data, one_step, lambda: values)
        goes_on = tf.cond(has_data, lambda: values[0] > 0, lambda: False)
        return done + tf.cast(has_data, tf.int64), goes_on, values

    def execution(iterator, num_steps, asked):
        start = tf.constant(0, tf.int64), tf.constant(True), tf.zeros([0])
        if most_steps == 1:
            return next_step(iterator, asked, *start)
        return tf.while_loop(
            lambda done, goes_on, values: goes_on & (done < num_steps),
            lambda *state: next_step(iterator, asked, *state),
            start,
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([]), tf.TensorShape([None])),
        )

    def step_of_batch(batch, asked):
        return on_all(lambda: batch, asked)

    if not model.run_eagerly:
        step_of_batch = tf.function(step_of_batch, autograph=False, reduce_retracing=True)
        execution = tf.function(execution, autograph=False, reduce_retracing=True)

    def run(iterator):
        request, done = model.stop_request, 0
        asked = tf.constant(float(request is not None and request.here))
        if isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            with _one_line_of_assertions():
                done, _, values = execution(iterator, num_steps(), asked)
        else:
            for batch in itertools.islice(iterator, most_steps):
                with _one_line_of_assertions():
                    values = step_of_batch(batch, asked)
                done += 1
                if not values[0] > 0:
                    break
        if not done and model.expects_data:  # it never began, rather than ended
            raise ValueError(f"the dataset gave no batch {purpose}")
        if not done:
            raise StopIteration
        model.expects_data = False
        values = replicas.unflat(values, layout["shapes"])
        _, logs, share_that_asks = tf.nest.pack_sequence_as(layout["logs"], values)
        if request is not None:
            request.anywhere = float(share_that_asks) > 0
        if logs.pop(FINITE, 1) < 1:
            step_number = int(model.step.numpy()) + 1
            raise NotFiniteError(
                f"the loss or a gradient became NaN or infinite at step {step_number}"
            )
        _warn_of_scaled(model, logs.pop(LOOK_SCALED, 0))
        return logs

    return run


def of_predictions(model: keras.Model) -> Callable[[list], tf.Tensor]:
    """Makes what Keras calls with a list of batches: predictions of this worker's replicas.

    Keras would gather those of all workers; here every worker predicts everything. It changes
    nothing of the model, so that any number of threads may call it. It gives the probabilities
    (n, C) of all batches, and raises ValueError where images have another shape than the model's.
    """
    strategy = model.distribute_strategy

    def on_replica(data):
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return model.predict_step(data), checks.look_scaled(images)

    def on_all(batches):
        outputs, look_scaled = [], []
        for batch in batches:
            of_replicas = strategy.run(on_replica, (_without_optionals(batch),))
            for found, values in zip((outputs, look_scaled), of_replicas, strict=True):
                found += strategy.experimental_local_results(values)
        return tf.concat(outputs, axis=0), tf.reduce_min(look_scaled)

    compute = on_all
    if not model.run_eagerly:
        compute = tf.function(on_all, autograph=False, reduce_retracing=True)

    def run(batches):
        for batch in batches:  # or the graph's own error, of many lines, would say so
            images, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
            for of_replica in strategy.experimental_local_results(images):
                checks.check_shape(of_replica, model.image_shape)
        outputs, look_scaled = compute(batches)
        _warn_of_scaled(model, look_scaled)
        return outputs

    return run


@contextlib.contextmanager
def _one_line_of_assertions():
    """Raises as a ValueError what an assertion in the graph says in the middle of many lines."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        said = re.search(r"assertion failed: \[(.+?)\](?: \[(.+)\])?$", error.message, re.M)
        if said is None:
            raise
        raise ValueError(" ".join(filter(None, said.groups()))) from None


def _without_optionals(data):
    """Data with None where Keras has put an empty tf.experimental.Optional."""
    return keras.tree.map_structure(
        lambda part: None if isinstance(part, tf.experimental.Optional) else part, data
    )


def _warn_of_scaled(model, look_scaled):
    """Says once what `checks.check_pixels` says of arrays."""
    if look_scaled == 1 and not model.has_warned:
        model.has_warned = True
        warnings.warn(checks.said_of_scaled("a batch's images"), stacklevel=3)
