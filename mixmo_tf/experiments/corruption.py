"""Models evaluated on corrupted images, published or made; what was found is not done again."""

import dataclasses
import hashlib
import logging
import os
import pathlib
import re
from collections.abc import Callable
from typing import NamedTuple

from tqdm import tqdm

from mixmo_tf import data
from mixmo_tf.data import corrupting, tfds_images
from mixmo_tf.data import corruptions as corruptions_of
from mixmo_tf.evaluation import corruption
from mixmo_tf.experiments import answers, images, kept_sets
from mixmo_tf.experiments.fields import setting
from mixmo_tf.experiments.of_flags import OfFlags
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.paths import expanded

MADE = "made"
NAMES = (*corruptions_of.PUBLISHED, MADE)
_NOT_COMPARABLE = (
    "made here, with the constants of ImageNet-C: not to be compared with results on CIFAR-10-C, "
    "CIFAR-100-C or Tiny ImageNet-C"
)
_OTHER_IMAGES = "not made of the test images of Tiny ImageNet: no drop from these can be told"
_WITH_MCE = "imagenet_c"
_WORDNET_ID = re.compile(r"n\d{8}")
_log = logging.getLogger(__name__)


def _check_name(said):
    """Raises ValueError unless a text is one of `NAMES`, or one with a path behind it."""
    name, colon, folder = said.partition(":")
    if name not in NAMES or bool(colon) != bool(folder):
        raise ValueError(
            f"corruptions must be one of {', '.join(NAMES)}, or one with :PATH, where its folder "
            f"is, got {said!r}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfCorruptions(OfFlags):
    """Which corrupted images models are evaluated on too."""

    corruptions: str | None = setting(
        None,
        f"Corrupted images to evaluate on too: {', '.join(NAMES)}; with :PATH if the folder is "
        "not in --data_dir. With made, they are made from the test images, once (this needs "
        "the extra corruptions).",
        check=_check_name,
    )
    corruption_names: tuple[str, ...] = setting(
        (),
        "Which corruptions to evaluate; all that are there if not set.",
        choices=corruptions_of.NAMES,
    )
    severities: tuple[int, ...] = setting(
        corruptions_of.SEVERITIES,
        "Which severities of the corruptions to evaluate, 1 to 5.",
        bounds=(1, 5),
        unit="whole numbers",
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.severities:
            raise ValueError("severities must have a value, got none")
        chosen = self._changed() if self.corruptions is None else ()
        for name in ("corruption_names", "severities"):
            if name in chosen:
                raise ValueError(f"{name} needs --corruptions, whose sets it chooses from")


class Wanted(NamedTuple):
    """The corrupted images that models are evaluated on."""

    images: images.Images  # with the name, one of `NAMES`, for messages
    found: corruptions_of.Found
    sets: tuple  # of (corruption, severity), those that are there and wanted
    missing: tuple  # those that are wanted and not there


def find(
    settings: OfCorruptions, tested_on: images.Images, model: Predictor, load_images: Callable
) -> Wanted | None:
    """The images that settings name; "made" makes what is missing.

    Args:
        tested_on: the clean images, which "made" corrupts.
        model: one of the models, whose images they must be.
        load_images: `images.load`.

    Raises:
        ValueError, OSError, ImportError: if the images are unknown, missing or damaged, or cannot
            be made; the message is a line.
    """
    if settings.corruptions is None:
        return None
    name, _, folder = settings.corruptions.partition(":")
    names = tuple(dict.fromkeys(settings.corruption_names)) or corruptions_of.NAMES
    if name == MADE:
        path = expanded(folder) if folder else _folder_for(tested_on, load_images)
        examples = load_images(tested_on)
        images.check(tested_on, examples.info, model)
        _log.info("Corrupted images of %s, %s are in %s.", tested_on.dataset, tested_on.split, path)
        found = corrupting.make(examples, path, tested_on.split, names)
    else:
        found = corruptions_of.find(name, folder or None, tested_on.data_dir)
    severities = sorted(set(settings.severities))
    asked = [(each, severity) for each in names for severity in severities]
    sets = tuple(each for each in asked if each in found.sets)
    missing = tuple(each for each in asked if each not in found.sets)
    for each, severity in missing if settings.corruption_names else ():
        raise FileNotFoundError(f"there is no {each} of severity {severity} in {found.path}")
    if not sets:
        raise FileNotFoundError(f"there is no set of these severities in {found.path}")
    return Wanted(tested_on._replace(dataset=name), found, sets, missing)


def evaluate(
    wanted: Wanted,
    files: list[pathlib.Path],
    models: list,
    ensemble: str,
    precision: str | None,
    batch_size: int,
) -> dict:
    """What metrics.json says of corrupted images; the arguments are those of `shift.evaluate`.

    Raises:
        ValueError: if the images are damaged or do not fit the models.
    """
    of_images, found, sets, missing = wanted
    name = of_images.dataset
    model = kept_sets.model_state(files)
    file = kept_sets.file_of(files, name, found.path, ensemble, precision)
    num_members = len(models) if len(models) > 1 else models[0].num_members
    kept = kept_sets.read(file, model, num_members)
    is_kept = True
    answer, of_sets, count = answers.answerer(models), {}, 0
    with tqdm(sets, unit=" sets", disable=None) as progress:
        for corrupted in progress:
            progress.set_description(" ".join(map(str, corrupted)))
            state, sums = kept.get(corrupted, (None, None))
            now = found.state(*corrupted)
            if state != now:
                opened = found.open(*corrupted)
                images.check(of_images, _with_words(opened.info, models[0]), models[0])
                batches = opened.batches(batch_size)
                batches = answers.answered(answer, batches, opened.find_damaged)
                sums = sum(corruption.sums(*batch, ensemble) for batch in batches)
                kept[corrupted] = now, sums
                is_kept = is_kept and kept_sets.write(file, model, kept)
                count += 1
            of_sets[corrupted] = sums
    there = len(sets) - count
    _log.info("Of the sets of %s, %d are evaluated now; %d were in %s.", name, count, there, file)
    about = {
        "name": name,
        "path": found.path,
        "examples": int(next(iter(of_sets.values()))[0, 0]),
        "sets_found": len(sets),
        "sets_missing": [list(each) for each in missing],
        "note": {MADE: _NOT_COMPARABLE, "tiny_imagenet_c": _OTHER_IMAGES}.get(name),
    }
    return about | corruption.summary(of_sets, name == _WITH_MCE)


def _with_words(info, model):
    """The Info; with the model's names of classes where it has WordNet ids, and they are words.

    Both count the classes in the order of the ids.
    """
    names = model.class_names or ()
    if not all(map(_WORDNET_ID.fullmatch, info.class_names)) or len(names) != info.num_classes:
        return info
    has_ids = any(map(_WORDNET_ID.fullmatch, names))
    return info if has_ids else dataclasses.replace(info, class_names=names)


def _folder_for(tested_on, load_images):
    """Where corrupted images are made unless a path is given: beside tensorflow-datasets' own.

    Never in a user's folder of images, where it would be a class.
    """
    name = tested_on.dataset
    if data.is_folder(name):
        code = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        name = f"{os.path.basename(name)}-{code}"
    name = name.replace("/", "_").replace(":", "_")
    height, width, _ = load_images(tested_on).info.image_shape
    folder = f"{name}-{tested_on.split}-{height}x{width}"
    return pathlib.Path(tfds_images.data_folder(tested_on.data_dir), "made_corruptions", folder)
