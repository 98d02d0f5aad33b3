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
import dataclasses
import fcntl
import json
import math
import os
import platform

import keras
import tensorflow as tf

CONTENTS = ("history.csv", "checkpoints", "best.keras", "model.keras", "metrics.json")
MAY_DIFFER = ("--data_dir", "--output_dir", "--memory_gib", "--checkpoint_steps")  # no effect


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
    for partial in path.glob("**/partial-*"):  # of a process that was killed while writing
        partial.unlink()
    if flags_file.exists():
        _check_same_flags(path, read_flags(path), _parse(flag_lines))
    else:
        libraries = [f"# {name} {version}" for name, version in versions().items()]
        _write_at_once(flags_file, "\n".join([*libraries, *flag_lines]) + "\n")
    return lock


def read_flags(path):
    """The flags in `path`/run.flags, values as text by names such as "--dataset"."""
    return _parse((path / "run.flags").read_text().splitlines())


def check_dataset(path, info):
    """Notes the dataset of the run in dataset.json, or compares it with the one noted.

    Raises:
        ValueError: if the run was trained on other images; the message says what differs.
    """
    file = path / "dataset.json"
    now = json.loads(json.dumps(dataclasses.asdict(info)))
    if not file.exists():
        _write_at_once(file, json.dumps(now, indent=2) + "\n")
        return
    then = json.loads(file.read_text())
    for key in now:
        if then[key] != now[key]:
            raise ValueError(
                f"{path} holds a run on other images ({key}: {_difference(then[key], now[key])}); "
                "choose another --output_dir"
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


def _difference(there, here):
    """What differs between two values; of two lists, the first elements that do."""
    if isinstance(there, list) and len(there) == len(here):
        there, here = next((a, b) for a, b in zip(there, here) if a != b)
    elif isinstance(there, list):
        there, here = len(there), len(here)
    return f"{there} there, {here} here"


def _history_lines(path):
    """The complete lines of history.csv, the first with the names; none without the file."""
    history = path / "history.csv"
    lines = history.read_bytes().splitlines(keepends=True) if history.exists() else []
    return [line for line in lines if line.endswith(b"\n")]


def _parse(lines):
    return dict(line.split("=", 1) for line in lines if line.startswith("--"))


def _check_same_flags(path, old, new):
    names = sorted(name for name in old | new if old.get(name) != new.get(name))
    names = [name for name in names if name not in MAY_DIFFER]
    if names:
        differences = ", ".join(
            f"{name} {old.get(name)} there, {new.get(name)} here" for name in names
        )
        raise ValueError(
            f"{path} holds a run with other flags ({differences}); choose another --output_dir"
        )


def _write_at_once(path, content):
    partial = path.with_name("partial-" + path.name)
    partial.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.replace(partial, path)
