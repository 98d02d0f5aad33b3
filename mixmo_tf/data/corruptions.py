"""Test images that were corrupted and published, or made: read, one set after the other.

Hendrycks and Dietterich 2019 (arXiv 1903.12261): 15 corruptions, and 4 that are extra, each in
five severities. A set is the images of one corruption at one severity. Where they come from:

- a folder of arrays: FOG.npy, uint8 (5·N, h, w, channels), the N images at severity 1, then at 2,
  …, and labels.npy (5·N,): CIFAR-10-C, CIFAR-100-C, and what `corrupting` makes;
- folders of files: FOG/SEVERITY/WNID/*.JPEG: Tiny ImageNet-C, ImageNet-C;
- tensorflow-datasets, where it has prepared them: CIFAR-10-C, ImageNet-C.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from mixmo_tf import arguments
from mixmo_tf.data import cifar, image_folder, tfds_images
from mixmo_tf.data.examples import Info
from mixmo_tf.paths import expanded

BENCHMARK = tuple(
    "gaussian_noise shot_noise impulse_noise defocus_blur glass_blur motion_blur zoom_blur snow "
    "frost fog brightness contrast elastic_transform pixelate jpeg_compression".split()
)
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
NAMES = BENCHMARK + EXTRA
SEVERITIES = (1, 2, 3, 4, 5)
LABELS = "labels.npy"
NOTE = "made.json"  # in a folder of what was made here: of which images, and how


class Opened(NamedTuple):
    """The images of one corruption at one severity."""

    info: Info
    batches: Callable[[int], Iterable]  # batch size -> (uint8 images, int labels) in order
    find_damaged: Callable = lambda: None  # raises DamagedImageError if there are any


@dataclasses.dataclass(frozen=True)
class Found:
    """Corrupted images that are there."""

    path: str  # where
    sets: tuple  # of (corruption, severity), in the order of `NAMES`
    open: Callable[[str, int], Opened]  # of a corruption and a severity
    state: Callable[[str, int], str]  # of the same, what changes when the files do


@dataclasses.dataclass(frozen=True)
class Published:
    """A line of `PUBLISHED`."""

    what: str  # a few words for people
    folder: str  # the name of the published folder
    source: str  # where it is to be had
    read: Callable[[pathlib.Path], Found]  # of a folder; no set where there are none in it
    tfds: str | None = None  # its name in tensorflow-datasets
    names: dict = dataclasses.field(default_factory=dict)  # of corruptions, other ones there


def find(name: str, folder: str | None, data_dir: str | None) -> Found:
    """Published corrupted images, one of `PUBLISHED`, wherever they are.

    Args:
        folder: the folder that they are in; None to look for it: in `data_dir` under its published
            name, in `downloads/manual` there, `data_dir` itself, and what tensorflow-datasets has
            prepared there.
        data_dir: the folder of tensorflow-datasets; None for its default.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if a file is damaged or not as it was published.
    """
    arguments.one_of("corruptions", name, PUBLISHED)
    published = PUBLISHED[name]
    root = tfds_images.data_folder(data_dir)
    manual = root / "downloads" / "manual"
    places = [root / published.folder, manual / published.folder, root]
    for place in [expanded(folder)] if folder else places:
        found = published.read(place)
        if found.sets:
            if (place / NOTE).exists():
                raise ValueError(
                    f"{place} holds images that were made here, not those of {published.what}; "
                    f"--corruptions=made:{place} evaluates on them"
                )
            return found
    if not folder and published.tfds:
        found = _of_tfds(published, str(root))
        if found.sets:
            return found
    looked = f"in {folder}" if folder else f"in {places[0]} or {manual}"
    looked += f", nor is {published.tfds} prepared" if published.tfds and not folder else ""
    raise FileNotFoundError(
        f"there is no {published.what} {looked}; it is at {published.source}, and "
        f"--corruptions={name}:PATH says where it lies"
    )


def of_arrays(folder: pathlib.Path, class_names: tuple[str, ...]) -> Found:
    """A folder of arrays; each is opened when it is needed, and read a batch at a time."""
    there = [name for name in NAMES if (folder / f"{name}.npy").exists()]
    sets = tuple((name, severity) for name in there for severity in SEVERITIES)
    if there and not (folder / LABELS).is_file():
        raise FileNotFoundError(f"there is no {folder / LABELS} beside {there[0]}.npy")
    labels = functools.cache(lambda: _labels(folder / LABELS))

    def open_set(name, severity):
        of_images = labels()
        images = _array(folder / f"{name}.npy")
        if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(of_images):
            raise ValueError(
                f"{folder / name}.npy must be uint8 ({len(of_images)}, h, w, channels), as many "
                f"as {LABELS} has, got {arguments.brief(images)}"
            )
        count = len(images) // len(SEVERITIES)
        start = (severity - 1) * count
        info = Info(str(folder), count, images.shape[1:], class_names)

        def batches(batch_size):
            for first in range(start, start + count, batch_size):
                some = slice(first, min(first + batch_size, start + count))
                yield np.array(images[some]), of_images[some]

        return Opened(info, batches)

    def state(name, severity):
        files = [(folder / file).stat() for file in (f"{name}.npy", LABELS)]
        return " ".join(f"{file.st_size} {file.st_mtime_ns}" for file in files)

    return Found(str(folder), sets, open_set, state)


def of_folders(folder: pathlib.Path) -> Found:
    """Folders of files; the classes are the folders' names, WordNet ids, in their order."""
    sets = tuple((n, s) for n in NAMES for s in SEVERITIES if (folder / n / str(s)).is_dir())

    def open_set(name, severity):
        of_set = f"{image_folder.PREFIX}{folder / name / str(severity)}"
        examples = image_folder.read(of_set, "train")
        return Opened(examples.info, examples.batches, examples.find_damaged)

    def state(name, severity):
        classes = sorted(os.scandir(folder / name / str(severity)), key=lambda each: each.name)
        return " ".join(f"{each.name} {each.stat().st_mtime_ns}" for each in classes)

    return Found(str(folder), sets, open_set, state)


