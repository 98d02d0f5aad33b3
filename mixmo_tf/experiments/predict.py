"""Image files in, names of classes out: what a trained model of any format says of them."""

import dataclasses
import logging

import numpy as np
import tensorflow as tf

from mixmo_tf import data, deployment, outputs
from mixmo_tf.data import damage
from mixmo_tf.data.notices import progress_bar
from mixmo_tf.deployment.loading import is_exported
from mixmo_tf.deployment.model_file import ModelFile
from mixmo_tf.experiments import images, prediction_tables
from mixmo_tf.experiments.fields import REQUIRED, setting
from mixmo_tf.experiments.models import OfModels
from mixmo_tf.experiments.of_flags import check_is
from mixmo_tf.experiments.prediction_tables import Answer, Decided, Prediction
from mixmo_tf.formats import signature
from mixmo_tf.paths import expanded

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictSettings(OfModels):
    """What is to be predicted by what, and where the answers go; the flags of predict.py."""

    model: tuple[str, ...] = setting(
        REQUIRED,
        "A run's folder, a .keras, .onnx or .tflite file, a SavedModel, or hf://USER/MODEL; "
        "several runs or .keras files, separated by commas, make a deep ensemble.",
        repeated=True,
    )
    files: tuple[str, ...] = setting(
        (),
        "Image files, folders of images, and patterns in quotes, such as 'photos/*.jpg'; "
        "predict.py also takes them without --files.",
        repeated=True,
        any_name=True,
    )
    top: int = setting(
        1,
        "Number of classes >= 1 to give for each image, the most probable first.",
        bounds=(1, None),
    )
    batch_size: int = setting(100, "Images per batch.", bounds=(1, None))
    csv: str | None = setting(
        None, "New file for the answers, with a line per image; no table is printed then."
    )
    json: str | None = setting(
        None, "New file for the answers, as a list; no table is printed then."
    )


def predict(settings: PredictSettings) -> list[Prediction]:
    """Names the classes of image files, which are read as training reads an image folder.

    A table of the answers is logged, or they are written to files.

    Args:
        settings: PredictSettings.

    Returns:
        A Prediction for each file, in their order; a file that cannot be read has a `problem`.

    Raises:
        ValueError, OSError, ImportError: if a model or a folder is missing or damaged, or the
            answers cannot be written or are not finite; the message is a line.
    """
    check_is(settings, PredictSettings)
    write = _writer(settings)
    files = data.find_images(settings.files)
    if not files:
        raise ValueError("files must name images, folders or patterns, got none")
    model, central_fraction = _load(settings)
    answer = _answerer(model, settings.top)
    predictions: list[Prediction] = [None] * len(files)
    batches = data.image_batches(files, model.image_shape, settings.batch_size, central_fraction)
    with progress_bar("Predicting", len(files), leave=False) as progress:
        for indices, pixels, problems in batches:
            for i, answers in zip(indices, answer(pixels) if len(pixels) else (), strict=True):
                predictions[i] = Prediction(files[i], *answers)
            for i, problem in problems.items():
                predictions[i] = Prediction(files[i], problem=problem)
            progress.update(len(indices) + len(problems))
    write(predictions)
    return predictions


def predict_all(settings: PredictSettings) -> list[Prediction]:
    """`predict`, which in the end raises DamagedImageError if files could not be read."""
    predictions = predict(settings)
    problems = [(each.file, each.problem) for each in predictions if each.problem]
    damage.check(problems, len(predictions))
    return predictions


def _writer(settings):
    """What logs Predictions, or writes them to the files that settings name.

    Raises:
        ValueError: if they name one file.
        OSError: where they could not be written, as soon as that is known.
    """
    if settings.csv and settings.csv == settings.json:
        raise ValueError(f"csv and json must be two files, got {settings.csv} for both")
    wanted = []
    for name, text in (("csv", prediction_tables.as_csv), ("json", prediction_tables.as_json)):
        if file := getattr(settings, name):
            file = expanded(file)
            wanted.append((file if outputs.is_stream(file) else outputs.new_file(file), text))

    def write(predictions):
        for file, text in wanted:
            outputs.write(file, text(predictions).encode("utf-8", "surrogateescape"))
        if not wanted:
            _log.info("%s", prediction_tables.table(predictions))

    return write


def _load(settings):
    """The model, and how much of the shorter side of an image it is given."""
    files = settings.only_group()
    if len(files) > 1 or not is_exported(files[0]):
        return settings.load_as_one(files), images.central_fraction(files)
    (file,) = files
    for name in ("ensemble", "precision"):
        if getattr(settings, name):
            raise ValueError(f"{name} is for a run or a .keras file; that of {file} is fixed")
    model = deployment.load(file, settings.trust)
    said = model.description
    if not said and (file.parent / signature.DESCRIPTION).is_file():
        said, _ = signature.read_description(file.parent)
    return model, said.get("central_fraction", 1.0)


def _answerer(model, top):
    """A function of pixels, uint8 (n, H, W, 3): `classes`, `members` and `decided` of each."""
    names = model.class_names or [str(label) for label in range(model.num_classes)]

    def compute(pixels):
        logits = model.member_logits(pixels)
        return tf.nn.softmax(model.ensemble_logits(logits)), tf.nn.softmax(logits)

    decides = "accept" in getattr(model, "output_names", ())  # a file that export.py wrote
    if isinstance(model, ModelFile):
        compute = model.predict_members
    else:
        compute = tf.function(compute, autograph=False, reduce_retracing=True)

    def answers_to(probabilities, count):
        """Of (n, C), the `count` most probable classes, a list of n tuples."""
        labels = np.argsort(-probabilities, axis=-1, kind="stable")[:, :count]
        probabilities = np.take_along_axis(probabilities, labels, axis=-1).tolist()
        return [
            tuple(Answer(i, names[i], p) for i, p in zip(*row, strict=True))
            for row in zip(labels.tolist(), probabilities, strict=True)
        ]

    def decided_of(outputs):
        """Of each image what a file decides."""
        sets = [tuple(names[i] for i in np.flatnonzero(row)) for row in outputs["prediction_set"]]
        of_each = outputs["confidence"].tolist(), outputs["accept"].tolist()
        return [Decided(*each) for each in zip(*of_each, sets, strict=True)]

    def answer(pixels):
        decided = [None] * len(pixels)
        if decides:
            outputs = model.outputs(pixels, len(pixels))
            of_all, of_members = outputs["probabilities"], outputs["member_probabilities"]
            decided = decided_of(outputs)
        else:
            of_all, of_members = (np.asarray(each) for each in compute(pixels))
        if not np.isfinite(of_all).all():
            raise ValueError("the model's probabilities are NaN or infinite")
        classes = answers_to(of_all, top)
        members = [()] * len(pixels)
        if of_members.shape[1] > 1:
            each = [answers_to(of_members[:, i], 1) for i in range(of_members.shape[1])]
            members = [sum(of_image, ()) for of_image in zip(*each, strict=True)]
        return zip(classes, members, decided, strict=True)

    return answer
