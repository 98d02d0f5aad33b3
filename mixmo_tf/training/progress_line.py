"""What the line of `Progress` says, the most that fits into a width: text, and no terminal."""

from collections.abc import Iterable, Mapping

_GAP = "  "


def of_training(
    width: int,
    epoch: int,
    epochs: int,
    share: float | str | None,
    logs: Mapping[str, float],
    left: float | None,
    run_left: float | None,
) -> str:
    """What is shown while an epoch, from 0, trains, the most that fits into `width` signs.

    Args:
        share: what is done of the epoch, in [0, 1], or what is done now, or None.
        logs: `fit`'s, so far.
        left, run_left: seconds left of the epoch and of the run, or None.
    """
    head = f"Epoch {epoch + 1}/{epochs}"
    if share is not None:
        head += _GAP + (share if isinstance(share, str) else f"{int(100 * share):3d} %")
    loss = [f"loss {_number(logs['loss'])}"] if "loss" in logs else []
    members = _members(logs, "")
    accuracy = [f"acc {sum(members) / len(members):.1%}".replace("%", " %")] if members else []
    whole, short = [], []
    if left is not None:
        whole, short = [f"{duration(left)} left"], [f"{duration(left)} left"]
    if run_left is not None:
        whole = [f"{duration(left)} left, run {duration(run_left)} left"]
        short = [f"{duration(left)}, run {duration(run_left)} left"]
    of_run = [f"{duration(run_left)} left"] if run_left is not None else short
    return fitting(
        width,
        [
            [head, *loss, *accuracy, *whole],
            [head, *loss, *whole],
            [head, *whole],
            [head, *short],
            [head, *of_run],
            [head],
        ],
    )


def of_epoch(width: int, epoch: int, epochs: int, seconds: float, logs: Mapping[str, float]) -> str:
    """What was measured in an epoch, from 0, the most that fits into `width` signs."""
    head, time_taken = f"Epoch {epoch + 1}/{epochs}", duration(seconds)
    losses = {
        name: f"{name} {_number(logs[name])}" for name in ("loss", "val_loss") if name in logs
    }
    loss, val_loss = ([losses[name]] if name in losses else [] for name in ("loss", "val_loss"))
    members = _members(logs, "val_")
    ensemble = logs.get("val_accuracy")
    if ensemble is None and not members:
        trained = _members(logs, "")
        ensemble = sum(trained) / len(trained) if trained else None
    accuracy = [f"acc {_percent(ensemble)} %"] if ensemble is not None else []
    if len(members) > 1 or (members and ensemble is None):
        accuracy += [f"members {' '.join(map(_percent, members))} %"]
    return fitting(
        width,
        [
            [head, time_taken, *loss, *val_loss, *accuracy],
            [head, *loss, *val_loss, *accuracy],
            [head, *val_loss, *accuracy],
            [head, *accuracy],
            [head, *accuracy[:1]],
        ],
    )


def duration(seconds: float) -> str:
    """1:05, 2:01:05, 3 d 4 h."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _members(logs, prefix):
    """The members' accuracies in logs, a list of float."""
    found = []
    while (name := f"{prefix}member_{len(found)}_accuracy") in logs:
        found.append(float(logs[name]))
    return found


def _number(value):
    """As wide for any loss of a training that goes well."""
    value = float(value)
    return f"{value:.3f}" if 1e-3 <= abs(value) < 1e3 else f"{value:.2e}"


def _percent(share):
    return f"{100 * share:.1f}"


def fitting(width: int, lines: Iterable[list[str]]) -> str:
    """The first of the lines, each of pieces, that has no more signs; the last is cut."""
    for pieces in lines:
        said = _GAP.join(pieces)
        if len(said) <= width:
            break
    return said[:width]
