"""What a training run leaves on disk, apart from its checkpoints.

- run.flags: every flag of the run; a flagfile, with the versions of the libraries
- dataset.json: what the run was trained on
- history.csv: a line per epoch
- tensorboard/: the same and more, for TensorBoard
- checkpoints/: the newest two, each a whole .keras model with its optimizer
- best.keras: the model of the best epoch on held-out images, where there are any
- model.keras: the trained model
- metrics.json: the final figures
- run.lock: held while a process trains here
"""

import csv
import fcntl
import json
import math
import os
import platform
import unicodedata

import keras
import tensorflow as tf

CONTENTS = ("history.csv", "checkpoints", "best.keras", "model.keras", "metrics.json")
RESULTS = ("best.keras", "model.keras", "metrics.json")
MAY_DIFFER = (  # no effect, or one that the same command on other devices has too
    "--data_dir",
    "--output_dir",
    "--memory_gib",
    "--checkpoint_steps",
    "--steps_per_execution",
    "--strategy",
)


def start(path, flag_lines):
    """Starts a run in a directory, or takes up the one that is there.

    Args:
        path: pathlib.Path of the directory; created if need be.
        flag_lines: lines `--name=value`, every flag of the run.

    Returns:
        The lock of the directory, to be kept while the run goes on.

    Raises:
        ValueError: if a run with other flags is there, or files of something else; the
            message names them.
        BlockingIOError: if another process is training there.
    """
    flags_file = path / "run.flags"
    strangers = [name for name in CONTENTS if (path / name).exists()]
    if strangers and not flags_file.exists():
        raise ValueError(
            f"{path} holds {', '.join(strangers)} but no run.flags; choose another --output_dir"
        )
    path.mkdir(parents=True, exist_ok=True)
    lock = open(path / "run.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(f"another process is training in {path}") from None
    _remove_partial_files(path)
    if flags_file.exists():
        check_flags(path, flag_lines)
    else:
        libraries = [f"# {name} {version}" for name, version in versions().items()]
        _write_at_once(flags_file, "\n".join([*libraries, *flag_lines]) + "\n")
    return lock


def read_flags(path):
    """The flags in `path`/run.flags, values as text by names such as "--dataset"."""
    return _parse((path / "run.flags").read_text().splitlines())


def deciding(flag_lines):
    """Those of the lines `--name=value` that a run's numbers depend on."""
    return [line for line in flag_lines if line.partition("=")[0] not in MAY_DIFFER]


def check_flags(path, flag_lines):
    """Raises ValueError unless the run in `path` has the flags of `flag_lines`."""
    old, new = read_flags(path), _parse(flag_lines)
    names = sorted(name for name in old | new if old.get(name) != new.get(name))
    names = [name for name in names if name not in MAY_DIFFER]
    if names:
        differences = ", ".join(
            f"{name} {old.get(name)} there, {new.get(name)} here" for name in names
        )
        raise ValueError(
            f"{path} holds a run with other flags ({differences}); choose another --output_dir"
        )


def check_dataset(path, examples):
    """Notes the images of the run in dataset.json, or compares them with those noted.

    Args:
        path: pathlib.Path of the run's directory.
        examples: data.Examples by split.

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
        _write_at_once(file, json.dumps(now, indent=2) + "\n")
        return
    try:
        then = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); remove it to go on") from None
    for key in now:
        if _composed(then.get(key)) != _composed(now[key]):
            raise ValueError(
                f"{path} holds a run on other images "
                f"({key}: {_difference(then.get(key), now[key])}); choose another --output_dir"
            )


def check_is_new(path):
    """Raises ValueError if there are results that training from the start would overwrite."""
    results = [name for name in RESULTS if (path / name).exists()]
    results += ["history.csv"] if history_has(path, 1) else []
    if results:
        raise ValueError(
            f"{path} holds {', '.join(results)} but no checkpoint to go on from; "
            "choose another --output_dir"
        )


def check_history(path, epochs):
    """Raises ValueError unless history.csv has a line for each of `epochs` epochs."""
    if epochs and not history_has(path, epochs):
        raise ValueError(
            f"{path / 'history.csv'} lacks some of the {epochs} epochs that are done; "
            "put it back to go on"
        )


def history_has(path, epoch):
    """Whether history.csv has a line for epoch `epoch` (from 1)."""
    return len(_history_lines(path)) > epoch


def cut_history(path, epochs):
    """Drops the lines of history.csv after epoch `epochs` (from 1); they will be redone."""
    lines = _history_lines(path)
    if lines:
        _write_at_once(path / "history.csv", b"".join(lines[: 1 + epochs]))


def best_epoch(path):
    """The first epoch (from 1) with the highest `val_accuracy`, and that; (0, -inf) if none."""
    lines = [line.decode() for line in _history_lines(path)]
    accuracies = [float(row["val_accuracy"]) for row in csv.DictReader(lines)]
    best = max(accuracies, default=-math.inf)
    return (accuracies.index(best) + 1 if accuracies else 0), best


def write_metrics(path, metrics):
    """Writes metrics.json below `path`."""
    _write_at_once(path / "metrics.json", json.dumps(metrics, indent=2) + "\n")


def versions():
    """Versions of what a run's numbers depend on, by name."""
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


def _composed(value):
    """A value as text in Unicode's form NFC, as class names of image folders are now."""
    return unicodedata.normalize("NFC", json.dumps(value, ensure_ascii=False))


def _difference(there, here):
    """What differs between two values; of two lists, the first elements that do."""
    if isinstance(there, list) and len(there) == len(here):
        there, here = next((a, b) for a, b in zip(there, here) if a != b)
    elif isinstance(there, list):
        there, here = len(there), len(here)
    elif isinstance(there, str):
        return "not the same"  # hashes
    return f"{there} there, {here} here"


def _remove_partial_files(path):
    """What a process that was killed while writing left; nothing that is not a run's own."""
    own = ("run.flags", "dataset.json", *CONTENTS)
    for partial in [path / f"partial-{name}" for name in own]:
        partial.unlink(missing_ok=True)
    for partial in path.glob("checkpoints/partial-step_*.keras"):
        partial.unlink()


def _history_lines(path):
    """The complete lines of history.csv, the first with the names; none without the file."""
    history = path / "history.csv"
    lines = history.read_bytes().splitlines(keepends=True) if history.exists() else []
    complete = [line for line in lines if line.endswith(b"\n")]
    return complete if complete and complete[0].startswith(b"epoch,") else []


def _parse(lines):
    return dict(line.partition("=")[::2] for line in lines if line.startswith("--"))


def _write_at_once(path, content):
    partial = path.with_name("partial-" + path.name)
    partial.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.replace(partial, path)
