"""Models where the images are not those of the training: corrupted ones, and of something else."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mixmo_tf.experiments import corruption, images, ood


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfShift(corruption.OfCorruptions, ood.OfOod):
    """Which other images models are evaluated on too."""


class Wanted(NamedTuple):
    """What `find` found; None where the settings name none."""

    corruptions: corruption.Wanted | None
    ood: ood.Wanted | None


class Shift(NamedTuple):
    """What was found on other images."""

    metrics: dict  # what metrics.json says more: "corruptions" and "ood", where they are wanted
    ood_scores: ood.Scores | None = None


def find(
    settings: OfShift, tested_on: images.Images, models: list, load_images: Callable
) -> Wanted:
    """The images that settings name, so that what is wrong is said before anything is predicted."""
    other = ood.find(settings, tested_on, models[0].image_shape, load_images)
    return Wanted(corruption.find(settings, tested_on, models[0], load_images), other)


def evaluate(
    wanted: Wanted,
    files: list[pathlib.Path],
    models: list,
    member_logits: np.ndarray,
    *,
    ensemble: str,
    precision: str | None,
    batch_size: int,
) -> Shift:
    """Evaluates models on the images that are wanted.

    Args:
        wanted: what `find` gives.
        files: of the models.
        models: what they hold.
        member_logits: float (N, M, C), of the images in distribution.
        ensemble: "logits" or "probabilities", what is averaged.
        precision: what the networks compute in; None for what they were trained in.
        batch_size: int, images at a time.
    """
    found, scores = {}, None
    if wanted.corruptions:
        found["corruptions"] = corruption.evaluate(
            wanted.corruptions, files, models, ensemble, precision, batch_size
        )
    if wanted.ood:
        found["ood"], scores = ood.evaluate(wanted.ood, models, member_logits, ensemble, batch_size)
    return Shift(found, scores)
