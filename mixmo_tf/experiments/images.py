"""The images that models are evaluated on: their runs' own test images, or what settings say."""

import dataclasses
import pathlib
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from mixmo_tf import data
from mixmo_tf.experiments import directory
from mixmo_tf.experiments.fields import setting
from mixmo_tf.experiments.of_flags import OfFlags
from mixmo_tf.experiments.run_flags import number, read
from mixmo_tf.formats import signature
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.paths import printable, resolved
from mixmo_tf.training import model_archive

UNKNOWN = "unknown"  # dataset and split of answers that were kept without them
_AS_BEFORE = "--as_before"  # among a run's flags where `directory.reads_as_before`


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfImages(OfFlags):
    """Which images; where nothing is set, those of the models' runs."""

    dataset: str | None = setting(
        None,
        f"The dataset of the images: {', '.join(data.NAMES)}; the run's own if not set.",
        check=data.check_name,
    )
    split: str | None = setting(
        None,
        "Which images of the dataset; if not set, the test images, or else the held-out ones, or "
        "else all.",
        choices=data.SPLITS,
    )
    data_dir: str | None = setting(
        None, "Folder of tensorflow-datasets; ~/tensorflow_datasets if not set."
    )


class Images(NamedTuple):
    """Where images are: the arguments of `data.load_examples`."""

    dataset: str
    split: str
    data_dir: str | None
    options: tuple  # of (name, value): image_size, validation_examples, as_before

    def described(self) -> dict:
        """The same as flags of train.py, values by names such as "--dataset"."""
        flags_of = {f"--{name}": value for name, value in self.options}
        return {"--dataset": self.dataset, "--data_dir": self.data_dir, **flags_of}


def find(
    settings: OfImages, files: Sequence[pathlib.Path], model: Predictor
) -> tuple[Images, Images | None]:
    """The images to evaluate models on, and those to fit a temperature on.

    Args:
        files: of the models.
        model: one of them, for the size of its images.

    Returns:
        Images, and Images of the split "validation" where all the runs held these out, or the
        dataset has them apart, and they are not the first ones, else None.

    Raises:
        ValueError: if no dataset is known, or the runs have different ones.
    """
    run_flags, *others = _flags_of_runs(settings, files)
    dataset = settings.dataset or run_flags.get("--dataset")
    if dataset is None:
        raise ValueError(
            f"{files[0]} is not in a run's folder: name the --dataset{_in_description(files[0])}"
        )
    dataset = data.full_name(dataset)
    options = {}
    if dataset == run_flags.get("--dataset"):  # the same images held out, of the same size
        for name in ("validation_examples", "image_size"):
            if f"--{name}" in run_flags:
                options[name] = int(run_flags[f"--{name}"])
        if _AS_BEFORE in run_flags:
            options["as_before"] = True
    elif data.takes_image_size(dataset) and model.image_shape[0] == model.image_shape[1]:
        options["image_size"] = model.image_shape[0]
    data_dir = settings.data_dir or run_flags.get("--data_dir")
    split = settings.split or _default_split(dataset, options, data_dir)
    images = Images(dataset, split, data_dir, tuple(options.items()))
    all_held_them_out = all(
        other.get(name) == run_flags.get(name)
        for other in others
        for name in ("--dataset", "--validation_examples")
    )
    if options.get("validation_examples"):
        not_trained_on = all_held_them_out
    else:
        as_before = options.get("as_before", False)
        not_trained_on = data.has_validation_split(dataset, as_before, data_dir)
    if split != "test" or not not_trained_on:
        return images, None
    return images, images._replace(split="validation")


def _in_description(file):
    """What the description of an exported model says of its images, in brackets; "" for nothing."""
    said, _ = signature.description_beside(file / signature.DESCRIPTION if file.is_dir() else file)
    metrics = said.get("metrics")
    dataset = metrics.get("dataset") if isinstance(metrics, dict) else None
    return (
        f" ({signature.DESCRIPTION} says {printable(dataset)})" if isinstance(dataset, str) else ""
    )


def _default_split(dataset, options, data_dir):
    """The test images; else those held out; else all that the folder has."""
    if data.has_test_split(dataset, options.get("as_before", False), data_dir):
        return "test"
    return "validation" if options.get("validation_examples") else "train"


def central_fraction(files: Sequence[pathlib.Path], dataset: str | None = None) -> float:
    """How much of the shorter side of a file's image models are to be given.

    Args:
        files: list of pathlib.Path of the models.
        dataset: the name of the dataset that they were trained on; None for that of their run, or
            for what a folder that was shared says.
    """
    if dataset is None and model_archive.is_folder(files[0]):
        return signature.central_fraction(files[0])
    dataset = dataset or flags_of_run(files[0]).get("--dataset")
    return data.central_fraction(dataset) if dataset else 1.0


def load(images: Images) -> data.Examples | data.Records:
    """The Examples."""
    return data.load_examples(images.dataset, images.split, images.data_dir, **dict(images.options))


def check(images: Images, info: data.Info, model: Predictor) -> None:
    """Raises ValueError unless Images, of a DatasetInfo, and their classes are the model's."""
    if (info.image_shape, info.num_classes) != (model.image_shape, model.num_classes):
        raise ValueError(
            f"the model takes images {model.image_shape} of {model.num_classes} classes; "
            f"{images.dataset} has {info.image_shape} and {info.num_classes}"
        )
    class_names = model.class_names or info.class_names
    for ours, theirs in zip(class_names, info.class_names, strict=True):
        if unicodedata.normalize("NFC", ours) != unicodedata.normalize("NFC", theirs):
            raise ValueError(f"{images.dataset} has the class {theirs} where the model has {ours}")


def _flags_of_runs(settings, files):
    """The flags of the runs around the models, a dict for each; empty if it is in no run's folder.

    Raises:
        ValueError: if the runs were trained on other images than each other.
    """
    first, *others = of_runs = [flags_of_run(file) for file in files]
    what = [] if settings.dataset else ["--dataset", "--image_size", _AS_BEFORE]
    as_before = _AS_BEFORE in first
    data_dir = settings.data_dir or first.get("--data_dir")
    has_test = "--dataset" in first and data.has_test_split(first["--dataset"], as_before, data_dir)
    if (settings.split or "test") != "test" or not has_test:
        what.append("--validation_examples")
    for file, other in zip(files[1:], others, strict=True):
        for name in what if first and other else ():
            there, here = first.get(name), other.get(name)
            if there != here:
                advice = "--split=test" if name == "--validation_examples" else "a --dataset"
                raise ValueError(
                    f"the runs have other images: {name} is {there} in {files[0]}, "
                    f"{here} in {file}; choose {advice} to evaluate them on"
                )
    return of_runs


def flags_of_run(path: pathlib.Path) -> dict[str, str]:
    """The flags of the run around the model, by name; none if it is in no run's folder."""
    folder = folder_of_run(path)
    if folder is None:
        return {}
    of_run = read(folder)
    for name in of_run.keys() & {"--validation_examples", "--image_size"}:
        number(folder, name)  # which says so if it is none
    if directory.reads_as_before(folder, of_run.get("--dataset", "")):
        of_run[_AS_BEFORE] = "True"
    return of_run


def folder_of_run(path: pathlib.Path) -> pathlib.Path | None:
    """The folder of the run around the model; None if it is in none."""
    path = resolved(path)
    for folder in (path, path.parent, path.parent.parent):
        if (folder / "run.flags").is_file():
            return folder
    return None
