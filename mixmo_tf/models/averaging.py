"""Exponential moving averages of the weights, with an optimizer that has `use_ema`.

Keras' optimizer keeps them: average ← m·average + (1 − m)·weights after each step, the weights
themselves after the first. The batch-norm statistics of the raw weights are not those of the
averaged ones, so their averages are kept here, by the same rule.

Either the network holds the raw weights and statistics and the rest is kept beside it, or the other
way round; `swap` exchanges them bit for bit. Training is on the raw ones, and `fit` ends with the
averages in the network: they are what predicts, is saved and is exported. Both are saved with a
model, so a `fit` after that goes on from the raw ones. (Keras' `fit` would write the averages over
the raw weights at its end, and its SwapEMAWeights exchange them by sums, which rounds.)
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence

import keras
import tensorflow as tf

from mixmo_tf.distribution import replicas


class Averages:
    """What is averaged of a model, and where the averages are.

    Args:
        optimizer: keras.optimizers.Optimizer, built; None before there is one.
        weights: the variables that it was built with.
        statistics: the batch-norm statistics, a list of variables.

    Attributes:
        variables: what is kept here, a list of variables; empty without `use_ema`.

    Raises:
        ValueError: if the optimizer is to overwrite the weights with the averages while several
            replicas train, which Keras cannot.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer | None = None,
        weights: Sequence[keras.Variable] = (),
        statistics: Sequence[keras.Variable] = (),
    ):
        self._optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a scaled loss
        self._are_kept = getattr(self._optimizer, "use_ema", False)
        self._weights, self._statistics = list(weights), list(statistics)
        self._of_statistics, self.variables = [], []
        if not self._are_kept:
            return
        frequency = self._optimizer.ema_overwrite_frequency
        count = tf.distribute.get_strategy().num_replicas_in_sync
        if frequency and count > 1:
            raise ValueError(
                f"ema_overwrite_frequency must be None with {count} replicas, got {frequency}"
            )
        self._are_in_network = _variable((), "int32", "averages_are_in_network")
        self._of_statistics = [
            _variable(each.shape, each.dtype, f"average_{i}") for i, each in enumerate(statistics)
        ]
        self.variables = [self._are_in_network, *self._of_statistics]

    def update(self, still: frozenset[int] = frozenset()) -> None:
        """Takes the statistics into their averages; called in replica context after the optimizer.

        Its first step sets them. `still` are the ids of variables that have not moved since then:
        they are their averages, which the sum of the two would round.
        """
        if not self._are_kept:
            return
        momentum = self.momentum()
        for average, value in zip(self._of_statistics, self._statistics, strict=True):
            m = tf.cast(momentum, average.dtype)
            moved = m * average + (1 - m) * value
            moved = tf.where(tf.equal(average, value), value, moved)  # which rounding would move
            average.assign(value if id(value) in still else moved)
        if pairs := self.of_weights(still):
            weights, averages = zip(*pairs, strict=True)
            values = [tf.identity(weight) for weight in weights]
            replicas.update(averages, lambda average, value: average.assign(value), values)

    def momentum(self) -> tf.Tensor:
        """m of the step that the optimizer has just done, float32 (); 0 of its first."""
        is_first = tf.convert_to_tensor(self._optimizer.iterations) <= 1
        return tf.where(is_first, 0.0, self._optimizer.ema_momentum)

    def of_weights(self, ids: Collection[int]) -> list[tuple[keras.Variable, keras.Variable]]:
        """The weights that are among these, by `id`, and the average of each."""
        if not self._are_kept:
            return []
        pairs = zip(self._weights, self._optimizer._model_variables_moving_average, strict=True)
        return [
            (weight, average)
            for weight, average in pairs
            if id(weight) in ids and average is not None
        ]

    @property
    def are_in_network(self) -> bool:
        """Whether the network holds the averages, and not the raw weights."""
        return self._are_kept and bool(self._are_in_network.numpy())

    def swap(self, into_network: bool) -> None:
        """Puts the averages into the network, or the raw weights; where they are, nothing happens.

        Before the first step there are no averages. With several workers all must call it.
        """
        if not self._are_kept or self.are_in_network == into_network:
            return
        if into_network and not int(self._optimizer.iterations.numpy()):
            return
        of_weights = self._optimizer._model_variables_moving_average
        inside, outside = self._weights + self._statistics, of_weights + self._of_statistics
        for ours, theirs in zip(inside, outside, strict=True):
            if theirs is not None:  # which Keras keeps of no variable that gradients overwrite
                value = ours.numpy()
                ours.assign(theirs.numpy())
                theirs.assign(value)
        self._are_in_network.assign(int(into_network))

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Under it the network holds the averages; then what it held before."""
        before = self.are_in_network
        self.swap(into_network=True)
        try:
            yield
        finally:
            self.swap(into_network=before)

    @contextlib.contextmanager
    def trained(self, optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
        """Under it the network holds the raw weights, whatever Keras does at the end of `fit`.

        The optimizer is the one that `fit` asks to finalize the weights.
        """
        if not self._are_kept:
            yield
            return
        self.swap(into_network=False)
        optimizer.finalize_variable_values = lambda variables: None
        try:
            yield
        finally:
            del optimizer.finalize_variable_values
            self.swap(into_network=True)


def _variable(shape, dtype, name):
    """A variable of zeros, which each replica may set."""
    return keras.Variable(
        keras.ops.zeros(shape, dtype), dtype=dtype, trainable=False, aggregation="none", name=name
    )
