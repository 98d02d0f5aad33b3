"""Batches of a user's dataset that are not full are left out."""

import tensorflow as tf

from mixmo_tf.data import stream


def full_batches(dataset: tf.data.Dataset, replicas: int = 1) -> tf.data.Dataset:
    """Drops batches that are empty, or smaller than the first, as a dataset's last one may be.

    An incomplete batch would make XLA compile anew, and leave a replica without images.

    Args:
        dataset: batched tf.data.Dataset of (images, labels) or (images, labels, weights).
        replicas: int; each is to get the same share of a batch.

    Returns:
        tf.data.Dataset of the same elements.

    Raises:
        ValueError: if the size of the batches is fixed, and no multiple of `replicas`.
        tf.errors.InvalidArgumentError: the same, where the size shows in the data only.
    """
    if not isinstance(dataset, tf.data.Dataset):
        raise ValueError(f"dataset must be a tf.data.Dataset, got a {type(dataset).__name__}")
    images = tf.nest.flatten(dataset.element_spec)[0]
    if images.shape.rank is None:
        return dataset
    if images.shape[0] is not None:
        stream.check_shares(images.shape[0], replicas)
        return dataset

    @stream.as_it_is
    def compare_with_first(first_size, batch):
        size = tf.shape(batch[0], tf.int64)[0]
        first_size = tf.where(first_size == 0, size, first_size)  # empty ones do not count
        message = f"batch_size must be a multiple of the {replicas} replicas"
        tf.debugging.Assert(first_size % replicas == 0, [message])
        return first_size, ((size > 0) & (size == first_size), batch)

    @stream.as_it_is
    def is_full(full, batch):
        return full

    @stream.as_it_is
    def only_batch(full, batch):
        return batch

    compared = dataset.scan(tf.constant(0, tf.int64), compare_with_first)
    return compared.filter(is_full).map(only_batch)
