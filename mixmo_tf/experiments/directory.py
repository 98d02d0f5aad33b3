"""What a training run leaves on disk, apart from its checkpoints.

- run.flags: every flag of the run; a flagfile, with the versions of the libraries
- dataset.json: what the run was trained on
- history.csv: a line per epoch
- history.png: the same as curves, when all are done
- tensorboard/: the same and more, for TensorBoard
- checkpoints/: the newest two, each a whole .keras model with its optimizer
- best.keras: the model of the best epoch on held-out images, where there are any
- model.keras: the trained model
- metrics.json: the final metrics
- run.lock: held while a process trains here
"""

import contextlib
import pathlib
import platform
import unicodedata
from collections.abc import Sequence
from typing import IO, Any

import keras
import tensorflow as tf

from mixmo_tf import data, outputs, paths, strict_json
from mixmo_tf.data import image_folder
from mixmo_tf.data.notices import say_once
from mixmo_tf.evaluation import metrics_json
from mixmo_tf.experiments import run_flags, run_lock
from mixmo_tf.training import history
from mixmo_tf.version import VERSION

_MAY_BE_UNDEFINED = "nll", "ratio_error"  # None where they are
RESULTS = ("best.keras", "model.keras", "metrics.json")
CONTENTS = ("dataset.json", history.NAME, history.PICTURE, "checkpoints", *RESULTS)
_WRITTEN = r"run\.flags|dataset\.json|history\.(?:csv|png)|best\.keras|model\.keras|metrics\.json"
_CHECKPOINT = r"step_\d+\.keras"


def start(
    path: pathlib.Path,
    flag_lines: Sequence[str],
    default_values: dict[str, str | None],
    extend: bool = False,
) -> IO[str]:
    """Starts a run in a directory, or takes up the one that is there.

    Args:
        path: of the directory; created if need be.
        flag_lines: lines `--name=value`, every flag of the run.
        default_values: every flag's value by its name, see `run_flags.check`.
        extend: whether the run must be there, and may get other `run_flags.EXTENDED`; they are
            noted by `run_flags.extend`.

    Returns:
        The lock of the directory, a context manager, to be held while the run goes on.

    Raises:
        ValueError: if a run with other flags is there, or files of something else; the
            message names them. What is there stays as it is.
        BlockingIOError: if another process, or another thread of this one, is training there.
    """
    is_there = (path / run_flags.NAME).exists()
    strangers = [name for name in CONTENTS if (path / name).exists()]
    if strangers and not is_there:
        raise ValueError(
            f"{path} holds {', '.join(strangers)} but no run.flags; choose another --output_dir"
        )
    if extend and not is_there:
        raise ValueError(f"there is no run in {path} to extend")
    run_lock.check(path)
    path.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        lock = held.enter_context(run_lock.take(path))
        _remove_partial_files(path, is_there)
        if is_there:
            _check_flags(path, flag_lines, default_values, extend)
        else:
            run_flags.write(path, versions(), flag_lines)
        held.pop_all()
    return lock


def check_dataset(path: pathlib.Path, examples: dict[str, data.Examples | data.Records]) -> None:
    """Notes the images of the run in dataset.json, or compares them with those noted.

    Raises:
        ValueError: if the run was trained on other images, as far as their number, size,
            classes and file names tell; the message says what differs.
    """
    file = path / "dataset.json"
    info = examples["train"].info
    now = {"image_shape": list(info.image_shape), "class_names": list(info.class_names)}
    for split, part in examples.items():
        now[f"{split} images"] = len(part)
        now[f"{split} names"] = part.fingerprint()
    if not file.exists():
        outputs.write(file, strict_json.dumps(now))
        return
    then = _noted(file)
    for key in now:
        if _composed(then.get(key)) != _composed(now[key]):
            raise ValueError(
                f"{path} holds a run on other images "
                f"({key}: {_difference(then.get(key), now[key])}); choose another --output_dir"
            )


def reads_as_before(path: pathlib.Path, dataset: str) -> bool:
    """Whether the images of the run in `path` are those that a folder had before version 0.2.

    Then `val/` was for the test, though there was a `test/` too. That the run goes on so is
    logged, once. The dataset is named in full, see `data.full_name`.
    """
    file = path / "dataset.json"
    if not data.is_folder(dataset) or not file.exists() or not (path / run_flags.NAME).exists():
        return False
    if run_flags.read(path).get("--dataset") != dataset:
        return False
    try:
        noted = _noted(file)
    except ValueError:
        return False  # `check_dataset` says what is wrong
    noted = {split: noted[f"{split} names"] for split in data.SPLITS if f"{split} names" in noted}
    if not image_folder.was_read_as_before(dataset, noted):
        return False
    how = image_folder.described_as_before(dataset)
    say_once(f"{path}: in {dataset}, {how}, as when this run was begun")
    return True


