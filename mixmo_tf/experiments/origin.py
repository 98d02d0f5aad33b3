"""What an exported model comes from: its runs, their flags and metrics, for model.json."""

import pathlib
from collections.abc import Sequence
from typing import Any

from mixmo_tf.data import is_folder
from mixmo_tf.experiments import directory, images, run_flags
from mixmo_tf.experiments.models import BEST, epochs_of


def facts(files: Sequence[pathlib.Path], ensemble: str) -> dict[str, Any]:
    """What is known of one model, or of those of a deep ensemble, which averages `ensemble` now.

    Returns:
        dict: "libraries", their versions by name; "runs", a dict for each file, with its "model",
        and where it is in a run's folder the "epoch", "last" or "best", its number, from 1, as
        "epoch_number", and the "flags" that its numbers depend on; and "metrics", those of a
        single run's trained model, if it has any, and averaged the same.
    """
    found = {"libraries": directory.versions(), "runs": [_run(file) for file in files]}
    (file, *others) = files
    folder = file if file.is_dir() else file.parent
    is_last = file.is_dir() or file.name == "model.keras"
    metrics = directory.read_metrics(folder) if is_last and not others else None
    if metrics and metrics.get("ensemble", ensemble) == ensemble:
        found["metrics"] = metrics
    return found


def without_paths(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts, and those of a decision, without the folders of this machine.

    Of a path, the last name is left; of a .keras file, its folder's too. Files are handed on, and
    the folders that they were made from mean nothing elsewhere, but may tell of a person.
    """
    runs = []
    for run in facts["runs"]:
        flags = {name: _last_name(name, value) for name, value in run.get("flags", {}).items()}
        model = pathlib.Path(run["model"])
        parts = model.parts[-2:] if model.suffix == ".keras" else [model.absolute().name]
        runs.append(run | {"model": "/".join(parts)} | ({"flags": flags} if flags else {}))
    found = {**facts, "runs": runs}
    if "metrics" in facts:
        found["metrics"] = _of_images(facts["metrics"])
    if "decision" in facts:
        fitted_on = _of_images(facts["decision"]["fitted_on"])
        found["decision"] = facts["decision"] | {"fitted_on": fitted_on}
    return found


def _of_images(said):
    """What is said of images, with their folder's last name; without the paths of models."""
    said = {name: value for name, value in said.items() if name != "models"}
    if isinstance(said.get("dataset"), str):
        said["dataset"] = _last_name("--dataset", said["dataset"])
    return said


def _last_name(flag, value):
    if flag in ("--initialize_from", "--pretrained") and "://" not in value:
        return pathlib.Path(value).name
    if flag == "--dataset" and is_folder(value):
        kind, _, path = value.partition(":")
        return f"{kind}:{pathlib.Path(path).absolute().name}"
    return value


def _run(file):
    folder = images.folder_of_run(file)
    if folder is None:
        return {"model": str(file)}
    lines = [f"{name}={value}" for name, value in sorted(run_flags.read(folder).items())]
    flags = dict(line.split("=", 1) for line in run_flags.defining(lines))
    epoch = {BEST: "best", "model.keras": "last", folder.name: "last"}.get(file.name)
    if not epoch or not run_flags.epochs(folder)[1]:
        return {"model": str(file), **({"epoch": epoch} if epoch else {}), "flags": flags}
    number = epochs_of(folder)[epoch == "best"]
    return {"model": str(file), "epoch": epoch, "epoch_number": number, "flags": flags}
