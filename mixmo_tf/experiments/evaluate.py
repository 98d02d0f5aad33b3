"""A model, or a list of them as one, judged; and what is kept of that."""

import json
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import flags

from mixmo_tf import evaluation, outputs
from mixmo_tf.evaluation import metrics_json
from mixmo_tf.experiments import directory, run_flags
from mixmo_tf.experiments import images as images_of
from mixmo_tf.experiments import models as models_of
from mixmo_tf.formats.saved_model import is_saved_model
from mixmo_tf.models import deep_ensemble
from mixmo_tf.training import checkpoints

FLAGS = flags.FLAGS
flags.DEFINE_integer("batch_size", 500, "Images per batch.", lower_bound=1)


class Judgement(NamedTuple):
    """What was judged, and how it did."""

    files: list  # pathlib.Path of the models
    ensemble: str  # what is averaged, "logits" or "probabilities"
    images: images_of.Images
    member_logits: np.ndarray  # float32 (N, M, C)
    labels: np.ndarray  # int64 (N,)
    figures: dict  # of `evaluation.report`
    held_out: tuple | None  # (member_logits, labels) that temperatures are fitted on

    @property
    def name(self):
        return ",".join(map(str, self.files))

    @property
    def fitted_on(self):
        """The images that temperatures are fitted on."""
        if self.held_out:
            return "validation images"
        return f"the other nine of ten folds of the {self.images.split} images"

    def described(self):
        """What metrics.json says."""
        return metrics_json.described(
            self.figures,
            dataset=self.images.dataset,
            split=self.images.split,
            examples=len(self.labels),
            ensemble=self.ensemble,
            libraries=directory.versions(),
            models=list(map(str, self.files)),
            temperature_fitted_on=self.fitted_on,
        )


def judge_all(groups):
    """Judges each list of files, a model, or several as a deep ensemble, on the same images.

    Args:
        groups: list of lists of pathlib.Path.

    Returns:
        list of Judgement.

    Raises:
        ValueError, OSError: if a model or its images are missing, damaged or do not fit.
    """
    judged = []
    for files in groups:
        try:
            judged.append(_judge(files, judged[0] if judged else None))
        except ValueError as error:
            name = ",".join(map(str, files))
            raise ValueError(str(error) if name in str(error) else f"{name}: {error}") from None
    return judged


def _judge(files, first):
    models = models_of.load(files)
    images, held_out_images = images_of.find(files, models[0])
    deep_ensemble.check_alike(models, FLAGS.ensemble)
    if first:
        _check_same_images(first, images, files)
    ensemble = FLAGS.ensemble or models[0].ensemble
    member_logits, labels = predict(models, images)
    held_out = predict(models, held_out_images) if held_out_images else None
    figures = evaluation.report(member_logits, labels, ensemble, held_out)
    return Judgement(files, ensemble, images, member_logits, labels, figures, held_out)


def _check_same_images(first, images, files):
    """Raises ValueError unless the images are those of the first judgement."""
    ours = images_of.load(images).fingerprint()
    if ours != images_of.load(first.images).fingerprint():
        raise ValueError(
            f"the models have other images: {first.images.dataset}, {first.images.split} for "
            f"{first.name}, {images.dataset}, {images.split} for {','.join(map(str, files))}; "
            "choose a --dataset and --split=test to judge them on"
        )


def predict(models, images):
    """The members' logits (N, M, C) and the labels; with several models, these are members."""
    of_models = []
    for model in models:
        images_of.check(images, model)
        examples = images_of.load(images)
        try:
            logits, labels = evaluation.predict(model, examples.batches(FLAGS.batch_size))
        except tf.errors.OpError as error:
            examples.find_damaged()
            reason = error.message.split("\n")[0]
            raise ValueError(
                f"TensorFlow fails: {reason}; a smaller --batch_size may do"
            ) from error
        of_models.append(logits)
    if len(models) == 1:
        return of_models[0], labels
    of_models = [
        evaluation.ensemble_logits(logits, model.ensemble)
        for logits, model in zip(of_models, models, strict=True)
    ]
    return np.stack(of_models, axis=1).astype(np.float32), labels


def twins(judged):
    """Lists of judgements of runs that differ in their seed alone, two or more each.

    A run that was extended differs from one that had all its epochs from the start.
    """
    groups = {}
    for each in judged:
        of_run = images_of.flags_of_run(each.files[0])
        if len(each.files) > 1 or "--seed" not in of_run:
            continue
        seed = of_run.pop("--seed")
        lines = run_flags.deciding([f"{name}={of_run[name]}" for name in sorted(of_run)])
        is_run = (each.files[0] / "run.flags").is_file()
        extensions = run_flags.extensions(images_of.folder_of_run(each.files[0]))
        key = "model.keras" if is_run else each.files[0].name, *extensions, *lines
        groups.setdefault(key, []).append((seed, each))
    return [
        [each for _, each in group]
        for group in groups.values()
        if len(group) > 1 and len(dict(group)) == len(group)
    ]


def check_json(file):
    """Whether there are figures in a file, or nothing, so that new ones may take their place.

    Raises:
        OSError: if the file cannot be written, or holds anything else.
    """
    if not file.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {file.parent} for --json")
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder; name a file for --json")
    if metrics_json.is_stream(file) or not file.exists():
        return False
    content = file.read_bytes()
    try:
        figures = json.loads(content or "[]")
    except ValueError:
        figures = None
    of_each = figures if isinstance(figures, list) else [figures]
    if not all(isinstance(figures, dict) and "accuracy" in figures for figures in of_each):
        raise FileExistsError(f"{file} exists and holds no figures; name another file for --json")
    return True


def write_json(judged, file, replace=False):
    """The metrics of one judgement, or a list of those of several."""
    described = [each.described() for each in judged]
    content = described[0] if len(judged) == 1 else described
    metrics_json.write_metrics(file, content, replace)


def keep(judged, output):
    """Writes figures, predictions and models to a new folder, all at once.

    With several judgements, there is a folder in it for each, numbered, and metrics.json is a
    list.
    """
    with outputs.at_once(output) as partial:
        partial.mkdir()
        if len(judged) == 1:
            _keep(judged[0], partial)
            return
        for i, each in enumerate(judged):
            (partial / str(i)).mkdir()
            _keep(each, partial / str(i))
        write_json(judged, partial / "metrics.json")


def _keep(judgement, folder):
    described = judgement.images.described().items()
    lines = [f"# of {file}" for file in judgement.files]
    lines += [f"{name}={value}" for name, value in described if value is not None]
    (folder / "run.flags").write_text("\n".join(lines) + "\n")
    arrays = {"member_logits": judgement.member_logits, "labels": judgement.labels}
    if judgement.held_out:
        arrays["held_out_member_logits"], arrays["held_out_labels"] = judgement.held_out
    np.savez_compressed(folder / "predictions.npz", **arrays)
    write_json([judgement], folder / "metrics.json")
    if not any(map(is_saved_model, judgement.files)):
        checkpoints.save_model(models_of.load_as_one(judgement.files), folder / "model.keras")
