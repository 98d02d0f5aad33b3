"""A user's own images: one folder per class, below `train/` and `val/`, or without these.

    flowers/train/rose/*.jpg          flowers/rose/*.jpg
    flowers/train/tulip/*.png    or   flowers/tulip/*.png
    flowers/val/rose/*.jpg            (validation images are held out)
    flowers/val/tulip/*.png

The files are read where they are, in formats that `tf.io.decode_image` decodes right (it takes
the palette of a BMP for grey).
"""

import os
import pathlib

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data import crops
from mixmo_tf.data.examples import DamagedImageError, Examples, Info

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif")  # in any case
_SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing"}
PREFIX = "image_folder:"


def read(name, split, image_size=None):
    """Lists the images of a split. The images themselves are read when they are needed.

    Args:
        name: "image_folder:PATH".
        split: "train", or "test", which is what `val/` holds.
        image_size: int, pixels: the central square of each image is scaled to this height and
            width. None where all images have the size of the first.

    Returns:
        Examples of three channels.

    Raises:
        FileNotFoundError: if there is no such folder, or a class has none in `val/`.
        ValueError: if a class folder is empty, `val/` has a class that `train/` has not, or
            `image_size` is out of range.
        DamagedImageError: if the first image cannot be read.
    """
    root = pathlib.Path(name.removeprefix(PREFIX))
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    if image_size is not None:
        arguments.at_least("image_size", image_size, 1)
    has_splits = (root / "train").is_dir()
    train_folder = root / "train" if has_splits else root
    class_names = tuple(sorted(folder.name for folder in _folders(train_folder)))
    if len(class_names) < 2:
        raise ValueError(f"{train_folder} must have a folder per class, 2 or more")
    if not has_splits and set(class_names) <= _SPLIT_NAMES:
        names = " and ".join(class_names)
        raise ValueError(f"{root} has the folders {names}; name them train and val")
    folder = train_folder
    if split == "test":
        folder = root / "val"
        if not folder.is_dir():
            raise FileNotFoundError(f"{root} has no val folder, so no test images")
        _check_classes(folder, train_folder, class_names)
    paths, labels = _list_images(folder, class_names)
    decode = _decoder(image_size)
    encoded_paths = np.array([os.fsencode(path) for path in paths], object)
    try:
        shape = tuple(decode(tf.constant(encoded_paths[0])).shape)
    except tf.errors.OpError:
        raise DamagedImageError(f"cannot read {paths[0]}: it is no image") from None
    location = f"{folder}{os.sep}"
    return Examples(
        images=encoded_paths,
        labels=labels,
        info=Info(name, len(paths), shape, class_names),
        decode=decode,
        names=np.array([path.removeprefix(location) for path in paths]),
        location=location,
    )


def has_test_split(name):
    """Whether there is a `val/` beside `train/`."""
    root = pathlib.Path(name.removeprefix(PREFIX))
    return (root / "train").is_dir() and (root / "val").is_dir()


def _folders(folder):
    return [f for f in folder.iterdir() if f.is_dir() and not f.name.startswith(".")]


def _check_classes(folder, train_folder, class_names):
    unknown = sorted({f.name for f in _folders(folder)} - set(class_names))
    if unknown:
        raise ValueError(f"{folder} has the class {unknown[0]}, {train_folder} has not")


def _list_images(folder, class_names):
    """Paths, in the order of their names, and labels int64 (N,)."""
    paths, labels = [], []
    for label, class_name in enumerate(class_names):
        class_folder = folder / class_name
        if not class_folder.is_dir():
            raise FileNotFoundError(f"there is no folder {class_folder}")
        of_class = sorted(_images_below(class_folder))
        if not of_class:
            raise ValueError(f"{class_folder} has no images ({', '.join(SUFFIXES)})")
        paths += of_class
        labels += [label] * len(of_class)
    return paths, np.array(labels, np.int64)


def _images_below(folder):
    """Paths of the images in a folder and those inside it; a folder is visited once."""
    visited = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real_path = os.path.realpath(parent)
        if real_path in visited or os.path.basename(parent).startswith("."):
            folders.clear()
            continue
        visited.add(real_path)
        for file in files:
            if file.lower().endswith(SUFFIXES) and not file.startswith("."):
                yield os.path.join(parent, file)


def _decoder(image_size):
    """A function from a path, str tensor (), to pixels uint8 (height, width, 3)."""

    def decode(path):
        content = tf.io.read_file(path)
        image = tf.io.decode_image(content, channels=3, expand_animations=False)
        if image_size is None:
            return image
        top, left, height, width = tf.unstack(crops.central_box(tf.shape(image)))
        return crops.scaled(image[top : top + height, left : left + width], image_size)

    return decode
