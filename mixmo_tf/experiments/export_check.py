"""Holds exported models against the model they are from, on real images."""

import pathlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from scipy.special import softmax

from mixmo_tf import data, deployment, evaluation
from mixmo_tf.evaluation.decision import Decision, decide
from mixmo_tf.evaluation.metrics import METRICS, Record, heading, written
from mixmo_tf.experiments import images as images_of
from mixmo_tf.experiments import tables
from mixmo_tf.formats import signature
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.training import model_archive

Load: TypeAlias = Callable[[images_of.Images], data.Examples | data.Records]  # `images.load`
_BATCH = 50
_KEPT = "accuracy", "nll", "brier", "ece"  # metrics of the model, for model.json


def find_images(
    settings: images_of.OfImages,
    files: Sequence[pathlib.Path],
    model: Predictor,
    load: Load,
    needed: bool = False,
) -> tuple[images_of.Images, images_of.Images | None]:
    """The images of the models' run, or those that settings name; and those held out, or None.

    Args:
        settings: images.OfImages.
        files: list of pathlib.Path of the models.
        model: the model, or the ensemble, that they are.
        load: `images.load`.
        needed: bool, whether an export without images would not do.

    Raises:
        ValueError: if no dataset is known, it is not there, or it does not fit the model.
    """
    try:
        images, held_out = images_of.find(settings, files, model)
        images_of.check(images, load(images).info, model)
    except (ValueError, OSError) as error:
        advice = "" if needed else "; or --check_images=0, without int8"
        raise ValueError(f"{error}{advice}") from None
    return images, held_out


def for_calibration(images: images_of.Images, count: int, load: Load) -> np.ndarray:
    """uint8 (N, H, W, channels), at most `count` of the dataset's training images."""
    return _some(load(images._replace(split="train")), count)[0]


class Expected:
    """What a model answers to `count` images, which what is written of it is held against.

    `load` is `images.load`; the decision is the one that was fitted to the model, if any was.
    """

    def __init__(
        self,
        model: Predictor,
        images: images_of.Images,
        count: int,
        load: Load,
        decision: Decision | None = None,
    ):
        self.images = images
        self.pixels, self.labels = _some(load(images), count)
        starts = range(0, len(self.labels), _BATCH)
        batches = [model.member_logits(self.pixels[i : i + _BATCH]) for i in starts]
        self.logits = evaluation.ensemble_logits(np.concatenate(batches), model.ensemble)
        self.answers = {"probabilities": softmax(self.logits, axis=1)}
        if decision:
            self.answers |= decide(self.logits, decision)._asdict()

    def metrics(self) -> dict:
        """The model's metrics on these images, for model.json; none where its logits are NaN."""
        if not np.isfinite(self.logits).all():
            return {}
        metrics = {name: METRICS[name].function(Record(self.logits, self.labels)) for name in _KEPT}
        of = {"dataset": self.images.dataset, "split": self.images.split}
        return {**of, "examples": len(self.labels), **metrics}

    def table(self, files: Sequence[pathlib.Path], central_fraction: float | None = None) -> str:
        """Each file's size, accuracy, largest difference from the model, and what it decides.

        With a `central_fraction`, the SavedModel's signature of files' bytes has a line too: it
        gets the images as PNG.
        """
        cells = [["", "size, MB", heading("accuracy"), "difference"]]
        if decides := "accept" in self.answers:
            cells[0] += [heading("ece"), "calibrated", "accepted, %", "error, %", "same sets, %"]
        cells.append(["the model", "", *self._cells(self.answers)])

        def add(file, name, size, answers):
            if not all(np.isfinite(each).all() for each in answers.values()):
                raise ValueError(
                    f"{file} failed its check: its probabilities or the model's are NaN or infinite"
                )
            cells.append([name, size, *self._cells(answers)])

        for file in files:
            loaded = deployment.load(file, trust=True)  # it was written just now
            if model_archive.is_folder(file):  # of Keras, to be shared
                answers = {"probabilities": loaded.predict(self.pixels, _BATCH, verbose=0)}
                add(file, "what is shared", _megabytes(file), answers)
                continue
            name = "SavedModel" if file.is_dir() else file.name
            add(file, name, _megabytes(file), loaded.outputs(self.pixels, _BATCH))
            if file.is_dir() and central_fraction:
                answers = _answers_to_png(file, self.pixels, central_fraction)
                add(file, "  of files' bytes", "", answers)
        title = (
            f"On {len(self.labels):,} images of {self.images.dataset}, {self.images.split}; "
            "difference: the largest of a probability"
        )
        if decides:
            title += (
                ".\nCalibrated: the ECE at the temperature; error: among the accepted; same sets: "
                "as the model's"
            )
        lines = [title, *(line.rstrip() for line in tables.aligned(cells))]
        return "\n".join([*lines, *self._of_temperature()])

    def _of_temperature(self):
        """A line where the temperature, which other images chose, makes the ECE larger here."""
        if "accept" not in self.answers:
            return []
        names = "probabilities", "calibrated_probabilities"
        before, after = (evaluation.ece(self.answers[name], self.labels) for name in names)
        shown, shown_after = written("ece", before), written("ece", after)
        if after < before or shown == shown_after:
            return []
        return [
            f"The temperature made the model's ECE larger on these images, {shown_after} instead "
            f"of {shown}: it has the lowest NLL on the held-out images, which may be too few."
        ]

    def _cells(self, answers):
        """The cells of a line from the third on."""
        probabilities = answers["probabilities"]
        is_right = probabilities.argmax(axis=-1) == self.labels
        difference = np.abs(probabilities - self.answers["probabilities"]).max()
        is_model = answers is self.answers
        cells = [written("accuracy", is_right.mean()), "" if is_model else f"{difference:.1e}"]
        if "accept" not in self.answers:
            return cells
        calibrated, accepted = answers["calibrated_probabilities"], answers["accept"]
        wrong = calibrated.argmax(axis=-1) != self.labels
        same = np.all(answers["prediction_set"] == self.answers["prediction_set"], axis=-1)
        return [
            *cells,
            written("ece", evaluation.ece(probabilities, self.labels)),
            written("ece", evaluation.ece(calibrated, self.labels)),
            f"{100 * accepted.mean():.2f}",
            f"{100 * wrong[accepted].mean():.2f}" if accepted.any() else "–",
            "" if is_model else f"{100 * same.mean():.2f}",
        ]


def _answers_to_png(folder, pixels, central_fraction):
    """What a SavedModel gives for images in PNG, whose central square they are."""
    answer = tf.saved_model.load(folder).signatures[signature.OF_BYTES]
    height, width = pixels.shape[1:3]
    side = round(height / central_fraction) if height == width else height
    before = (side - height) // 2
    around = ((before, side - height - before),) * 2 + ((0, 0),)
    contents = [tf.io.encode_png(np.pad(image, around)).numpy() for image in pixels]
    starts = range(0, len(contents), _BATCH)
    answers = [answer(image_bytes=tf.constant(contents[i : i + _BATCH])) for i in starts]
    return {name: np.concatenate([each[name] for each in answers]) for name in answers[0]}


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
    if model_archive.is_folder(file):
        parts = file.iterdir()
    elif file.is_dir():
        parts = [file / "saved_model.pb", *(file / "variables").iterdir()]
    return f"{sum(part.stat().st_size for part in parts) / 1e6:.1f}"
