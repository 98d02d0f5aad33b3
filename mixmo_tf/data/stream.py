"""Training batches of a fixed size, in an order that is a pure function of (seed, step)."""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments, seeds

_READS = 8  # batches that are read at once, from files
_HOST, _ORDER = -1, -2  # replicas in the seeds of what is drawn here: none
as_it_is = tf.autograph.experimental.do_not_convert  # which would take a second to find nothing


class Shares(NamedTuple):
    """What one of several workers reads: of the `count` equal shares of each batch, `held`."""

    count: int = 1  # shares of a batch, as many as there are replicas
    first: int = 0  # the first of those that are read
    held: int = 1  # how many are read, one after the other

    def rows(self, element: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
        """The step, from 0, that an element of the stream belongs to, and its rows (size,)."""
        share = self.first + element % self.held
        return element // self.held, share * size + tf.range(size, dtype=tf.int64)


WHOLE = Shares()


def training_batches(
    arrays: Sequence,
    batch_size: int,
    seed: int,
    start_step: int | tf.Tensor = 0,
    epoch_start: int | tf.Tensor = 0,
    shuffle: bool = True,
    read: Callable | None = None,
    decode: Callable | None = None,
    row_seeds: bool = False,
    shares: Shares = WHOLE,
) -> tf.data.Dataset:
    """Serves arrays, without end.

    Every epoch has an order of its own and visits each example at most once; the examples
    that would fill only a part of a batch are left for another epoch's order.

    Args:
        arrays: tuple of arrays (N, ...), such as uint8 images and integer labels.
        batch_size: int n <= N.
        seed: int in [0, 2^31).
        start_step: int, or int64 (), the step of the first batch; the stream of a run that
            continues.
        epoch_start: int <= start_step, a step at which an epoch began; the next ones begin
            every ⌊N/n⌋ steps from there.
        shuffle: bool; False keeps the order of the arrays.
        read: None, or a function of a batch's tensors that gives others with as many rows,
            such as the content of files.
        decode: None, or a function of one row's tensors, such as a path and a label, that
            gives what is served in their place, such as an image and a label. Runs on all
            cores.
        row_seeds: bool, whether a row ends with a seed, int32 (2,), for `decode` to draw
            with; a function of the seed, the step and the row.
        shares: Shares; an element is a share of a batch, n / count of its rows.

    Returns:
        infinite tf.data.Dataset of tuples (n, ...); its element t is the batch of the step
        start_step + t; with `shares`, `held` elements in a row belong to a step.

    Raises:
        ValueError: if the arrays differ in length, N < n, or n cannot be shared alike.
    """
    num_examples = _length(arrays)
    batch_size, seed = _checked(num_examples, batch_size, seed, shares)
    arrays = _on_cpu(arrays)
    steps_per_epoch = num_examples // batch_size
    size = batch_size // shares.count

    def batch(step, indices, rows):
        """The content of the batch of a step, its rows (size,) of examples `indices`."""
        content = tuple(tf.gather(array, indices) for array in arrays)
        if row_seeds:
            of_batch = seeds.split_rows(seeds.step_seed(seed, step, _HOST), batch_size)
            content += (tf.gather(of_batch, rows),)
        return content

    @as_it_is
    def epoch(number):
        """The batches of an epoch; of that in which the stream starts, those that are left."""
        first_step = epoch_start + number * steps_per_epoch
        order = tf.range(num_examples, dtype=tf.int64)
        if shuffle:
            order = permutation(num_examples, seeds.step_seed(seed, first_step, _ORDER))

        def of_epoch(element):
            position, rows = shares.rows(element, size)
            indices = tf.gather(order, position * batch_size + rows)
            return batch(first_step + position, indices, rows)

        start = tf.maximum(start_step - first_step, 0) * shares.held
        return tf.data.Dataset.range(start, steps_per_epoch * shares.held).map(of_epoch)

    first_epoch = (start_step - epoch_start) // steps_per_epoch
    batches = tf.data.Dataset.counter(tf.cast(first_epoch, tf.int64)).flat_map(epoch)
    if read:
        batches = batches.map(read, num_parallel_calls=_READS)
    if decode:
        batches = _decoded(batches, decode).batch(size, drop_remainder=True)
    return batches.prefetch(2).with_options(without_autotune())


def training_batches_from(
    read_step: Callable[[], int],
    arrays: Sequence,
    batch_size: int,
    seed: int,
    shuffle: bool = True,
    shares: Shares = WHOLE,
) -> tf.data.Dataset:
    """`training_batches` that start, with an epoch, at the step that is when they are asked for.

    Callbacks of `fit` may load a model, and with it another step, when `fit` has its data.

    Args:
        read_step: function that gives the step, an int; called once by each iterator.
        arrays, batch_size, seed, shuffle, shares: as in `training_batches`.
    """
    _checked(_length(arrays), batch_size, seed, shares)
    arrays = _on_cpu(arrays)  # here, or they would become constants of the functions below

    @as_it_is
    def step(_):
        value = tf.numpy_function(lambda: np.int64(read_step()), [], tf.int64)
        return tf.ensure_shape(value, [])

    @as_it_is
    def batches_from(step):
        return training_batches(arrays, batch_size, seed, step, step, shuffle, shares=shares)

    batches = tf.data.Dataset.from_tensors(0).map(step).flat_map(batches_from)
    return batches.with_options(without_autotune())


def permutation(count: int, seed: tf.Tensor) -> tf.Tensor:
    """A uniform permutation of 0 … count - 1, int64 (count,), from a seed int32 (2,).

    It is the ranks of random 64-bit keys, of which hardly two are alike;
    `tf.random.experimental.index_shuffle` would need no memory, but favours some orders.
    """
    keys = seeds.bits([count], seed)
    return tf.cast(tf.argsort(keys, direction="DESCENDING", stable=True), tf.int64)


def evaluation_batches(
    arrays: Sequence,
    batch_size: int,
    read: Callable | None = None,
    decode: Callable | None = None,
    shares: Shares = WHOLE,
) -> tf.data.Dataset:
    """Serves each element of the arrays once, in order.

    Args:
        arrays: tuple of arrays (N, ...).
        batch_size: int n >= 1; the last batch may be smaller.
        read, decode: as in `training_batches`.
        shares: Shares; an element is then a share of a batch, ⌈n / count⌉ of its rows or
            fewer. Every worker gets the same number of elements, the last ones may be empty.

    Returns:
        tf.data.Dataset of tuples (<= n, ...).
    """
    num_examples = _length(arrays)
    batch_size = arguments.count("batch_size", batch_size, 1)
    arrays = _on_cpu(arrays)
    size = -(-batch_size // shares.count)
    num_elements = -(-num_examples // batch_size) * shares.held

    @as_it_is
    def batch(element):
        start = element // shares.held * batch_size
        end = tf.minimum(start + batch_size, num_examples)
        start = tf.minimum(start + (shares.first + element % shares.held) * size, end)
        return tuple(array[start : tf.minimum(start + size, end)] for array in arrays)

    batches = tf.data.Dataset.range(num_elements).map(batch)
    if read:
        batches = batches.map(read, num_parallel_calls=_READS)
    if decode:
        batches = _decoded(batches, decode).batch(size)
        empty = tf.nest.map_structure(
            lambda spec: tf.zeros([0, *spec.shape[1:]], spec.dtype), batches.element_spec
        )
        batches = batches.concatenate(tf.data.Dataset.from_tensors(empty).repeat())
        batches = batches.take(num_elements)
    batches = batches.apply(tf.data.experimental.assert_cardinality(num_elements))
    return batches.prefetch(2).with_options(without_autotune())


def without_autotune() -> tf.data.Options:
    """Options for tf.data that switch its tuning off.

    The tuning thread sleeps for longer and longer, up to a minute, and the end of an iterator
    waits for it: a `fit` of 7 s would take 10.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def check_shares(batch_size: int, replicas: int) -> None:
    """Raises ValueError unless `batch_size` is a multiple of `replicas`."""
    if batch_size % replicas:
        raise ValueError(
            f"batch_size must be a multiple of the {replicas} replicas, got {batch_size}"
        )


def _checked(num_examples, batch_size, seed, shares):
    """The size and the seed, int."""
    batch_size = arguments.whole("batch_size", batch_size)
    seed = arguments.count("seed", seed, 0)
    if not 1 <= batch_size <= num_examples:
        raise ValueError(
            f"batch_size must be in [1, {num_examples}], the number of examples, got {batch_size}"
        )
    check_shares(batch_size, shares.count)
    return batch_size, seed


def _length(arrays):
    """How many examples there are.

    Raises:
        ValueError: unless `arrays` is a tuple or list of arrays of one length.
    """
    try:
        lengths = [len(array) for array in arrays]
    except TypeError:
        lengths = []
    if not lengths or isinstance(arrays, (str, dict)):
        raise ValueError(f"arrays must be a tuple of arrays, got a {type(arrays).__name__}")
    if len(set(lengths)) > 1:
        raise ValueError(f"arrays must be of one length, got {lengths}")
    return lengths[0]


def _on_cpu(arrays):
    with tf.device("CPU"):
        return tuple(tf.convert_to_tensor(array) for array in arrays)


def _decoded(batches, decode):
    """Single rows of `batches`, decoded."""
    return batches.unbatch().map(decode, num_parallel_calls=os.cpu_count())
