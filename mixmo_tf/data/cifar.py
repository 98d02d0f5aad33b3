"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), as tensorflow-datasets keeps them."""

import os

from mixmo_tf.data import prepared
from mixmo_tf.data.examples import Examples

MEAN, STD = (0.49137, 0.48235, 0.44667), (0.2023, 0.1994, 0.2010)


def read(name: str, split: str, data_dir: str | os.PathLike | None) -> Examples:
    """A split, its images still encoded."""
    import tensorflow_datasets as tfds  # imported here: it takes seconds

    builder = prepared.prepare(tfds.builder(name, data_dir=data_dir))
    names = tuple(builder.info.features["label"].names)
    return prepared.encoded(builder, split, names, "id", mean=MEAN, std=STD)
