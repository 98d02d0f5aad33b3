"""history.csv: a line per epoch of what was measured; the epochs in it count from 0.

It is written anew, atomically, for each line, so it is whole whenever a process ends. Earlier
versions appended to it: an end without a line's end is no line.
"""

import csv
import io
import math
import pathlib

import keras
import numpy as np

from mixmo_tf import outputs, paths

NAME = "history.csv"
PICTURE = "history.png"  # drawn from it
_FIRST = "epoch"  # the first column
_NEEDED = _FIRST, "val_accuracy"
_EMPTY = "", "NA"  # where something was not measured


class History(keras.callbacks.Callback):
    """Writes a line to the run's folder after each epoch."""

    def __init__(self, path: pathlib.Path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        names, lines = _read(self.path)
        line = {_FIRST: epoch, **{name: logs[name] for name in sorted(logs)}}
        names += [name for name in line if name not in names]  # a later version may have more
        _write(self.path, names, [*lines, line])


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """What a run's folder has of its epochs.

    Returns:
        dict of float64 (epochs,) by column, NaN where something was not measured; empty where
        there is no epoch yet.

    Raises:
        ValueError: if the file is damaged; the message is a line.
    """
    names, lines = _read(path)
    return {
        name: np.array([np.nan if line[name] in _EMPTY else float(line[name]) for line in lines])
        for name in names
    }


def check(path: pathlib.Path, epochs: int) -> None:
    """Raises ValueError unless there is a line for each of `epochs` epochs that are done."""
    if len(_read(path)[1]) < epochs:
        raise ValueError(
            f"{path / NAME} lacks some of the {epochs} epochs that are done; put it back to go on"
        )
    if not _is_history(_content(path)):
        raise ValueError(f"{path / NAME} is no history of a run; move it away to go on")


def has(path: pathlib.Path, epoch: int) -> bool:
    """Whether there is a line for epoch `epoch` (from 1)."""
    return len(_read(path)[1]) >= epoch


def is_new(path: pathlib.Path) -> bool:
    """Whether there is no line yet, and no file of something else."""
    return not has(path, 1) and _is_history(_content(path))


def cut(path: pathlib.Path, epochs: int) -> None:
    """Drops the lines after epoch `epochs` (from 1); they will be redone."""
    names, lines = _read(path)
    if len(lines) > epochs:
        _write(path, names, lines[:epochs])


def best_epoch(path: pathlib.Path, epochs: int | None = None) -> tuple[int, float]:
    """The first epoch (from 1) with the highest `val_accuracy`, and that; (0, -inf) if none.

    Of the first `epochs` epochs, or of all.
    """
    accuracies = [float(line["val_accuracy"]) for line in _read(path)[1][:epochs]]
    best = max(accuracies, default=-math.inf)
    return (accuracies.index(best) + 1 if accuracies else 0), best


def _content(path):
    file = path / NAME
    return paths.content(file) if file.exists() else b""


def _is_history(content):
    """Whether it begins as a history does, or is the beginning of one."""
    return _FIRST.encode().startswith(content[: len(_FIRST)])


def _read(path):
    """The names of the columns and the lines, dicts of str by these; empty if there are none."""
    lines = _content(path).splitlines(keepends=True)
    lines = [line for line in lines if line.endswith(b"\n")]
    if not lines or not lines[0].startswith(f"{_FIRST},".encode()):
        return [], []
    try:
        rows = csv.DictReader([line.decode() for line in lines], strict=True)
        names, rows = list(rows.fieldnames), list(rows)
        _check(names, rows)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path / NAME} is damaged ({error}); put it back to go on") from None
    return names, rows


def _check(names, rows):
    for name in _NEEDED:
        if name not in names:
            raise ValueError(f"no column {name}")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ValueError(f"epoch {number} has not {len(names)} columns")
        for name, value in row.items():
            if value not in _EMPTY or name in _NEEDED:
                _check_number(name, value)


def _check_number(name, value):
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{name} is {value!r}") from None
    if name in _NEEDED and not math.isfinite(number):  # a loss may be
        raise ValueError(f"{name} is {value}")


def _write(path, names, rows):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    outputs.write(path / NAME, text.getvalue(), replace=True)
