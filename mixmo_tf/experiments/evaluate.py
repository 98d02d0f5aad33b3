"""Trained models, each or several as one, evaluated on images that they were not trained on."""

import functools
import logging
import pathlib

import numpy as np

from mixmo_tf import evaluation
from mixmo_tf.experiments import (
    abstention,
    answers,
    evaluation_files,
    evaluation_tables,
    images,
    kept_predictions,
    page,
    shift,
)
from mixmo_tf.experiments import models as models_of
from mixmo_tf.experiments.evaluations import Evaluation, EvaluationSettings, of_answers
from mixmo_tf.experiments.of_flags import check_is
from mixmo_tf.models import deep_ensemble
from mixmo_tf.paths import expanded

_log = logging.getLogger(__name__)


def evaluate(settings: EvaluationSettings) -> list[Evaluation]:
    """Evaluates models, each or several as a deep ensemble, all on the same images.

    A table of the metrics is logged.

    Args:
        settings: EvaluationSettings; where they name a file or a folder, the results are written.

    Returns:
        An Evaluation for each `model`, or each of the `predictions`, of the settings.

    Raises:
        ValueError, OSError: if a model or its images are missing, damaged or do not fit, or the
            results cannot be written; the message is a line.
    """
    check_is(settings, EvaluationSettings)
    groups = () if settings.predictions else settings.groups()
    if settings.paired and len(settings.predictions or groups) < 2:
        raise ValueError("paired needs two --model or more, to test against the first one, got one")
    write = evaluation_files.writer(settings)
    said = dict.fromkeys(line for files in groups for line in models_of.epochs_in_words(files))
    write_page = page.writer(settings) if settings.report else None
    load_images = functools.cache(images.load)
    if settings.predictions:
        evaluations = kept_predictions.read(settings)
    else:
        evaluations = _evaluate_models(settings, groups, load_images)
    if settings.paired:
        evaluations[1:] = [_tested(each, evaluations[0]) for each in evaluations[1:]]
    _log.info("%s", "\n".join([*said, evaluation_tables.text(evaluations)]))
    write(evaluations)
    if settings.output_dir:
        _log.info("Saved the metrics in %s.", expanded(settings.output_dir))
    if write_page:
        file = write_page(evaluations, None if settings.predictions else load_images)
        _log.info("Wrote %s.", file)
    return evaluations


def report(settings: EvaluationSettings) -> pathlib.Path:
    """Evaluates models as `evaluate` does, and writes the page that `settings.report` is for.

    Returns:
        The page, report.html.

    Raises:
        ValueError, OSError: see `evaluate`; or if `report` names no folder.
    """
    check_is(settings, EvaluationSettings)
    if not settings.report:
        raise ValueError("report must name a folder for report.html")
    evaluate(settings)
    return expanded(settings.report) / page.NAME


def _evaluate_models(settings, groups, load_images):
    """An Evaluation for each `model`."""
    evaluations = []
    for files in groups:
        try:
            evaluations.append(_evaluate(settings, files, load_images, evaluations[:1]))
        except ValueError as error:
            name = ",".join(map(str, files))
            raise ValueError(str(error) if name in str(error) else f"{name}: {error}") from None
    return evaluations


def _evaluate(settings, files, load_images, before):
    """One Evaluation; of those `before`, the first has the images that all must have."""
    models = settings.load(files)
    tested_on, fitted_on = images.find(settings, files, models[0])
    abstention.check(settings, tested_on, fitted_on)
    deep_ensemble.check_alike(models, settings.ensemble)
    for first in before:
        _check_same_images(first, tested_on, files, load_images)
    shifted = shift.find(settings, tested_on, models, load_images)
    ensemble = settings.ensemble or models[0].ensemble
    predict = functools.partial(_predict, models, load_images, settings.batch_size)
    tested = predict(tested_on)
    held_out = predict(fitted_on) if fitted_on else None
    names = load_images(tested_on).info.class_names
    found = of_answers(settings, files, ensemble, tested_on, tested, held_out, names)
    on_others = shift.evaluate(
        shifted,
        files,
        models,
        found.member_logits,
        ensemble=ensemble,
        precision=settings.precision,
        batch_size=settings.batch_size,
    )
    return found._replace(shift=on_others.metrics, ood_scores=on_others.ood_scores)


def _tested(this, first):
    """The Evaluation, with what a paired test against the first one says."""
    test = evaluation.paired(this.logits(), first.logits(), this.labels)
    return this._replace(paired={"against": first.name, **test})


def _check_same_images(first, tested_on, files, load_images):
    """Raises ValueError unless the images are those of the first Evaluation."""
    if load_images(tested_on).fingerprint() != load_images(first.images).fingerprint():
        raise ValueError(
            f"the models have other images: {first.images.dataset}, {first.images.split} for "
            f"{first.name}, {tested_on.dataset}, {tested_on.split} for "
            f"{','.join(map(str, files))}; choose a --dataset and --split=test to evaluate them on"
        )


def _predict(models, load_images, batch_size, tested_on):
    """The members' logits (N, M, C), the labels, and the images' files, or else their indices.

    With several models, these are members.
    """
    examples = load_images(tested_on)
    for model in models:
        images.check(tested_on, examples.info, model)
    with answers.explained(examples.find_damaged):
        predicted = [evaluation.predict(model, examples.batches(batch_size)) for model in models]
    of_models, labels = zip(*predicted, strict=True)
    names = np.arange(len(examples)) if examples.names is None else examples.names.astype(str)
    return answers.together(of_models, models), labels[0], names
