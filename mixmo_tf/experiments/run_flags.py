"""run.flags: every flag of a run, and under which conditions the run may go on with others.

It is a flagfile. Its comments say what else the numbers depend on: the versions of the
libraries, the number of threads, and with which epochs and milestones the run began, where these
have changed.
"""

import os
import pathlib
import re
from collections.abc import Iterable

import tensorflow as tf

from mixmo_tf import outputs
from mixmo_tf.paths import content
from mixmo_tf.training import early_stopping
from mixmo_tf.version import VERSION

NAME = "run.flags"
MAY_DIFFER = (  # no effect, or one that the same command on other devices has too
    "--data_dir",
    "--output_dir",
    "--memory_gib",
    "--checkpoint_steps",
    "--steps_per_execution",
    "--strategy",
)
_PACKAGE = "mixmo_tf"
EXTENDED = ("--epochs", "--milestones", "--patience")  # what may change when a run is extended
_EXTENDED_FROM = "# extended from "


def read(path: pathlib.Path) -> dict[str, str]:
    """The flags in `path`/run.flags, values as text by names such as "--dataset".

    Raises:
        ValueError: if it is no text.
    """
    return _parse(_lines(path))


def write(path: pathlib.Path, versions: dict[str, str], flag_lines: Iterable[str]) -> None:
    """Writes run.flags in `path`, where there is none; `versions` is a dict by names."""
    comments = [f"# {name} {version}" for name, version in versions.items()]
    comments.append(f"# threads {threads()}")
    outputs.write(path / NAME, "\n".join([*comments, *flag_lines]) + "\n")


def defining(flag_lines: Iterable[str]) -> list[str]:
    """Those of the lines `--name=value` that a run's numbers depend on."""
    return [line for line in flag_lines if line.partition("=")[0] not in MAY_DIFFER]


def check(
    path: pathlib.Path,
    flag_lines: Iterable[str],
    default_values: dict[str, str | None],
    extend: bool = False,
) -> bool:
    """Checks that the run in `path` has the flags of `flag_lines`; gives whether `EXTENDED` differ.

    Args:
        flag_lines: lines `--name=value`, every flag that is set.
        default_values: by the name of every flag, None where it is not set: what an earlier
            version, which had no such flag, is taken to have trained with.
        extend: whether `EXTENDED` may differ.

    Raises:
        ValueError: if other flags differ; the message says which.
    """
    old, new = read(path), _parse(flag_lines)
    for name in sorted(old.keys() - default_values.keys() - set(MAY_DIFFER)):
        raise ValueError(
            f"{path / NAME} has {name}={old[name]}, a flag that this version does not know; "
            "go on with the version that wrote it, or choose another --output_dir"
        )
    old = default_values | old
    names = [name for name in sorted(default_values) if old[name] != new.get(name)]
    names = [name for name in names if name not in MAY_DIFFER]
    can_extend = set(names) <= set(EXTENDED)
    if extend and can_extend:
        return bool(names)
    if names:
        differences = ", ".join(
            f"{name} {_said(old[name])} there, {_said(new.get(name))} here" for name in names
        )
        advice = "add --extend to go on with these, or choose" if can_extend else "choose"
        raise ValueError(
            f"{path} holds a run with other flags ({differences}); {advice} another --output_dir"
        )
    return False


def extend(
    path: pathlib.Path,
    flag_lines: Iterable[str],
    default_values: dict[str, str | None],
    steps_done: int,
    steps_per_epoch: int,
    waited: int = 0,
) -> dict[str, tuple[str, str]]:
    """Notes in run.flags that the run has other epochs, milestones or patience from now on.

    A longer patience is not noted: what it trains is what it would have trained from the start.

    Args:
        flag_lines, default_values: as for `check`.
        steps_done: what the run has trained already.
        waited: see `early_stopping.waited`; 0 in the middle of an epoch.

    Returns:
        The values before and from now on, by the names of the flags that change; without any,
        nothing is written.

    Raises:
        ValueError: if more epochs than that are done, or nothing is left to train that the
            changes could change; nothing is written.
    """
    old, new = default_values | read(path), default_values | _parse(flag_lines)
    changes = {name: (old[name], new[name]) for name in EXTENDED if old[name] != new[name]}
    number(path, "--epochs")  # which says so if it is none
    epochs = int(new["--epochs"])
    if steps_done > epochs * steps_per_epoch:
        raise ValueError(
            f"{path} has done {steps_done / steps_per_epoch:g} epochs, so epochs must be at "
            f"least {-(-steps_done // steps_per_epoch)}, got {epochs}"
        )
    if changes and early_stopping.has_ended(number(path, "--patience"), waited):
        if early_stopping.has_ended(int(new["--patience"]), waited):
            raise ValueError(
                f"{path} ended early: {waited} epochs without a better one are done, so "
                f"{_others(changes)} would change nothing; add a patience above {waited}, or 0"
            )
    if steps_done == epochs * steps_per_epoch and changes and "--epochs" not in changes:
        raise ValueError(
            f"{path} has done all of its {epochs} epochs, so {_others(changes)} would change "
            "nothing; add epochs, too"
        )
    if changes:
        noted = {name: values for name, values in changes.items() if not is_longer(name, *values)}
        notes = [f"{_note(name, *values)} at step {steps_done}" for name, values in noted.items()]
        kept = [line for line in _lines(path) if line.partition("=")[0] not in EXTENDED]
        lines = [*notes, *kept, *(f"{name}={new[name]}" for name in EXTENDED)]
        outputs.write(path / NAME, "\n".join(lines) + "\n", replace=True)
    return changes


