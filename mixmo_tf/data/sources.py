"""Datasets by name: where the images come from, and what is known about them."""

import dataclasses

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments

SPLITS = ("train", "test")
_CIFAR_MEAN, _CIFAR_STD = (0.49137, 0.48235, 0.44667), (0.2023, 0.1994, 0.2010)


class MissingDataError(FileNotFoundError):
    """The dataset is not on this machine; the message names the command that provides it."""


@dataclasses.dataclass(frozen=True)
class Info:
    """What training needs to know about a dataset.

    Attributes:
        name: str.
        num_examples: int, examples of the split.
        image_shape: (height, width, channels).
        class_names: tuple of str, by label.
        mean: per channel, of pixels scaled to [0, 1].
        std: per channel, of pixels scaled to [0, 1].
    """

    name: str
    num_examples: int
    image_shape: tuple
    class_names: tuple
    mean: tuple
    std: tuple

    @property
    def num_classes(self):
        return len(self.class_names)


def load_arrays(name, split, data_dir=None):
    """Loads a whole split into memory.

    Args:
        name: one of `NAMES`.
        split: "train" or "test".
        data_dir: the folder of tensorflow-datasets; None for its default,
            ~/tensorflow_datasets. `digits` needs none.

    Returns:
        images: uint8 (N, height, width, channels).
        labels: int64 (N,).
        info: Info.

    Raises:
        ValueError: if `name` or `split` is unknown.
        MissingDataError: if the dataset is not in `data_dir`.
    """
    arguments.one_of("dataset", name, NAMES)
    arguments.one_of("split", split, SPLITS)
    return _SOURCES[name](name, split, data_dir)


def load(name, split, data_dir=None):
    """Like `load_arrays`, but returns a tf.data.Dataset of (image, label), and its Info."""
    images, labels, info = load_arrays(name, split, data_dir)
    return tf.data.Dataset.from_tensor_slices((images, labels)), info


def _digits(name, split, data_dir):
    """scikit-learn's 1,797 scans of handwritten digits, 8×8, enlarged to 32×32 RGB.

    Every fifth scan is a test image: 1,437 for training, 360 for the test.
    """
    del data_dir
    from sklearn.datasets import load_digits  # imported here: only this dataset needs it

    scans = load_digits()
    is_test = np.arange(len(scans.target)) % 5 == 0
    chosen = is_test if split == "test" else ~is_test
    images = tf.image.resize(scans.images[chosen, :, :, None] * (255 / 16), (32, 32))
    images = np.repeat(np.round(images).astype(np.uint8), 3, axis=-1)  # (N, 32, 32, 3)
    labels = scans.target[chosen].astype(np.int64)
    names = tuple(str(digit) for digit in scans.target_names)
    return images, labels, Info(name, len(labels), (32, 32, 3), names, (0.5,) * 3, (0.5,) * 3)


def _cifar(name, split, data_dir):
    """CIFAR-10 or CIFAR-100 (Krizhevsky 2009), as tensorflow-datasets keeps them."""
    import tensorflow_datasets as tfds  # imported here: it takes seconds

    builder = tfds.builder(name, data_dir=data_dir)
    if split not in builder.info.splits:
        where = f" --data_dir={data_dir}" if data_dir else ""
        raise MissingDataError(
            f"{name} is not in {builder.data_path}; download it with: tfds build {name}{where}"
        )
    data = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
    names = tuple(builder.info.features["label"].names)
    labels = data["label"].astype(np.int64)
    info = Info(name, len(labels), data["image"].shape[1:], names, _CIFAR_MEAN, _CIFAR_STD)
    return data["image"], labels, info


_SOURCES = {"digits": _digits, "cifar10": _cifar, "cifar100": _cifar}
NAMES = tuple(_SOURCES)