def _of_tfds(published, data_dir):
    """What tensorflow-datasets has prepared; it is not asked to prepare more."""
    import tensorflow_datasets as tfds  # imported here: it takes seconds

    def builder(name, severity):
        config = f"{published.names.get(name, name)}_{severity}"
        return tfds.builder(f"{published.tfds}/{config}", data_dir=data_dir)

    def is_there(name, severity):
        return builder(name, severity).is_prepared()

    def open_set(name, severity):
        of_set = builder(name, severity)
        (split,) = of_set.info.splits
        rows = of_set.as_dataset(split=split, as_supervised=True)
        classes = _CLASSES.get(published.tfds) or tuple(of_set.info.features["label"].names)
        shape = of_set.info.features["image"].shape
        info = Info(of_set.info.full_name, of_set.info.splits[split].num_examples, shape, classes)
        return Opened(info, lambda batch_size: rows.batch(batch_size).prefetch(1))

    def state(name, severity):
        return builder(name, severity).info.full_name

    there = pathlib.Path(data_dir, published.tfds).is_dir()
    sets = [(n, s) for n in NAMES for s in SEVERITIES] if there else []
    sets = tuple(each for each in sets if is_there(*each))
    return Found(f"{published.tfds} in {data_dir}", sets, open_set, state)


def _labels(file):
    """int64 (5·N,)."""
    labels = _array(file)
    if labels.ndim != 1 or not len(labels) or len(labels) % len(SEVERITIES):
        raise ValueError(
            f"{file} must be labels (5·N,), those of each severity one after the other, N >= 1, "
            f"got {arguments.brief(labels)}"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{file} must be integers, got {labels.dtype}")
    return np.array(labels, np.int64)


def _array(file):
    """An array that stays on disk.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is cut short, no .npy file, or holds objects: pickles are programs, and
            none is run.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}")
    try:
        array = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # whatever NumPy raises, such as OverflowError of a damaged shape
        reason = arguments.first_line(error)
        raise ValueError(f"{file} is not a readable .npy file: {reason}") from None
    return array


def _cifar(name):
    """The reader of CIFAR's folders; the classes are those of the dataset of this name."""
    return lambda folder: of_arrays(folder, cifar.CLASS_NAMES[name])


_CLASSES = {"cifar10_corrupted": cifar.CLASS_NAMES["cifar10"]}  # which does not name them
PUBLISHED = {
    "cifar10_c": Published(
        "CIFAR-10-C",
        "CIFAR-10-C",
        "https://zenodo.org/records/2535967",
        _cifar("cifar10"),
        "cifar10_corrupted",
        {"glass_blur": "frosted_glass_blur", "elastic_transform": "elastic"},
    ),
    "cifar100_c": Published(
        "CIFAR-100-C", "CIFAR-100-C", "https://zenodo.org/records/3555552", _cifar("cifar100")
    ),
    "tiny_imagenet_c": Published(
        "Tiny ImageNet-C", "Tiny-ImageNet-C", "https://zenodo.org/records/2536630", of_folders
    ),
    "imagenet_c": Published(
        "ImageNet-C",
        "ImageNet-C",
        "https://zenodo.org/records/2235448",
        of_folders,
        "imagenet2012_corrupted",
    ),
}
