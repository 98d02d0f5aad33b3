"""Models where the images are not those of the training: corrupted ones, and of something else."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mixmo_tf.data.corruptions import NAMES, SEVERITIES
from mixmo_tf.experiments import corruption, images, ood
from mixmo_tf.experiments.command_line import OfFlags, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfShift(OfFlags):
    """Which other images models are evaluated on too."""

    corruptions: str | None = setting(
        None,
        f"Corrupted images to evaluate on too: {', '.join(corruption.NAMES)}; with :PATH where the "
        "folder is not in --data_dir. made: made of the test images, once (extra corruptions).",
    )
    corruption_names: tuple[str, ...] = setting(
        (), "Which corruptions; all that are there if not set.", choices=NAMES
    )
    severities: tuple[int, ...] = setting(
        SEVERITIES, "Which severities of them.", bounds=(1, 5), unit="whole numbers"
    )
    ood: tuple[str, ...] = setting(
        (),
        "Images of something else, out of distribution: near:DATASET and far:DATASET, with commas "
        "between them, a --dataset or a name of tensorflow-datasets; or openood, the sets of its "
        "protocol that are there.",
    )


class Wanted(NamedTuple):
    """What `find` found; None where the settings name none."""

    corruptions: corruption.Wanted | None
    ood: ood.Wanted | None


def find(settings, tested_on: images.Images, models: list, load_images: Callable) -> Wanted:
    """The images that settings name, so that what is wrong is said before anything is predicted."""
    return Wanted(
        corruption.find(settings, tested_on, load_images),
        ood.find(settings, tested_on, models[0].image_shape),
    )


def evaluate(
    settings, wanted: Wanted, files: list, models: list, member_logits: np.ndarray, ensemble: str
) -> dict:
    """What metrics.json says more: "corruptions" and "ood", where they are wanted."""
    found = {}
    if wanted.corruptions:
        found["corruptions"] = corruption.evaluate(
            settings, wanted.corruptions, files, models, ensemble
        )
    if wanted.ood:
        batch_size = settings.batch_size
        found["ood"] = ood.evaluate(wanted.ood, models, member_logits, ensemble, batch_size)
    return found
