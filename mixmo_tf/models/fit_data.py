"""What `fit` trains on and evaluates with: arrays and datasets as batches for the replicas."""

from typing import Any

import keras
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data import arrays, checks, stream
from mixmo_tf.data.incomplete import full_batches
from mixmo_tf.distribution import replicas


def prepare(
    model: keras.Model,
    *,
    x: Any,
    y: arguments.Array | None,
    batch_size: int | None,
    validation_split: float,
    validation_data: Any,
    shuffle: bool,
    class_weight: dict[int, float] | None,
    sample_weight: arguments.Array | None,
    steps_per_epoch: int | None,
    **options: Any,
) -> dict:
    """The arguments of `keras.Model.fit` that say what data there is, a dict, from ours.

    Arrays become a stream in the order of (seed, step), of the step at which its iterator is
    made; a tf.data.Dataset is cut to full batches. Both are split for the replicas.

    Raises:
        ValueError: if no batch is left, or an array is wrong.
    """
    strategy = model.distribute_strategy
    if class_weight is not None:
        checks.check_class_weight(class_weight, model.num_classes)
        # Keras has no weight of 1 for a class that is not named
        class_weight = {c: class_weight.get(c, 1.0) for c in range(model.num_classes)}
    if isinstance(x, tf.data.Dataset):
        x, shuffle = full_batches(x, strategy.num_replicas_in_sync), False
        if class_weight is None and strategy.num_replicas_in_sync > 1:  # Keras joins weights to it
            x = replicas.split(strategy, x)
    elif arrays.are_arrays([x]):
        size = arguments.whole("batch_size", 32 if batch_size is None else batch_size)
        stream.check_shares(size, strategy.num_replicas_in_sync)
        content = arrays.weighted(
            x, y, model.image_shape, model.num_classes, sample_weight, class_weight
        )
        if validation_split and validation_data is None:
            content, validation_data = arrays.split(content, validation_split)
        shuffles = shuffle
        x = replicas.distribute(
            strategy,
            lambda shares: stream.training_batches_from(
                model.step.numpy, content, size, model.seed, shuffles, shares
            ),
        )
        steps_per_epoch = steps_per_epoch or len(content[0]) // size
        options.setdefault("validation_batch_size", size)
        y = batch_size = sample_weight = class_weight = None
        validation_split, shuffle = 0.0, False
    if isinstance(validation_data, (tuple, list)) and arrays.are_arrays(validation_data[:1]):
        images, labels, *weights = validation_data
        batch = options.pop("validation_batch_size", None) or batch_size or 32
        validation_data = model.evaluation_batches(images, labels, *weights, batch_size=batch)
    if isinstance(validation_data, tf.data.Dataset):
        validation_data = replicas.split(strategy, validation_data)
    return {
        "x": x,
        "y": y,
        "batch_size": batch_size,
        "validation_split": validation_split,
        "validation_data": validation_data,
        "shuffle": shuffle and not isinstance(x, tf.distribute.DistributedDataset),
        "class_weight": class_weight,
        "sample_weight": sample_weight,
        "steps_per_epoch": steps_per_epoch,
        **options,
    }
