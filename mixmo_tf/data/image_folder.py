"""A user's own images: one folder per class, below `train/` and `val/`, or without these.

    flowers/train/rose/*.jpg          flowers/rose/*.jpg
    flowers/train/tulip/*.png    or   flowers/tulip/*.png
    flowers/val/rose/*.jpg            (validation images are held out)
    flowers/val/tulip/*.png

What other folders mean: `folders`. The files are read where they are, as a viewer shows them:
turned as EXIF says (`headers`), and on white where they are transparent (`decoding`).
"""

import collections
import os
import pathlib

import numpy as np
import tensorflow as tf

from mixmo_tf.data import decoding, folders, headers
from mixmo_tf.data.examples import Examples, Info
from mixmo_tf.data.notices import say_once
from mixmo_tf.paths import resolved

SUFFIXES = tuple(  # in any case
    ".jpg .jpeg .jpe .jfif .png .gif .webp .bmp .tif .tiff .avif".split()
)
PREFIX = "image_folder:"
_MOST_NAMED = 5


def read(name: str, split: str, image_size: int | None = None, as_before: bool = False) -> Examples:
    """Lists the images of a split. The images themselves are read when they are needed.

    Args:
        name: "image_folder:PATH".
        split: "train"; "test", the images of `test/`, or else of `val/`; "validation", those of
            `val/` where `test/` is there too.
        image_size: int >= 1, pixels: the central square of each image is scaled to this height and
            width. None where all images have the size of the first.
        as_before: bool, whether folders mean what they did before 0.2, see
            `folders.Folders.as_before`.

    Returns:
        Examples of three channels. A class without images in `val/` or `test/` is logged, and
        so are files that are left out.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if folders contradict each other, a class has no images to train on, `val/`
            or `test/` has a class that `train/` has not.
        DamagedImageError: if files are no images, or the first image cannot be read; it names all
            that cannot.
    """
    root = pathlib.Path(name.removeprefix(PREFIX))
    found = _found(name, as_before)
    classes, folder = folders.classes(found.train), found.of(split)
    if len(classes) < 2:
        raise ValueError(
            f"{found.train} must have a folder per class, 2 or more, and has {len(classes)}"
        )
    if folder is None:
        raise FileNotFoundError(f"{root} has no val folder, so no {split} images")
    if found.others:
        names = _named([other.name for other in found.others])
        say_once(f"{root}: left out {names}, which are no splits with a folder per class")
    paths, labels = _list_images(folder, classes, needed=split == "train")
    return _examples(name, folder, paths, labels, tuple(classes), image_size)


def read_unlabelled(name: str) -> Examples:
    """All images of a folder, whatever folders are in it; they count as one class.

    Args:
        name: "image_folder:PATH".

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it has no images.
        DamagedImageError: as for `read`.
    """
    folder = pathlib.Path(name.removeprefix(PREFIX))
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    paths = images_in(folder)
    return _examples(name, folder, paths, np.zeros(len(paths), np.int64), ("image",))


def images_in(folder: str | os.PathLike) -> list[str]:
    """The images in a folder and those inside it, in the order of their paths; others are logged.

    Raises:
        ValueError: if there are none.
    """
    files = folders.files(folder)
    images = [file for file in files if _is_image(file)]
    left_out = sorted(set(files) - set(images))
    if not images:
        raise ValueError(_without_images(folder, files))
    if left_out:
        say_once(f"{folder}: left out {_count(left_out, 'file')}: {_endings(left_out)}")
    return images


def would_be_class(name: str, path: pathlib.Path) -> bool:
    """Whether a new folder at `path` would make a folder of these images a class more.

    Where there is a folder below the images already, it stays what it is.
    """
    try:
        found = _found(name, False)
    except (ValueError, OSError):
        return False  # `read` says what is wrong
    path = resolved(path)
    for folder in filter(None, (found.train, found.validation, found.test)):
        folder = resolved(folder)
        if path != folder and path.is_relative_to(folder):
            new = folder / path.relative_to(folder).parts[0]
            return not new.exists() and not folders.is_hidden(new.name)
    return False


def splits(name: str, as_before: bool = False, data_dir: None | str = None) -> list[str]:
    """The splits that have a folder; none where folders cannot be told, which `read` says."""
    del data_dir  # of tensorflow-datasets
    try:
        found = _found(name, as_before)
        return [split for split in ("train", "validation", "test") if found.of(split) is not None]
    except (ValueError, OSError):
        return []


