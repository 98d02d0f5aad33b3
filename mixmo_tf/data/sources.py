"""Datasets by name: where the images come from, and what is known about them.

A new one is a file with its function, and a line in `SOURCES`.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data import cifar, crops, digits, image_folder, imagenet, tfds_images
from mixmo_tf.data.examples import Examples, Info
from mixmo_tf.data.notices import say_once
from mixmo_tf.data.records import Records
from mixmo_tf.paths import expanded

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the images of a dataset come from.

    Attributes:
        read: function (name, split, and by keyword what it takes) -> Examples or Records.
        what: a few words for README.
        takes: which of data_dir, image_size and as_before it takes, see `load_examples`.
        splits: function (name, as_before, data_dir) -> which of `SPLITS` there are.
        argument: what follows a name that ends with a colon.
        central_fraction: how much of the shorter side of an image a model is evaluated on.
    """

    read: Callable
    what: str
    takes: tuple[str, ...] = ()
    splits: Callable = lambda name, as_before, data_dir: ("train", "test")
    argument: str = ""
    central_fraction: float = 1.0


SOURCES = {
    "digits": Source(digits.read, "1,797 handwritten digits, 8×8, enlarged; no download"),
    "cifar10": Source(cifar.read, "CIFAR-10, 32×32", ("data_dir",)),
    "cifar100": Source(cifar.read, "CIFAR-100, 32×32", ("data_dir",)),
    "tiny_imagenet": Source(imagenet.read_tiny, "Tiny ImageNet, 64×64", ("data_dir",)),
    "imagenet2012": Source(
        imagenet.read,
        "ImageNet, random crops, 224×224 or --image_size",
        ("data_dir", "image_size"),
        central_fraction=crops.CENTRAL_FRACTION,
    ),
    image_folder.PREFIX: Source(
        image_folder.read,
        "your own images, in a folder for each class",
        ("image_size", "as_before"),
        image_folder.splits,
        "PATH",
    ),
    tfds_images.PREFIX: Source(
        tfds_images.read,
        "any images of tensorflow-datasets that have one class each, by their name there",
        ("data_dir", "image_size"),
        tfds_images.splits,
        "NAME",
    ),
}
NAMES = tuple(name + source.argument for name, source in SOURCES.items())


def load_examples(
    name: str,
    split: str,
    data_dir: str | os.PathLike | None = None,
    validation_examples: int = 0,
    image_size: int | None = None,
    as_before: bool = False,
) -> Examples | Records:
    """Finds a split; a dataset of tensorflow-datasets is downloaded if need be.

    Args:
        name: one of `NAMES`; "image_folder:PATH" with a path, "tfds:NAME" with a name.
        split: one of `SPLITS`. "test" are the images that published numbers are for, which
            ImageNet and Tiny ImageNet call validation images; "validation" are training images
            that were held out, or, if none are to be, an image folder's `val/` beside `test/`.
        data_dir: the folder of tensorflow-datasets; None for its default,
            ~/tensorflow_datasets.
        validation_examples: int, training images to hold out; "train" is without them.
        image_size: int, pixels, the height and width that images are brought to: those of
            image folders, see `image_folder.read`, of ImageNet (224 if None), and of "tfds:NAME"
            (its own if None).
        as_before: bool, whether the `val/` of an image folder is for the test and its `test/` for
            nothing, as before 0.2.

    Returns:
        Examples; Records for ImageNet.

    Raises:
        ValueError: if an argument is out of range, or the data is damaged.
        MissingDataError: if a dataset is missing, and cannot be downloaded.
        FileNotFoundError: if an image folder is missing.
    """
    arguments.one_of("split", split, SPLITS)
    _check(name, data_dir, validation_examples, image_size, as_before)
    has_validation = validation_examples or has_validation_split(name, as_before, data_dir)
    if split == "validation" and not has_validation:
        raise ValueError("the split validation needs validation_examples > 0")
    if split == "test" or not validation_examples:
        return _read(name, split, data_dir, image_size, as_before)
    train = _read(name, "train", data_dir, image_size, as_before)
    train, held_out = train.hold_out(validation_examples)
    return train if split == "train" else held_out


def load_splits(
    name: str,
    data_dir: str | os.PathLike | None = None,
    validation_examples: int = 0,
    image_size: int | None = None,
    as_before: bool = False,
) -> dict[str, Examples | Records]:
    """`load_examples` of every split that there is, by its name; no image is looked at twice."""
    _check(name, data_dir, validation_examples, image_size, as_before)
    how = data_dir, image_size, as_before
    examples = {"train": _read(name, "train", *how)}
    if validation_examples:
        parts = examples["train"].hold_out(validation_examples)
        examples["train"], examples["validation"] = parts
    elif has_validation_split(name, as_before, data_dir):
        examples["validation"] = _read(name, "validation", *how)
    if has_test_split(name, as_before, data_dir):
        examples["test"] = _read(name, "test", *how)
    return examples


