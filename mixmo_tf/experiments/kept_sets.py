"""What was found on corrupted images, kept beside the model: a second call does what is missing.

A file for each model, or deep ensemble, and way of evaluating it, in `corruptions/` of the run's
folder, or beside a file. What is kept is not taken where the model, or the images, have changed.
"""

import hashlib
import logging
import os
import pathlib

import numpy as np

from mixmo_tf import outputs, paths, strict_json
from mixmo_tf.evaluation import corruption
from mixmo_tf.formats.saved_model import is_saved_model
from mixmo_tf.paths import resolved
from mixmo_tf.training import model_archive

FOLDER = "corruptions"
_log = logging.getLogger(__name__)


def file_of(files: list[pathlib.Path], name: str, *how: str | None) -> pathlib.Path:
    """Where the results of models are kept: a run that is moved, or copied, takes them along.

    Args:
        files: of the models; the first says in which folder.
        name: what they are evaluated on.
        how: whatever else the metrics depend on, apart from what the files hold.
    """
    whole = list(map(resolved, files))
    folder = whole[0] if whole[0].is_dir() else whole[0].parent
    before = folder / FOLDER / f"{name}-{_code([*map(str, whole), *how])}.json"
    if before.is_file():  # of when the whole paths named it
        return before
    beside = [pathlib.Path(os.path.relpath(each, folder)).as_posix() for each in whole]
    return folder / FOLDER / f"{name}-{_code([*beside, *how])}.json"


def model_state(files: list[pathlib.Path]) -> str:
    """A hash of all that the models' files hold."""
    state = hashlib.sha256()
    for path in files:
        for file in _files_of(path):
            state.update(file.name.encode("utf-8", "surrogateescape"))
            state.update(hashlib.sha256(file.read_bytes()).digest())
    return state.hexdigest()


def read(file: pathlib.Path, model: str, num_members: int) -> dict:
    """What `write` wrote for the same model; empty if there is nothing, or it cannot be read.

    Returns:
        dict by (corruption, severity): (state of the images, sums), see `evaluation.corruption`.
    """
    if not file.is_file():
        return {}
    try:
        content = strict_json.loads(paths.content(file))
        if content["model"] != model:
            _log.info("The model has changed since %s was written: all is computed anew.", file)
            return {}
        return {
            (each["corruption"], each["severity"]): (
                each["images"],
                _sums(each["sums"], num_members),
            )
            for each in content["sets"]
        }
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        _log.warning("%s is damaged: all is computed anew", file)
        return {}


def write(file: pathlib.Path, model: str, sets: dict) -> bool:
    """Keeps what was found; whether that worked, as for a folder that cannot be written."""
    of_sets = [
        {"corruption": name, "severity": severity, "images": state, "sums": sums.tolist()}
        for (name, severity), (state, sums) in sets.items()
    ]
    try:
        file.parent.mkdir(exist_ok=True)
        outputs.write(file, strict_json.dumps({"model": model, "sets": of_sets}), replace=True)
    except OSError as error:
        _log.warning("What is found is not kept: %s", error)
        return False
    return True


def _code(asked):
    return hashlib.sha256(repr(asked).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _files_of(path):
    """The files that a model is loaded from."""
    if is_saved_model(path):
        found = [path / "saved_model.pb", *path.glob("variables/*"), *path.glob("model.json")]
        return sorted(file for file in found if file.is_file())
    if model_archive.is_folder(path):
        return [path / name for name in model_archive.PARTS if (path / name).is_file()]
    return [path / "model.keras" if path.is_dir() else path]


def _sums(values, num_members):
    sums = np.array(values, np.float64)
    corruption.check_sums(sums, num_members)
    return sums