def was_read_as_before(name: str, fingerprints: dict[str, str]) -> bool:
    """Whether images were read from folders that meant what they did before 0.2, not today.

    `fingerprints` has the `Examples.fingerprint` of all that were read then, by split.
    """
    try:
        now, before = _found(name, False), _found(name, True)
        if now.of("test") == before.of("test"):
            return False
        if "test" not in fingerprints or before.test is None:
            return "test" not in fingerprints and before.test is None
        if fingerprints["test"] != _fingerprint(before.train, before.test):
            return False
        is_like_today = "validation" in fingerprints  # unless training images were held out
        return not is_like_today or fingerprints["test"] != _fingerprint(now.train, now.test)
    except (ValueError, OSError):
        return False  # `read` says what is wrong


def described_as_before(name: str) -> str:
    """What folders meant before 0.2, in words; where this is not what they mean today."""
    now, before = _found(name, False), _found(name, True)
    unread = [each.name for each in (now.validation, now.test) if each not in (None, before.test)]
    meant = f"{before.test.name} is for the test" if before.test else "no folder is for the test"
    return f"{meant}, {' and '.join(unread)} {'are' if len(unread) > 1 else 'is'} not read"


def _found(name, as_before):
    found = folders.find(pathlib.Path(name.removeprefix(PREFIX)))
    return found.as_before() if as_before else found


def _fingerprint(train, folder):
    """`Examples.fingerprint` of the images in a folder, by their names alone."""
    paths, labels = _list_images(folder, folders.classes(train), needed=False)
    _, names = _below(folder, paths)
    return Examples(paths, labels, info=None, names=names).fingerprint()


def _examples(name, folder, paths, labels, class_names, image_size=None):
    """Examples of files below a folder; their shape is that of the first image.

    Raises:
        DamagedImageError: if files are no images, or the first image cannot be read; it names all
            that cannot.
    """
    headers_of = headers.read_all(paths)
    elements = np.empty(len(paths), object)
    elements[:] = [
        decoding.element(path, header or headers.Header("opaque"))
        for path, header in zip(paths, headers_of, strict=True)
    ]
    decode = decoding.decoder(elements, image_size)
    location, names = _below(folder, paths)
    info = Info(name, len(paths), None, class_names)
    examples = Examples(elements, labels, info, decode, names, location)
    if None in headers_of:
        examples.find_damaged()  # these, and whatever else is wrong
    try:
        return examples.changed(decode, decode(tf.constant(elements[0])).shape)
    except (tf.errors.OpError, ValueError):
        examples.find_damaged()
        raise


def _below(folder, paths):
    """A folder as `Examples.location`, and the names of the paths in it, str (N,)."""
    location = f"{folder}{os.sep}"
    return location, np.array([path.removeprefix(location) for path in paths])


def _list_images(folder, train_classes, needed):
    """Paths, in the order of their names, and labels int64 (N,).

    Where it is `needed`, a class of `train_classes` without images is an error.
    """
    classes = folders.classes(folder)
    unknown = sorted(set(classes) - set(train_classes))
    if unknown:
        train = next(iter(train_classes.values())).parent
        raise ValueError(f"{folder} has the class {unknown[0]}, {train} has not")
    paths, labels, left_out, empty = [], [], [], []
    for label, class_name in enumerate(train_classes):
        files = folders.files(classes[class_name]) if class_name in classes else []
        of_class = [file for file in files if _is_image(file)]
        if not of_class:
            empty.append(class_name)
            if needed:
                raise ValueError(_without_images(classes[class_name], files))
        left_out += sorted(set(files) - set(of_class))
        paths += of_class
        labels += [label] * len(of_class)
    in_no_class = [path.name for path in folder.iterdir() if path.is_file()]
    in_no_class = [name for name in in_no_class if _is_image(name) and not folders.is_hidden(name)]
    if not paths:
        raise ValueError(_without_images(folder, []))
    if left_out:
        say_once(f"{folder}: left out {_count(left_out, 'file')}: {_endings(left_out)}")
    if in_no_class:
        say_once(f"{folder}: left out {_count(in_no_class, 'image')} in no folder of a class")
    if empty:
        say_once(f"{folder}: no images of {_named(empty)}, which are counted as zero images")
    return paths, np.array(labels, np.int64)


def _without_images(folder, files):
    """What is wrong with a folder that has these files, none of them an image."""
    others = f", but {_endings(files)}" if files else ""
    return f"{folder} has no images ({', '.join(SUFFIXES)}){others}"


def _is_image(file):
    return file.lower().endswith(SUFFIXES)


def _count(files, what):
    return f"{len(files):,} {what}{'s' if len(files) > 1 else ''}"


def _endings(files):
    """How many of the files have which ending, such as "3 .heic, 1 without an ending"."""
    endings = (os.path.splitext(file)[1].lower() or "without an ending" for file in files)
    return ", ".join(f"{n:,} {ending}" for ending, n in collections.Counter(endings).most_common())


def _named(names):
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
