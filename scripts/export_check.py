"""Holds exported models against the model they are from, on real images."""

import numpy as np
import tensorflow as tf
from absl import flags

from mixmo_tf import deployment
from mixmo_tf.experiments import images as images_of
from mixmo_tf.experiments import tables

FLAGS = flags.FLAGS
flags.DEFINE_integer(
    "check_images", 500, "Images that what was written is checked on; 0: none.", lower_bound=0
)
flags.DEFINE_integer(
    "calibration_images",
    200,
    "Training images that set the scales of LiteRT's int8.",
    lower_bound=1,
)
_BATCH = 50


def find_images(files, model):
    """The images of the models' run, or those that flags name, as `images.Images`.

    Args:
        files: list of pathlib.Path of the models.
        model: the model, or the ensemble, that they are.

    Raises:
        ValueError: if no dataset is known, it is not there, or it does not fit the model.
    """
    try:
        images, _ = images_of.find(files, model)
        images_of.check(images, model)
    except (ValueError, OSError) as error:
        raise ValueError(f"{error}; or --check_images=0, without int8") from None
    return images


def for_calibration(images):
    """uint8 (N, H, W, channels) of the dataset's training images."""
    return _some(images._replace(split="train"), FLAGS.calibration_images)[0]


def report(model, written, images):
    """A table: each file's size, accuracy, and largest difference from the model's answers."""
    pixels, labels = _some(images, FLAGS.check_images)
    expected = model.predict(pixels, batch_size=_BATCH, verbose=0)
    accuracy = np.mean(expected.argmax(axis=-1) == labels)
    cells = [["", "size, MB", "accuracy, %", "difference"]]
    cells.append(["the model", "", f"{100 * accuracy:.2f}", ""])
    for file in written:
        loaded = deployment.load(file, trust=True)  # it was written just now
        answers = loaded.predict(pixels, batch_size=_BATCH, verbose=0)
        accuracy = np.mean(answers.argmax(axis=-1) == labels)
        difference = np.abs(answers - expected).max()
        if not np.isfinite(difference):
            raise ValueError(
                f"{file} failed its check: its probabilities or the model's are NaN or infinite"
            )
        name = "SavedModel" if file.is_dir() else file.name
        cells.append([name, _megabytes(file), f"{100 * accuracy:.2f}", f"{difference:.1e}"])
    title = (
        f"On {len(labels):,} images of {images.dataset}, {images.split}; difference: the largest "
        "of a probability"
    )
    return "\n".join([title, *(line.rstrip() for line in tables.aligned(cells))])


def _some(images, count):
    """At most `count` images, evenly over the split, as arrays."""
    examples = images_of.load(images)
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
