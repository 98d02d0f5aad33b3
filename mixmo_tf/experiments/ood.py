"""How well models tell images of something else: OpenOOD 1.5's protocol, or any sets."""

import dataclasses
import functools
import logging
import os
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mixmo_tf import data, evaluation
from mixmo_tf.data import fitting, image_folder, tfds_images
from mixmo_tf.experiments import answers, images
from mixmo_tf.experiments.fields import setting
from mixmo_tf.experiments.of_flags import OfFlags

GROUPS = ("near", "far")
PROTOCOL = "openood"
_FAR = ("tfds:mnist", "tfds:svhn_cropped", "tfds:dtd", "tfds:places365_small")
OPENOOD = {  # Zhang et al. 2023 (arXiv 2306.09301): by the dataset that a model is tested on
    "cifar10": {"near": ("cifar100", "tiny_imagenet"), "far": _FAR},
    "cifar100": {"near": ("cifar10", "tiny_imagenet"), "far": _FAR},
    "imagenet2012": {  # those without a colon are not in tensorflow-datasets
        "near": ("SSB-hard", "NINCO"),
        "far": ("iNaturalist", "tfds:dtd", "OpenImage-O"),
    },
}
_UNFILTERED = "OpenOOD's sets, unfiltered"
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfOod(OfFlags):
    """Which images of something else models are evaluated on too."""

    ood: tuple[str, ...] = setting(
        (),
        "Out-of-distribution images to evaluate on too: near:DATASET and far:DATASET, separated "
        "by commas, where DATASET is what --dataset takes or a name of tensorflow-datasets; or "
        "openood, the sets of its protocol that are there.",
    )

    def __post_init__(self):
        super().__post_init__()
        entries = _entries(self.ood)
        for entry in entries if entries != [PROTOCOL] else ():
            group, _, name = entry.partition(":")
            if group not in GROUPS or not name:
                raise ValueError(
                    f"ood must be near:DATASET or far:DATASET, with commas between several, or "
                    f"{PROTOCOL}, got {entry!r}"
                )


class OodSet(NamedTuple):
    """Images of something else."""

    group: str  # one of `GROUPS`
    name: str  # as messages and metrics.json have it
    split: str
    examples: data.Examples | data.Records
    how: str  # how they are brought to the network's size


class Wanted(NamedTuple):
    """The sets that models are evaluated on."""

    sets: tuple  # of OodSet
    protocol: str | None  # what their choice is called
    missing: tuple  # names of the protocol's sets that are not there


def find(
    settings: OfOod, tested_on: images.Images, image_shape: tuple, load_images: Callable
) -> Wanted | None:
    """The sets that settings name.

    Args:
        tested_on: the images in distribution.
        image_shape: (height, width, channels) that the models take.
        load_images: `images.load`.

    Raises:
        ValueError, OSError: if a set is unknown, missing, damaged or the one in distribution, or
            its channels cannot be made those of the models; the message is a line.
    """
    entries = _entries(settings.ood)
    if not entries:
        return None
    protocol, missing = None, ()
    if entries == [PROTOCOL]:
        protocol = _UNFILTERED
        entries, missing = _of_protocol(tested_on)
    sets = []
    for entry in entries:
        group, _, name = entry.partition(":")
        name = _full_name(name)
        if _without_version(name) == _without_version(data.full_name(tested_on.dataset)):
            raise ValueError(f"ood must be other images than those in distribution, got {name}")
        if any(_without_version(name) == _without_version(each.name) for each in sets):
            raise ValueError(f"ood must name a set once, got {name} twice")
        found = _load(group, name, tested_on.data_dir, image_shape)
        if data.is_folder(name) and data.is_folder(tested_on.dataset):
            _check_other_files(found.examples, load_images(tested_on))
        sets.append(found)
    return Wanted(tuple(sets), protocol, missing)


class Scores(NamedTuple):
    """The ensemble's scores of each image, float64 (N,), by `evaluation.ood_scores`' names."""

    inside: dict
    outside: dict  # of such dicts, by the set's name


def evaluate(
    wanted: Wanted, models: list, member_logits: np.ndarray, ensemble: str, batch_size: int
) -> tuple[dict, Scores]:
    """What metrics.json says of images of something else, and what it is computed from.

    The arguments are those of `shift.evaluate`.

    Returns:
        dict: "sets", of each its `evaluation.ood` by score; "near" and "far", the unweighted means
        over their sets; the members' own by `member_`, lists.

    Raises:
        ValueError: if a set is damaged.
    """
    answer = answers.answerer(models)
    scores_in = _scores(member_logits, ensemble)
    found, outside = [], {}
    for each in wanted.sets:
        _log.info("Predicting %s, %s: %s images.", each.name, each.split, f"{len(each.examples):,}")
        scores_out = _scores(_logits(answer, each.examples, batch_size), ensemble)
        of_all = [
            {score: evaluation.ood(inside[score], outside[score]) for score in inside}
            for inside, outside in zip(scores_in, scores_out, strict=True)
        ]
        outside[f"{each.group} {each.name}, {each.split}"] = scores_out[0]
        about = {"group": each.group, "dataset": each.name, "split": each.split}
        about |= {"examples": len(each.examples), "images": each.how}
        found.append(about | {"scores": of_all[0], "member_scores": of_all[1:]})
    result = {"protocol": wanted.protocol, "missing": list(wanted.missing), "sets": found}
    for group in GROUPS:
        if of_group := [each for each in found if each["group"] == group]:
            members = zip(*(each["member_scores"] for each in of_group), strict=True)
            result[group] = {
                "scores": _mean([each["scores"] for each in of_group]),
                "member_scores": [_mean(of_member) for of_member in members],
            }
    return result, Scores(scores_in[0], outside)


