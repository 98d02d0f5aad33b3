"""Evaluations of predictions.npz, the answers that an evaluation kept, without model and images."""

import zipfile
import zlib

import numpy as np

from mixmo_tf import arguments
from mixmo_tf.evaluation import metrics_json, predictions
from mixmo_tf.evaluation.predictions import ENSEMBLES
from mixmo_tf.experiments import abstention, images
from mixmo_tf.experiments.evaluations import Evaluation, EvaluationSettings, of_answers
from mixmo_tf.paths import expanded

NAME = "predictions.npz"
_DAMAGE = (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error)


def read(settings: EvaluationSettings) -> list[Evaluation]:
    """The Evaluations of the `predictions`; what metrics.json beside a file says of it, they say.

    Raises:
        FileNotFoundError: if one is not there.
        ValueError: if one is damaged, or of other images than the first.
    """
    found = [_read(settings, expanded(path)) for path in settings.predictions]
    first = found[0]
    for each in found[1:]:
        same = np.array_equal(each.labels, first.labels)
        if not same or not np.array_equal(each.image_names, first.image_names):
            raise ValueError(f"{each.name} is of other images than {first.name}")
        if each.member_logits.shape[2] != first.member_logits.shape[2]:
            raise ValueError(f"{each.name} is of other classes than {first.name}")
    return found


def _read(settings, path):
    file = path / NAME if path.is_dir() else path
    if not file.is_file():
        is_of_several = (path / "0" / NAME).is_file()  # models, whose answers an evaluation kept
        several = " itself, but in its folders 0, 1, …: give each" if is_of_several else ""
        raise FileNotFoundError(f"there is no {NAME} at {path}{several}")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            arrays = dict(arrays)
        answers = _checked(arrays, "")
        held_out = _checked(arrays, "held_out_") if "held_out_labels" in arrays else None
    except _DAMAGE as error:
        reason = arguments.first_line(error)
        raise ValueError(f"{file} is not a readable {NAME}: {reason}") from None
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{file} is no {NAME}: {error}") from None
    about = _about(file.parent, answers[0].shape[2])
    ensemble = settings.ensemble or about["ensemble"]
    tested_on = images.Images(about["dataset"], about["split"], None, ())
    if not held_out:
        abstention.check(settings, tested_on, None)
    names = about["class_names"]
    return of_answers(settings, [file], ensemble, tested_on, answers, held_out, names)


def _checked(arrays, start):
    """The members' logits, the labels, and the images' names or indices."""
    for name in (f"{start}member_logits", f"{start}labels"):
        if name not in arrays:
            raise ValueError(f"it has no {name}")
    logits, labels = predictions.check_members(
        arrays[f"{start}member_logits"], arrays[f"{start}labels"], f"{start}member_logits"
    )
    names = arrays.get(f"{start}images", np.arange(len(labels)))
    if names.shape != labels.shape or names.dtype.kind not in "Uiu":
        raise ValueError(f"{start}images must be {len(labels)} names or indices")
    return logits, labels, names


def _about(folder, num_classes):
    """What metrics.json tells of the answers, if it is there and of them."""
    try:
        said = metrics_json.read_metrics(folder)
    except FileNotFoundError:
        said = {}
    said = said if isinstance(said, dict) else {}
    names = said.get("class_names")
    is_named = isinstance(names, list) and len(names) == num_classes
    return {
        "dataset": str(said.get("dataset", images.UNKNOWN)),
        "split": str(said.get("split", images.UNKNOWN)),
        "ensemble": said["ensemble"] if said.get("ensemble") in ENSEMBLES else ENSEMBLES[0],
        "class_names": tuple(map(str, names if is_named else range(num_classes))),
    }
