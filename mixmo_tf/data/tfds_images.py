"""Any images of tensorflow-datasets with a class each, by their name there: "tfds:mnist".

Size, channels and classes are those that the dataset says of itself. A name may have a
configuration and a version, as tensorflow-datasets writes them: "tfds:name/config:1.0.0".
"""

import os
import pathlib

import numpy as np
import tensorflow as tf

from mixmo_tf.data import crops, prepared, stream
from mixmo_tf.data.examples import Examples, Info
from mixmo_tf.paths import expanded

PREFIX = "tfds:"
_READ_BATCH = 1000


def read(name: str, split: str, data_dir: str | None, image_size: int | None = None) -> Examples:
    """A split, its images still encoded; it is downloaded and prepared if need be.

    Args:
        name: "tfds:NAME".
        split: "train"; "test", the dataset's own, or else its validation images; "validation",
            where it has both.
        data_dir: the folder of tensorflow-datasets.
        image_size: int >= 1, pixels: the central square of each image is scaled to this height and
            width. None where all images have one size.

    Raises:
        ValueError: if there is no such dataset or split, it has no images with a class each, or
            they have many sizes and no `image_size` is given.
        MissingDataError: if it is missing, and cannot be downloaded.
    """
    examples = read_unsized(name, split, data_dir)
    height, width, channels = examples.info.image_shape
    if image_size is None:
        if None in (height, width):
            raise ValueError(f"{name} has images of many sizes: set image_size, in pixels")
        return examples

    def decode(image):
        return crops.central_square(examples.decode(image), image_size)

    return examples.changed(decode, (image_size, image_size, channels))


def read_unsized(name: str, split: str, data_dir: str | None) -> Examples:
    """`read`, each image as it is; the Info's height and width are None where they differ."""
    import tensorflow_datasets as tfds  # imported here: it takes seconds

    builder = _builder(name, data_dir)
    in_tfds = _in_tfds(builder).get(split)
    if in_tfds is None:
        there = ", ".join(builder.info.splits)
        raise ValueError(f"{name} has no {split} images; its splits are: {there}")
    image, label = _features(builder, name)
    shape = builder.info.features[image].shape
    classes = tuple(builder.info.features[label].names)
    encoded = {image: tfds.decode.SkipDecoding()}
    try:
        rows = builder.as_dataset(split=in_tfds, decoders=encoded)
        rows = rows.map(lambda row: (row[image], row[label])).batch(_READ_BATCH)
        rows = rows.with_options(stream.without_autotune())
        parts = list(rows.as_numpy_iterator())
    except tf.errors.OpError as error:
        raise ValueError(
            f"{builder.data_path} is damaged ({error.message}); remove it, to prepare it again"
        ) from error
    if not parts:
        raise ValueError(f"{name} has no images in its split {in_tfds}")
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    if labels.min() < 0:
        raise ValueError(f"{name} has no labels in its split {in_tfds}")
    names = np.array([f"{builder.info.full_name}/{in_tfds}/{i}" for i in range(len(labels))])
    halves = (0.5,) * shape[2]
    info = Info(name, len(labels), shape, classes, halves, halves)

    @stream.as_it_is
    def decode(image):
        pixels = tf.io.decode_image(image, channels=shape[2], expand_animations=False)
        return tf.ensure_shape(pixels, shape)

    return Examples(images, labels.astype(np.int64), info, decode, names, f"{builder.data_path}: ")


def splits(name: str, as_before: bool, data_dir: str | None) -> list[str]:
    """Which of `data.SPLITS` a dataset has; to know that, it is prepared."""
    del as_before  # of image folders
    return list(_in_tfds(_builder(name, data_dir)))


def knows(name: str) -> bool:
    """Whether tensorflow-datasets has a dataset of this name, such as "mnist", or of its base."""
    import tensorflow_datasets as tfds

    builders = tfds.list_builders(with_community_datasets=False)  # whose list is on the network
    return name.partition("/")[0].partition(":")[0] in builders


def is_prepared(name: str, data_dir: str | None) -> bool:
    """Whether "tfds:NAME" is on this machine, ready to be read."""
    folder = data_folder(data_dir) / name.removeprefix(PREFIX).partition("/")[0].partition(":")[0]
    return folder.is_dir() and _unprepared(name, data_dir).is_prepared()


def data_folder(data_dir: str | None) -> pathlib.Path:
    """The folder of tensorflow-datasets: `data_dir`, or its default where that is None."""
    of_environment = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return expanded(data_dir or of_environment)


def _builder(name, data_dir):
    builder = _unprepared(name, data_dir)
    return prepared.prepare(builder, by_hand=bool(builder.MANUAL_DOWNLOAD_INSTRUCTIONS))


def _unprepared(name, data_dir):
    import tensorflow_datasets as tfds  # imported here: it takes seconds

    try:
        return tfds.builder(name.removeprefix(PREFIX), data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError, ImportError) as error:
        reason = next(filter(None, map(str.strip, str(error).split("\n"))), type(error).__name__)
        raise ValueError(f"tensorflow-datasets cannot give {name}: {reason}") from None


def _in_tfds(builder):
    """The names that tensorflow-datasets has for our splits, by ours."""
    there = set(builder.info.splits)
    names = {"train": "train", "test": "test" if "test" in there else "validation"}
    if {"test", "validation"} <= there:
        names["validation"] = "validation"
    return {ours: theirs for ours, theirs in names.items() if theirs in there}


def _features(builder, name):
    """The names of the features that are the image and its class."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    if (keys := builder.info.supervised_keys) and all(isinstance(key, str) for key in keys):
        candidates = {key: features[key] for key in keys}
    else:
        candidates = dict(features.items())
    images = [key for key, each in candidates.items() if isinstance(each, tfds.features.Image)]
    labels = [key for key, each in candidates.items() if isinstance(each, tfds.features.ClassLabel)]
    if len(images) != 1 or len(labels) != 1 or features[images[0]].np_dtype != np.uint8:
        raise ValueError(f"{name} is no dataset of uint8 images with a class each")
    return images[0], labels[0]