def _entries(said):
    """The texts between those commas that come before near: or far:, or the protocol's name."""
    return re.split(rf",(?=(?:{'|'.join(GROUPS)}):|{PROTOCOL}$)", ",".join(said)) if said else []


def _full_name(name):
    """The one name of a dataset; tensorflow-datasets' may come without tfds:."""
    kind = name.partition(":")[0]
    if f"{kind}:" in data.SOURCES or name in data.SOURCES:
        return data.full_name(name)
    if tfds_images.knows(name):
        return tfds_images.PREFIX + name
    raise ValueError(
        f"ood must name datasets, {', '.join(data.NAMES)}, or of tensorflow-datasets, got {name!r}"
    )


def _without_version(name):
    """A name such as "tfds:svhn_cropped:3.0.0" without its version."""
    if not name.startswith(tfds_images.PREFIX):
        return name
    return data.full_name(tfds_images.PREFIX + name.removeprefix(tfds_images.PREFIX).split(":")[0])


def _check_other_files(examples, tested_on):
    """Raises ValueError if a file is in both, by whatever path: through a link, or from above."""
    in_distribution = set(_places(tested_on))
    for folder, file in _places(examples):
        if (folder, file) in in_distribution:
            raise ValueError(
                f"ood must be other images than those in distribution, got {examples.info.name}, "
                f"which has {os.path.join(folder, file)} as well"
            )


def _places(examples):
    """Of each image its real folder, and its file in there."""
    real_path = functools.cache(os.path.realpath)
    for name in examples.names:
        folder, file = os.path.split(f"{examples.location}{name}")
        yield real_path(folder), file


def _of_protocol(tested_on):
    """Entries of the sets that are on this machine, and the names of those that are not."""
    if tested_on.dataset not in OPENOOD:
        raise ValueError(
            f"ood={PROTOCOL} is for {', '.join(OPENOOD)}, got a model of {tested_on.dataset}; name "
            "sets, such as near:cifar100,far:svhn_cropped"
        )
    wanted = [(group, name) for group in GROUPS for name in OPENOOD[tested_on.dataset][group]]
    there = [f"{group}:{name}" for group, name in wanted if _is_there(name, tested_on.data_dir)]
    missing = tuple(name for group, name in wanted if f"{group}:{name}" not in there)
    if not there:
        raise FileNotFoundError(
            f"none of OpenOOD's sets is in {tfds_images.data_folder(tested_on.data_dir)}: "
            f"{', '.join(missing)}; one that is named, such as near:cifar100, is downloaded"
        )
    return there, missing


def _is_there(name, data_dir):
    if name == "tiny_imagenet":  # whose builder is ours
        from mixmo_tf.data import tiny_imagenet  # imported here: it takes seconds

        folder = tfds_images.data_folder(data_dir)
        archive = folder / "downloads" / "manual" / tiny_imagenet.ARCHIVE
        return archive.exists() or (folder / name).is_dir()
    in_tfds = name.startswith(tfds_images.PREFIX) or name in data.SOURCES
    return in_tfds and tfds_images.is_prepared(name, data_dir)


def _load(group, name, data_dir, image_shape):
    """An OodSet: the test images, or else all."""
    has_test = data.has_test_split(name, data_dir=data_dir)
    split = "test" if has_test else "train"
    height, width, channels = image_shape
    if name.startswith(tfds_images.PREFIX):
        examples = tfds_images.read_unsized(name, split, data_dir)
    elif data.is_folder(name) and not has_test:
        examples, split = image_folder.read_unlabelled(name), "all"
    elif name == "imagenet2012":
        if height != width or channels != 3:
            raise ValueError(f"{name} has square RGB images, the network takes {image_shape}")
        examples = data.load_examples(name, split, data_dir, image_size=height)
        return OodSet(group, name, split, examples, "RGB, its own central crop, 87.5 %")
    else:
        examples = data.load_examples(name, split, data_dir)
    examples = fitting.fitted(examples, image_shape)
    return OodSet(group, name, split, examples, fitting.described(image_shape))


def _logits(answer, examples, batch_size):
    """float32 (N, M, C)."""
    batches = answers.answered(answer, examples.batches(batch_size), examples.find_damaged)
    return np.concatenate([logits for logits, _ in batches])


def _scores(member_logits, ensemble):
    """The scores of the ensemble, and of each of two members or more."""
    num_members = member_logits.shape[1]
    members = np.split(member_logits, num_members, axis=1) if num_members > 1 else []
    scores = [evaluation.ood_scores(each, ensemble) for each in (member_logits, *members)]
    return scores


def _mean(of_sets):
    """The mean over sets of each metric of each score."""
    return {
        score: {
            key: float(np.mean([of_set[score][key] for of_set in of_sets]))
            for key in of_sets[0][score]
        }
        for score in of_sets[0]
    }