def is_longer(name: str, before: str, now: str) -> bool:
    """Whether a change is that of a patience to a longer one, 0 being the longest.

    Then the run is what it would have been with that from the start.
    """
    return name == "--patience" and (int(now) == 0 or 0 < int(before) <= int(now))


def extensions(path: pathlib.Path) -> list[str]:
    """What `extend` noted of the run in `path` after its first step, a list of str; newest first.

    Until then it is a run with other flags from the start.
    """
    if not (path / NAME).exists():
        return []
    notes = [line.removeprefix("# ") for line in _lines(path) if line.startswith(_EXTENDED_FROM)]
    return [note for note in notes if not note.endswith(" at step 0")]


def take_up(path: pathlib.Path) -> bool:
    """Notes in run.flags that this version goes on with the run, unless it began it.

    Returns:
        bool, whether a version before 0.2 began it: they noted no version of this package, and
        served the images in another order.
    """
    lines = _lines(path)
    if any(line.startswith(f"# {_PACKAGE} ") for line in lines):
        return False
    outputs.write(path / NAME, "\n".join([f"# {_PACKAGE} {VERSION}", *lines]) + "\n", replace=True)
    return True


def number(path: pathlib.Path, name: str) -> int:
    """The value of a flag in `path`/run.flags, an int; 0 if it is not there.

    Raises:
        ValueError: if it is no number.
    """
    value = read(path).get(name, "0")
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"{path / NAME} is damaged: {name} is {value!r}") from None


def epochs(path: pathlib.Path) -> tuple[str, str]:
    """The numbers of epochs that the run in `path` had when it began, and that it has, str."""
    now = read(path).get("--epochs", "")
    notes = [re.match(rf"{_EXTENDED_FROM}(\d+) to ", line) for line in _lines(path)]
    of_extensions = [found[1] for found in notes if found]  # the first comes last
    return of_extensions[-1] if of_extensions else now, now


def threads() -> int:
    """How many threads TensorFlow computes an operation with, on a CPU."""
    of_environment = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return (
        tf.config.threading.get_intra_op_parallelism_threads()
        or (int(of_environment) if of_environment.isdecimal() else 0)
        or _cores()
    )


def threads_before(path: pathlib.Path) -> int | None:
    """How many the run in `path` began with; None if an earlier version did not note it."""
    for line in _lines(path):
        if found := re.fullmatch(r"# threads (\d+)", line):
            return int(found[1])
    return None


def _cores():
    """How many this process may use; where the system does not tell, how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _lines(path):
    file = path / NAME
    try:
        # str.splitlines would end a line at characters that may stand in a path
        lines = content(file).decode().split("\n")
        return [line.removesuffix("\r") for line in lines if line]
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); put it back to go on") from None


def _note(name, before, now):
    if name == "--epochs":
        return f"{_EXTENDED_FROM}{before} to {now} epochs"
    if name == "--patience":
        return f"{_EXTENDED_FROM}patience {before} to {now}"
    return f"{_EXTENDED_FROM}milestones {before or 'none'} to {now or 'none'}"


def _others(changes):
    words = {"--epochs": "more epochs", "--milestones": "other milestones"}
    return " and ".join(words.get(name, "another patience") for name in changes)


def _parse(lines):
    return dict(line.partition("=")[::2] for line in lines if line.startswith("--"))


def _said(value):
    return "not set" if value is None else value