def check_is_new(path: pathlib.Path) -> None:
    """Raises ValueError if there are results that training from the start would overwrite."""
    results = [name for name in RESULTS if (path / name).exists()]
    results += [] if history.is_new(path) else [history.NAME]
    if results:
        raise ValueError(
            f"{path} holds {', '.join(results)} but no checkpoint to go on from; "
            "choose another --output_dir"
        )


def read_metrics(path: pathlib.Path) -> dict | None:
    """The dict in metrics.json below `path`; None if there is none that can be read."""
    try:
        metrics = metrics_json.read_metrics(path / "metrics.json")
    except (FileNotFoundError, ValueError):
        return None
    return metrics if isinstance(metrics, dict) else None


def are_metrics(metrics: Any) -> bool:
    """Whether a metrics.json has what is shown of a run, each of its kind."""
    if not isinstance(metrics, dict) or "nll" not in metrics:
        return False
    of_members, best = metrics.get("member_accuracy"), metrics.get("best", {})
    if not isinstance(of_members, list) or not of_members or not isinstance(best, dict):
        return False
    of_best = [best.get(name) for name in ("epoch", "val_accuracy")] if "best" in metrics else []
    undefined = [metrics[name] for name in _MAY_BE_UNDEFINED if metrics.get(name) is not None]
    if not isinstance(metrics.get("stopped_early", {}), dict):
        return False
    counts = [metrics.get(name) or [] for name in ("both_wrong", "one_wrong")]
    if not all(isinstance(of_pairs, list) for of_pairs in counts):
        return False
    needed = [metrics.get("accuracy"), *of_members, *of_best, *undefined, *sum(counts, [])]
    return all(map(_is_number, needed))


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_finished(path: pathlib.Path) -> bool:
    """Whether metrics.json is that of a run with all the epochs that run.flags says.

    Or of one that had no patience for more of them, with the patience that it says.
    """
    metrics = read_metrics(path)
    if metrics is None:
        return False
    first, now = run_flags.epochs(path)
    stopped = metrics.get("stopped_early")
    if not isinstance(stopped, dict):
        return str(metrics.get("epochs", first)) == now
    ended = {"of_epochs": now, "patience": run_flags.read(path).get("--patience")}
    return {name: str(value) for name, value in stopped.items()} == ended


def versions() -> dict[str, str]:
    """Versions of what a run's numbers depend on, by name."""
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "mixmo_tf": VERSION,
    }


def _noted(file):
    """The dict in a dataset.json."""
    try:
        noted = strict_json.loads(paths.content(file))
        if not isinstance(noted, dict):
            raise ValueError(f"it holds {noted!r:.20}")
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); remove it to go on") from None
    return noted


def _check_flags(path, flag_lines, default_values, extend):
    """`run_flags.check`, which also says where nothing would be lost with the run that is there."""
    try:
        run_flags.check(path, flag_lines, default_values, extend)
    except ValueError as error:
        kept = [*RESULTS, history.NAME]
        if any((path / name).exists() for name in kept) or any(path.glob("checkpoints/step_*")):
            raise
        raise ValueError(f"{error}, or remove {path}: nothing is trained there yet") from None


def _composed(value):
    """A value as text in Unicode's form NFC, as class names of image folders are now."""
    return unicodedata.normalize("NFC", repr(value))


def _difference(there, here):
    """What differs between two values; of two lists, the first elements that do."""
    if isinstance(there, list) and isinstance(here, list):
        if len(there) == len(here):
            there, here = next((a, b) for a, b in zip(there, here, strict=True) if a != b)
        else:
            there, here = len(there), len(here)
    elif isinstance(there, str):
        return "not the same"  # hashes
    return f"{there} there, {here} here"


def _remove_partial_files(path, run_is_there):
    """What a process that was killed while writing left; nothing that is not a run's own."""
    outputs.remove_partial(path, _WRITTEN)
    outputs.remove_partial(path / "checkpoints", _CHECKPOINT)
    if not run_is_there:
        return
    of_earlier_versions = [path / f"partial-{name}" for name in ("run.flags", *CONTENTS)]
    for partial in [*of_earlier_versions, *path.glob("checkpoints/partial-step_*.keras")]:
        if partial.is_file():
            partial.unlink()
