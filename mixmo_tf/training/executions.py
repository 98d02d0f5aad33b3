"""Several steps in one call: what `fit` and `evaluate` run between two looks at the clock."""

import tensorflow as tf


class NotFiniteError(ArithmeticError):
    """The loss, a gradient or a weight became NaN or infinite; the message says at which step."""


def make(step, steps_per_execution, run_eagerly):
    """Makes a function that takes an iterator and runs up to `steps_per_execution` steps.

    Args:
        step: function of (data, extra) that gives a float32 vector, whose first number is 0
            where the execution is to end with it.
        steps_per_execution: int >= 1.
        run_eagerly: bool, for debugging.

    Returns:
        function of an iterator, the number of steps, int64 (), and `extra`; it gives the
        vector of the last step, and raises StopIteration where the data has ended before the
        first.
    """

    def next_step(iterator, extra, done, goes_on, values):
        data = iterator.get_next_as_optional()
        has_data = data.has_value()
        values = tf.cond(has_data, lambda: step((data.get_value(), extra)), lambda: values)
        goes_on = tf.cond(has_data, lambda: values[0] > 0, lambda: False)
        return done + tf.cast(has_data, tf.int64), goes_on, values

    def execution(iterator, num_steps, extra):
        start = tf.constant(0, tf.int64), tf.constant(True), tf.zeros([0])
        if steps_per_execution == 1:
            return next_step(iterator, extra, *start)
        return tf.while_loop(
            lambda done, goes_on, values: goes_on & (done < num_steps),
            lambda *state: next_step(iterator, extra, *state),
            start,
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([]), tf.TensorShape([None])),
        )

    step_of_batch = step
    if not run_eagerly:
        step_of_batch = tf.function(step, autograph=False, reduce_retracing=True)
        execution = tf.function(execution, autograph=False, reduce_retracing=True)

    def run(iterator, num_steps, extra):
        if isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            done, _, values = execution(iterator, num_steps, extra)
            if not done:
                raise StopIteration
            return values
        values = None
        for _, batch in zip(range(steps_per_execution), iterator, strict=False):
            values = step_of_batch((batch, extra))
            if not values[0] > 0:
                break
        if values is None:
            raise StopIteration
        return values

    return run
