"""Names of classes: what they may be, so that a file can hold one per line."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from mixmo_tf import arguments


def check(class_names: Any, num_classes: int) -> tuple[str, ...] | None:
    """Returns the names as a tuple; None for None.

    Raises:
        ValueError: unless they are `num_classes` str, each a line with something in it.
    """
    if class_names is None:
        return None
    if isinstance(class_names, (str, dict, set)) or not np.iterable(class_names):
        raise ValueError(f"class_names must be a list of names, got {arguments.brief(class_names)}")
    names = tuple(class_names)
    if len(names) != num_classes:
        raise ValueError(f"class_names must be the {num_classes} of the network, got {len(names)}")
    for name in names:
        if not isinstance(name, str) or not _is_line(name):
            raise ValueError(
                f"class_names must be text of one line each, got {arguments.brief(name)}"
            )
    return tuple(map(str, names))


def mended(class_names: Iterable | None) -> list[str] | None:
    """The names of a model that was saved when any were taken: mended where `check` refuses."""
    if not class_names:
        return None
    names = map(str, class_names)
    lines = (name if _is_line(name) else " ".join(name.split()) for name in names)
    return [line or f"class {label}" for label, line in enumerate(lines)]


def _is_line(name):
    return bool(name.strip()) and name.splitlines() == [name]
