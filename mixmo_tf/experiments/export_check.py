"""Holds exported models against the model they are from, on real images."""

import pathlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from mixmo_tf import data, deployment
from mixmo_tf.evaluation.metrics import heading, written
from mixmo_tf.experiments import images as images_of
from mixmo_tf.experiments import tables
from mixmo_tf.formats import signature
from mixmo_tf.models.predictor import Predictor

Load: TypeAlias = Callable[[images_of.Images], data.Examples | data.Records]  # `images.load`
_BATCH = 50


def find_images(
    settings: images_of.OfImages, files: Sequence[pathlib.Path], model: Predictor, load: Load
) -> images_of.Images:
    """The images of the models' run, or those that settings name, as `images.Images`.

    Args:
        settings: images.OfImages.
        files: list of pathlib.Path of the models.
        model: the model, or the ensemble, that they are.
        load: `images.load`.

    Raises:
        ValueError: if no dataset is known, it is not there, or it does not fit the model.
    """
    try:
        images, _ = images_of.find(settings, files, model)
        images_of.check(images, load(images).info, model)
    except (ValueError, OSError) as error:
        raise ValueError(f"{error}; or --check_images=0, without int8") from None
    return images


def for_calibration(images: images_of.Images, count: int, load: Load) -> np.ndarray:
    """uint8 (N, H, W, channels), at most `count` of the dataset's training images."""
    return _some(load(images._replace(split="train")), count)[0]


def report(
    model: Predictor,
    files: Sequence[pathlib.Path],
    images: images_of.Images,
    count: int,
    load: Load,
    central_fraction: float | None = None,
) -> str:
    """A table: each file's size, accuracy, and largest difference from the model's answers.

    With a `central_fraction`, the SavedModel's signature of files' bytes has a line too: it gets
    the images as PNG.
    """
    pixels, labels = _some(load(images), count)
    expected = model.predict(pixels, batch_size=_BATCH, verbose=0)
    accuracy = np.mean(expected.argmax(axis=-1) == labels)
    cells = [["", "size, MB", heading("accuracy"), "difference"]]
    cells.append(["the model", "", written("accuracy", accuracy), ""])

    def add(file, name, size, answers):
        accuracy = np.mean(answers.argmax(axis=-1) == labels)
        difference = np.abs(answers - expected).max()
        if not np.isfinite(difference):
            raise ValueError(
                f"{file} failed its check: its probabilities or the model's are NaN or infinite"
            )
        cells.append([name, size, written("accuracy", accuracy), f"{difference:.1e}"])

    for file in files:
        loaded = deployment.load(file, trust=True)  # it was written just now
        answers = loaded.predict(pixels, batch_size=_BATCH, verbose=0)
        add(file, "SavedModel" if file.is_dir() else file.name, _megabytes(file), answers)
        if file.is_dir() and central_fraction:
            add(file, "  of files' bytes", "", _answers_to_png(file, pixels, central_fraction))
    title = (
        f"On {len(labels):,} images of {images.dataset}, {images.split}; difference: the largest "
        "of a probability"
    )
    return "\n".join([title, *(line.rstrip() for line in tables.aligned(cells))])


def _answers_to_png(folder, pixels, central_fraction):
    """The probabilities of a SavedModel for images in PNG, whose central square they are."""
    answer = tf.saved_model.load(folder).signatures[signature.OF_BYTES]
    height, width = pixels.shape[1:3]
    side = round(height / central_fraction) if height == width else height
    before = (side - height) // 2
    around = ((before, side - height - before),) * 2 + ((0, 0),)
    contents = [tf.io.encode_png(np.pad(image, around)).numpy() for image in pixels]
    starts = range(0, len(contents), _BATCH)
    batches = [tf.constant(contents[start : start + _BATCH]) for start in starts]
    return np.concatenate([answer(image_bytes=batch)["probabilities"] for batch in batches])


def _some(examples, count):
    """At most `count` of the Examples, evenly over them, as arrays."""
    indices = np.linspace(0, len(examples) - 1, min(count, len(examples))).round().astype(int)
    try:
        batches = list(examples.take(indices).batches(_BATCH).as_numpy_iterator())
    except tf.errors.OpError:
        examples.find_damaged()
        raise
    pixels, labels = zip(*batches, strict=True)
    return np.concatenate(pixels), np.concatenate(labels)


def _megabytes(file):
    parts = [file]
    if file.is_dir():
        parts = [file / "saved_model.pb", *(file / "variables").iterdir()]
    return f"{sum(part.stat().st_size for part in parts) / 1e6:.1f}"