def load_arrays(
    name: str, split: str, data_dir: str | os.PathLike | None = None, **options: Any
) -> tuple[np.ndarray, np.ndarray, Info]:
    """`load_examples`, whole in memory.

    Returns:
        images: uint8 (N, height, width, channels).
        labels: int64 (N,).
        info: Info.
    """
    examples = load_examples(name, split, data_dir, **options).in_memory()
    return examples.images, examples.labels, examples.info


def load(
    name: str, split: str, data_dir: str | os.PathLike | None = None, **options: Any
) -> tuple[tf.data.Dataset, Info]:
    """`load_examples` as a tf.data.Dataset of (uint8 image, int64 label), and its Info.

    The images are decoded as they are needed.
    """
    examples = load_examples(name, split, data_dir, **options)
    return examples.batches(1).unbatch(), examples.info


def has_test_split(name: str, as_before: bool = False, data_dir: str | None = None) -> bool:
    """Whether a dataset has test images apart from its training images."""
    return "test" in _splits(name, as_before, data_dir)


def has_validation_split(name: str, as_before: bool = False, data_dir: str | None = None) -> bool:
    """Whether a dataset has images to validate on, apart from those to train and to test on."""
    return "validation" in _splits(name, as_before, data_dir)


def full_name(name: str) -> str:
    """The one name of a dataset: that of an image folder with its absolute path.

    What has a name of its own here and is called by that of tensorflow-datasets, such as
    "tfds:cifar10", has its own.

    Raises:
        FileNotFoundError: if the path begins with ~NAME and there is no such home folder.
    """
    if not is_folder(name):
        rest = name.removeprefix(tfds_images.PREFIX)
        return rest if rest in SOURCES else name
    path = expanded(name.removeprefix(image_folder.PREFIX))
    return image_folder.PREFIX + os.path.abspath(path)


def is_folder(name: str) -> bool:
    """Whether the name is that of an image folder."""
    arguments.text("dataset", name)
    return name.startswith(image_folder.PREFIX) and name != image_folder.PREFIX


def check_name(name: str) -> None:
    """Raises ValueError unless the name is that of a dataset; its images may be missing."""
    if _source(name) is None:
        known, folder = ", ".join(NAMES), image_folder.PREFIX + name
        way_out = f"; {folder} is that folder's" if os.path.isdir(expanded(name)) else ""
        raise ValueError(f"dataset must be one of {known}, got {name!r}{way_out}")


def check_image_size(name: str, image_size: int) -> None:
    """Raises ValueError unless the images of a dataset can be brought to this height and width."""
    arguments.count("image_size", image_size, 1, arguments.LARGEST_SIDE)
    if not takes_image_size(name):
        known = " or ".join(each for each in NAMES if takes_image_size(each))
        raise ValueError(f"image_size is for {known}, got {image_size} for {name}")


def takes_image_size(name: str) -> bool:
    """Whether a dataset's images have no size of their own."""
    source = _source(name)
    return source is not None and "image_size" in source.takes


def central_fraction(name: str) -> float:
    """How much of the shorter side of an image a model of a dataset is evaluated on."""
    source = _source(name)
    return source.central_fraction if source else 1.0


def _source(name):
    """The Source of a name; None if there is none."""
    arguments.text("dataset", name)
    rest = name.removeprefix(tfds_images.PREFIX)
    kind, colon, argument = (rest if rest in SOURCES else name).partition(":")
    return SOURCES.get(kind + colon) if bool(colon) == bool(argument) else None


def _splits(name, as_before, data_dir):
    """Which of `SPLITS` there are; of a name that is none "test", as `check_name` says it."""
    source = _source(name)
    return source.splits(full_name(name), as_before, data_dir) if source else ("test",)


def _check(name, data_dir, validation_examples, image_size, as_before):
    """Raises ValueError where an argument of `load_examples` is out of range."""
    check_name(name)
    arguments.count("validation_examples", validation_examples, 0)
    if image_size is not None:
        check_image_size(name, image_size)
    if data_dir is not None:
        arguments.path("data_dir", data_dir)
    if validation_examples and has_validation_split(name, as_before, data_dir):
        say_once(f"{name}: its own validation images are not used, as training images are held out")


def _read(name, split, data_dir, image_size, as_before):
    """A split of a dataset as it is, with nothing held out."""
    source = _source(name)
    options = {"data_dir": data_dir, "image_size": image_size, "as_before": as_before}
    return source.read(full_name(name), split, **{each: options[each] for each in source.takes})
