"""What replicas and workers share: parts of a batch, statistics, logs, what the chief knows.

A worker is a process; the replicas are all workers' devices. The chief is the worker that
writes files.
"""

import contextlib
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from mixmo_tf.data import stream

_LOST = (  # what a collective operation raises when another worker is gone
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
_WORD = np.dtype(np.int64)  # as which arrays travel: in one sum, which changes no bit
_OF_GPU_COLLECTIVES = "NCCL", "ollective", "unhealthy"  # in what they say of a lost worker


Batches: TypeAlias = tf.data.Dataset | tf.distribute.DistributedDataset


class WorkerLostError(RuntimeError):
    """Another worker has ended, and training cannot go on without it."""


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """How many processes train together; 1 unless the strategy is a multi-worker one."""
    resolver = strategy.cluster_resolver
    tasks = resolver.cluster_spec().as_dict() if resolver else {}
    return max(sum(len(tasks.get(job, ())) for job in ("chief", "worker")), 1)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the chief: the only one, or the first."""
    if num_workers(strategy) == 1:
        return True
    resolver = strategy.cluster_resolver
    has_chief = "chief" in resolver.cluster_spec().jobs
    return resolver.task_type == "chief" or (not has_chief and resolver.task_id == 0)


def distribute(strategy: tf.distribute.Strategy, batches_of: Callable) -> Batches:
    """Gives each worker its shares of every batch, of what `batches_of` makes of stream.Shares.

    Returns:
        What `fit` and `evaluate` take: with one replica the dataset of whole batches; else a
        tf.distribute.DistributedDataset.
    """
    if num_workers(strategy) == 1:
        return split(strategy, batches_of(stream.WHOLE))

    def shares_of_worker(context):
        held = context.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * held
        return batches_of(stream.Shares(context.num_replicas_in_sync, first, held))

    return strategy.distribute_datasets_from_function(shares_of_worker)


def split(strategy: tf.distribute.Strategy, dataset: tf.data.Dataset) -> Batches:
    """Splits the batches of a tf.data.Dataset for the replicas of this worker, if several."""
    if strategy.num_replicas_in_sync == 1 or num_workers(strategy) > 1:
        return dataset
    return strategy.experimental_distribute_dataset(dataset)


def for_every_worker(strategy: tf.distribute.Strategy, dataset: tf.data.Dataset) -> Batches:
    """Lets every worker read all of a tf.data.Dataset, for `predict`."""
    if num_workers(strategy) == 1:
        return split(strategy, dataset)
    return strategy.distribute_datasets_from_function(lambda context: dataset)


def from_chief(strategy: tf.distribute.Strategy, arrays: list) -> list:
    """What the chief has, bit for bit, on every worker; all must call it at the same point.

    The arrays of the other workers are there for their shapes and dtypes only.
    """
    if num_workers(strategy) == 1:
        return arrays
    arrays = list(map(np.asarray, arrays))
    content = b"".join(array.tobytes() for array in arrays)
    words = -(-len(content) // _WORD.itemsize)
    ours = np.frombuffer(content.ljust(words * _WORD.itemsize, b"\0"), _WORD)

    def of_first_replica(ours):
        is_first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
        return tf.where(is_first, ours, tf.zeros_like(ours))

    @tf.function(autograph=False)
    def chiefs(ours):
        return strategy.reduce("SUM", strategy.run(of_first_replica, args=(ours,)), axis=None)

    found, begin, parts = chiefs(tf.constant(ours)).numpy().tobytes(), 0, []
    for array in arrays:
        end = begin + array.nbytes
        parts.append(np.frombuffer(found[begin:end], array.dtype).reshape(array.shape))
        begin = end
    return parts


def check_same(
    strategy: tf.distribute.Strategy, what: str, parts: Iterable[bytes | np.ndarray]
) -> None:
    """Raises ValueError, on each worker that differs, unless all have what the chief has.

    `what` is for the message.
    """
    if num_workers(strategy) == 1:
        return
    ours = 0
    for part in parts:
        ours = zlib.crc32(np.ascontiguousarray(part).data if hasattr(part, "shape") else part, ours)
    (chiefs,) = from_chief(strategy, [np.array(ours, np.int64)])
    if ours != chiefs:
        raise ValueError(f"this worker has other {what} than the chief")


@contextlib.contextmanager
def chief_first(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """What is done under it the chief does first; then the others, all at once."""
    barrier = [np.zeros([], np.int32)]
    if not is_chief(strategy):
        from_chief(strategy, barrier)
    yield
    if is_chief(strategy):
        from_chief(strategy, barrier)


@contextlib.contextmanager
def watch(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Makes the end of another worker a WorkerLostError, whatever TensorFlow calls it."""
    try:
        yield
    except tf.errors.OpError as error:
        if num_workers(strategy) == 1 or not is_lost_worker(error):
            raise
        raise WorkerLostError("another worker has ended, or cannot be reached") from error


def is_lost_worker(error: tf.errors.OpError) -> bool:
    """Whether a TensorFlow error may mean that another worker is gone."""
    if isinstance(error, (tf.errors.InternalError, tf.errors.UnknownError)):
        return any(word in error.message for word in _OF_GPU_COLLECTIVES)
    return isinstance(error, _LOST)


def average(variables: Sequence[keras.Variable]) -> None:
    """Sets each float variable to its mean over the replicas; called in replica context.

    Keras creates batch-norm statistics without aggregation: each replica keeps its own, and
    evaluation would read those of replica 0.
    """
    context = tf.distribute.get_replica_context()
    variables = [v for v in variables if "float" in v.dtype]
    if context.num_replicas_in_sync == 1 or not variables:
        return
    with tf.device(variables[0].value.device):  # all_reduce asks where the vector is
        vector = flat([v.value for v in variables])
    mean = context.all_reduce("MEAN", vector)
    for variable, value in zip(variables, unflat(mean, [v.shape for v in variables]), strict=True):
        variable.assign(value)


def finite_on_all(
    gradients: list[tf.Tensor], variables: Sequence[keras.Variable]
) -> list[tf.Tensor]:
    """Gradients of variables that are NaN on all replicas if one replica's are not finite.

    A loss-scaling optimizer looks at its own replica's gradients, and would leave a step out
    on one replica and not on another; called in replica context.
    """
    if tf.distribute.get_replica_context().num_replicas_in_sync == 1:
        return gradients
    finite = are_finite(gradients, variables[0])
    return [tf.where(finite, g, tf.cast(np.nan, g.dtype)) for g in gradients]


def are_finite(tensors: Iterable[tf.Tensor | None], variable: keras.Variable) -> tf.Tensor:
    """Whether the tensors of all replicas are finite, bool (); called in replica context.

    `variable` is one that lies on the replica's device.
    """
    context = tf.distribute.get_replica_context()
    with tf.device(variable.value.device):  # all_reduce asks where the number is
        each = [tf.reduce_all(tf.math.is_finite(t)) for t in tensors if t is not None]
        finite = tf.reduce_all(each)
        if context.num_replicas_in_sync == 1:
            return finite
        bad = tf.cast(~finite, tf.float32)
    return context.all_reduce("SUM", bad) == 0


def either(
    condition: tf.Tensor, do: Callable, otherwise: Callable, arguments: tuple[Any, ...]
) -> None:
    """`tf.cond` for functions that exchange something between replicas.

    Called in replica context, where `tf.cond` allows no such function. The condition, bool (), is
    the same on all replicas, the arguments are this replica's, and results are dropped.
    """

    def across(strategy, condition, *arguments):
        def on_each(function):
            strategy.extended.call_for_each_replica(function, args=arguments)

        first = strategy.experimental_local_results(condition)[0]
        tf.cond(first, lambda: on_each(do), lambda: on_each(otherwise))

    tf.distribute.get_replica_context().merge_call(across, args=(condition, *arguments))


def update(
    variables: Sequence[keras.Variable], function: Callable, values: Sequence[tf.Tensor]
) -> None:
    """Changes trainable variables on each replica by itself, as optimizers do.

    An assignment would exchange them first, and take the mean. Called in replica context, with this
    replica's values; `function` gets each variable and its value, on each replica, and assigns.
    """

    def across(strategy, *values):
        for variable, value in zip(variables, values, strict=True):
            strategy.extended.update(variable.value, function, args=(value,), group=False)

    tf.distribute.get_replica_context().merge_call(across, args=tuple(values))


def flat(tensors: Iterable[tf.Tensor]) -> tf.Tensor:
    """Tensors of one dtype as one vector: one exchange costs less than many."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)


def unflat(vector: tf.Tensor, shapes: Sequence[tf.TensorShape]) -> list[tf.Tensor]:
    """The tensors of these shapes that `flat` made a vector of."""
    sizes = [math.prod(shape) for shape in shapes]
    return [
        tf.reshape(part, shape) for part, shape in zip(tf.split(vector, sizes), shapes, strict=True)
    ]
