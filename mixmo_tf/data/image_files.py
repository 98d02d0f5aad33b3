"""Image files as a model takes them: by the rules of `image_folder`, so with the same pixels.

A square model gets the central square of each image, scaled; of any other shape, the images must
have it already. Files are turned as EXIF says, and lie on white where they are transparent.
"""

import glob
import multiprocessing.pool
import os
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data import crops, damage, decoding, headers, image_folder, stream
from mixmo_tf.paths import expanded

_CHANNELS = 3  # that files are decoded to
_BATCH = 100


def read_images(
    files: Iterable[str | os.PathLike],
    image_shape: Sequence[int],
    central_fraction: float = 1.0,
) -> np.ndarray:
    """Reads image files, with the pixels that training would read from an image folder.

    They are decoded on all cores. JPEG, PNG, GIF, WebP, BMP, TIFF and AVIF are read, each as what
    it is, whatever its name says.

    Args:
        files: list of paths; ~ is the home folder.
        image_shape: (height, width, 3), a model's `image_shape`. If it is square, the central
            square of each image is scaled to it; else the images must be of that size.
        central_fraction: float in (0, 1], how much of the shorter side the square takes; 0.875 is
            what a model of ImageNet is evaluated on.

    Returns:
        uint8 (n, height, width, 3), in the order of the files; n may be 0.

    Raises:
        DamagedImageError: if files cannot be read; its `problems` says of each what it is, so that
            the others can be read without them.
        ValueError: if an argument is wrong.
    """
    files = _names(files)
    shape = _checked_shape(image_shape)
    images, problems = np.empty((len(files), *shape), np.uint8), {}
    for indices, of_batch, of_others in image_batches(files, shape, _BATCH, central_fraction):
        images[indices] = of_batch
        problems.update(of_others)
    damage.check([(files[i], problems[i]) for i in sorted(problems)], len(files))
    return images


def image_batches(
    files: Iterable[str | os.PathLike],
    image_shape: Sequence[int],
    batch_size: int,
    central_fraction: float = 1.0,
) -> Iterator[tuple[np.ndarray, np.ndarray, dict[int, str]]]:
    """`read_images` for more files than memory holds, and with what is wrong beside the rest.

    Args:
        files, image_shape, central_fraction: as in `read_images`.
        batch_size: int >= 1, images that are given at once.

    Yields:
        indices: int64 (n,), n <= batch_size, which of the files were read.
        images: uint8 (n, height, width, 3), theirs.
        problems: dict, what files are that cannot be read, such as "damaged", by their indices.
        In the end each file was in one or the other, once.

    Raises:
        ValueError: if an argument is wrong.
    """
    files, shape = _names(files), _checked_shape(image_shape)
    batch_size = arguments.count("batch_size", batch_size, 1)
    crops.check_fraction(central_fraction)
    found = headers.read_all(files)
    readable = np.flatnonzero([header is not None for header in found])
    elements = np.empty(len(files), object)
    elements[readable] = [decoding.element(files[i], found[i]) for i in readable]
    size = shape[0] if shape[0] == shape[1] else None
    decode = decoding.decoder(elements[readable], size, central_fraction)
    is_good = np.zeros(len(files), bool)
    for indices, images in _good_batches(decode, elements, readable, shape, batch_size):
        is_good[indices] = True
        yield indices, images, {}

    def look_again(index):
        outcome = headers.problem(files[index])
        return index, outcome or _image_or_problem(decode, elements[index], shape)

    with multiprocessing.pool.ThreadPool(os.cpu_count()) as pool:
        for index, outcome in pool.imap(look_again, np.flatnonzero(~is_good)):
            if isinstance(outcome, str):
                yield np.zeros(0, np.int64), np.zeros((0, *shape), np.uint8), {index: outcome}
            else:  # of several large images, memory may hold one alone
                yield np.array([index]), outcome[None], {}


def find_images(names: Iterable[str | os.PathLike]) -> list[str]:
    """The image files that a person names.

    Args:
        names: list of paths, of which each is a file, whether it is there or not; a folder, with
            the images in it and in folders inside it; or a pattern such as "photos/*.jpg", with
            ** for folders inside folders.

    Returns:
        list of str, in the order of the names, and below each in that of the paths.

    Raises:
        ValueError: if a folder has no images, nothing fits a pattern, or `names` are none.
    """
    files = []
    for name in _names(names):
        is_pattern = re.search(r"[*?\[]", name) and not os.path.lexists(name)
        named = sorted(glob.glob(name, recursive=True)) if is_pattern else [name]
        if not named:
            raise ValueError(f"no file fits {name}")
        for path in named:
            files += image_folder.images_in(path) if os.path.isdir(path) else [path]
    return files


def _names(files):
    """The paths as list of str."""
    if isinstance(files, (str, bytes, os.PathLike)) or not np.iterable(files):
        raise ValueError(f"files must be a list of paths, got {arguments.brief(files)}")
    files = list(files)
    for file in files:
        arguments.path("files", file)
        if not os.fspath(file):  # which would be the working directory
            raise ValueError("files must name files, got ''")
    return [os.fspath(expanded(file)) for file in files]


def _checked_shape(image_shape):
    sizes = arguments.values("image_shape", image_shape)
    if len(sizes) != 3 or sizes[2] != _CHANNELS:
        raise ValueError(
            f"image_shape must be (height, width, {_CHANNELS}), as files are decoded to "
            f"{_CHANNELS} channels, got {tuple(sizes)}"
        )
    names = "height", "width", "channels"
    return tuple(
        arguments.count(f"{name} of image_shape", size, 1, arguments.LARGEST_SIDE)
        for name, size in zip(names, sizes, strict=True)
    )


def _good_batches(decode, elements, indices, shape, batch_size):
    """(indices, images) of what can be decoded, in batches, NumPy; the others are left out."""
    if not len(indices):
        return

    def decoded(index, element):
        return index, tf.ensure_shape(decode(element), shape)

    rows = tf.data.Dataset.from_tensor_slices((indices, elements[indices]))
    images = rows.map(decoded, num_parallel_calls=os.cpu_count()).ignore_errors()
    batches = images.batch(batch_size).prefetch(2).with_options(stream.without_autotune())
    yield from batches.as_numpy_iterator()


def _image_or_problem(decode, element, shape):
    """An image, uint8 (h, w, 3), or what its file is, a str."""
    try:
        image = decode(tf.constant(element)).numpy()
    except (tf.errors.OpError, ValueError, TypeError):  # of a file whose header cannot be read
        return "damaged"
    if image.shape == shape:
        return image
    sizes = [f"{height}×{width}" for height, width, _ in (image.shape, shape)]
    return f"of {sizes[0]} pixels, where {sizes[1]} are taken"
