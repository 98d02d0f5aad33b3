"""Trained models, each or several as one, evaluated on images that they were not trained on."""

import dataclasses
import functools
import logging
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mixmo_tf import evaluation
from mixmo_tf.evaluation import metrics_json
from mixmo_tf.experiments import (
    abstention,
    directory,
    evaluation_files,
    evaluation_tables,
    images,
    shift,
)
from mixmo_tf.experiments.fields import setting
from mixmo_tf.experiments.images import OfImages
from mixmo_tf.experiments.models import OfModels
from mixmo_tf.experiments.of_flags import check_is
from mixmo_tf.models import deep_ensemble
from mixmo_tf.paths import expanded

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings(OfModels, OfImages, abstention.OfAbstention, shift.OfShift):
    """What is evaluated, on what, and where the results go; the flags of evaluate.py."""

    batch_size: int = setting(500, "Images per batch.", bounds=(1, None))
    paired: bool = setting(
        False,
        "Test each further --model against the first one, image by image: McNemar's test of the "
        "accuracies, and a bootstrap interval of the difference of the NLLs.",
    )
    json: str | None = setting(None, "File to write the metrics to; none if not set.")
    output_dir: str | None = setting(
        None, "New folder to keep metrics, predictions and the model in; none if not set."
    )


class Evaluation(NamedTuple):
    """What was evaluated, and how it did."""

    files: list  # pathlib.Path of the models
    ensemble: str  # what is averaged, "logits" or "probabilities"
    images: images.Images
    member_logits: np.ndarray  # float32 (N, M, C)
    labels: np.ndarray  # int64 (N,)
    metrics: dict  # of `evaluation.report`
    held_out: tuple | None  # (member_logits, labels) that temperatures are fitted on
    class_names: tuple  # of str, by label
    image_names: np.ndarray  # (N,), files below the split's folder, or where there are none indices
    held_out_names: np.ndarray | None  # those of the held-out images
    abstention: list  # of dict, see `abstention.found`
    paired: dict | None = None  # of `evaluation.paired`, and which model it is "against"
    shift: dict | None = None  # "corruptions" and "ood", see `shift.evaluate`

    def __repr__(self):
        measured = {key: self.metrics[key] for key in ("accuracy", "nll")}
        shown = ", ".join(f"{key}={value:.4f}" for key, value in measured.items())
        return f"Evaluation(name={self.name!r}, {shown}, examples={len(self.labels)})"

    @property
    def name(self) -> str:
        return ",".join(map(str, self.files))

    @property
    def fitted_on(self) -> str:
        """The images that temperatures are fitted on."""
        if self.held_out:
            return "validation images"
        return f"the other nine of ten folds of the {self.images.split} images"

    def described(self) -> dict:
        """What metrics.json says."""
        per_class = evaluation.per_class(self.logits(), self.labels)
        return metrics_json.described(
            self.metrics,
            dataset=self.images.dataset,
            split=self.images.split,
            examples=len(self.labels),
            ensemble=self.ensemble,
            libraries=directory.versions(),
            models=list(map(str, self.files)),
            **(self.shift or {}),
            temperature_fitted_on=self.fitted_on,
            class_names=self.class_names,
            **{key: figures.tolist() for key, figures in per_class.items()},
            **({"abstention": self.abstention} if self.abstention else {}),
            **({"paired": self.paired} if self.paired else {}),
        )

    def logits(self) -> np.ndarray:
        """The ensemble's, float64 (N, C)."""
        return evaluation.ensemble_logits(self.member_logits, self.ensemble)


def evaluate(settings: EvaluationSettings) -> list[Evaluation]:
    """Evaluates models, each or several as a deep ensemble, all on the same images.

    A table of the metrics is logged.

    Args:
        settings: EvaluationSettings; where they name a file or a folder, the results are written.

    Returns:
        An Evaluation for each `model` of the settings.

    Raises:
        ValueError, OSError: if a model or its images are missing, damaged or do not fit, or the
            results cannot be written; the message is a line.
    """
    check_is(settings, EvaluationSettings)
    groups = settings.groups()
    if settings.paired and len(groups) < 2:
        raise ValueError("paired needs two --model or more, to test against the first one, got one")
    write = evaluation_files.writer(settings)
    load_images = functools.cache(images.load)
    evaluations = []
    for files in groups:
        try:
            evaluations.append(_evaluate(settings, files, load_images, evaluations[:1]))
        except ValueError as error:
            name = ",".join(map(str, files))
            raise ValueError(str(error) if name in str(error) else f"{name}: {error}") from None
    if settings.paired:
        evaluations[1:] = [_tested(each, evaluations[0]) for each in evaluations[1:]]
    _log.info(evaluation_tables.text(evaluations))
    write(evaluations)
    if settings.output_dir:
        _log.info("Saved the metrics in %s.", expanded(settings.output_dir))
    return evaluations


def _evaluate(settings, files, load_images, before):
    """One Evaluation; of those `before`, the first has the images that all must have."""
    models = settings.load(files)
    tested_on, fitted_on = images.find(settings, files, models[0])
    abstention.check(settings, fitted_on)
    deep_ensemble.check_alike(models, settings.ensemble)
    for first in before:
        _check_same_images(first, tested_on, files, load_images)
    shifted = shift.find(settings, tested_on, models, load_images)
    ensemble = settings.ensemble or models[0].ensemble
    predict = functools.partial(_predict, models, load_images, settings.batch_size)
    member_logits, labels = predict(tested_on)
    held_out = predict(fitted_on) if fitted_on else None
    metrics = evaluation.report(member_logits, labels, ensemble, held_out)
    together = functools.partial(evaluation.ensemble_logits, ensemble=ensemble)
    return Evaluation(
        files,
        ensemble,
        tested_on,
        member_logits,
        labels,
        metrics,
        held_out,
        load_images(tested_on).info.class_names,
        _names(load_images(tested_on)),
        _names(load_images(fitted_on)) if fitted_on else None,
        abstention.found(
            settings,
            (together(member_logits), labels),
            (together(held_out[0]), held_out[1]) if held_out else None,
        ),
        shift=shift.evaluate(
            shifted,
            files,
            models,
            member_logits,
            ensemble=ensemble,
            precision=settings.precision,
            batch_size=settings.batch_size,
        ),
    )


def _names(examples):
    """The images' files, str (N,), or where they have none their indices, int (N,)."""
    return np.arange(len(examples)) if examples.names is None else examples.names.astype(str)


def _tested(this, first):
    """The Evaluation, with what a paired test against the first one says."""
    figures = evaluation.paired(this.logits(), first.logits(), this.labels)
    return this._replace(paired={"against": first.name, **figures})


def _check_same_images(first, tested_on, files, load_images):
    """Raises ValueError unless the images are those of the first Evaluation."""
    if load_images(tested_on).fingerprint() != load_images(first.images).fingerprint():
        raise ValueError(
            f"the models have other images: {first.images.dataset}, {first.images.split} for "
            f"{first.name}, {tested_on.dataset}, {tested_on.split} for "
            f"{','.join(map(str, files))}; choose a --dataset and --split=test to evaluate them on"
        )


def _predict(models, load_images, batch_size, tested_on):
    """The members' logits (N, M, C) and the labels; with several models, these are members."""
    examples = load_images(tested_on)
    of_models = []
    for model in models:
        images.check(tested_on, examples.info, model)
        try:
            logits, labels = evaluation.predict(model, examples.batches(batch_size))
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
