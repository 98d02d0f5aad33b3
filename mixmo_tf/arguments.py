"""Checks of arguments: one clear line that names the argument, what it must be, what came."""

import math
import numbers
import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

Array: TypeAlias = np.ndarray | tf.Tensor
Integer: TypeAlias = int | tf.Tensor | keras.Variable  # a scalar
MOST = 2**31 - 1  # the largest int32, which TensorFlow counts in
LARGEST_SIDE = 10_000  # pixels of an image


def one_of(name: str, value: Any, choices: Iterable) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    # `in` would take 1 for True, and stumble over an array
    if not any(isinstance(value, type(choice)) and value == choice for choice in choices):
        shown = repr(value) if isinstance(value, str) else brief(value)
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {shown}")


def at_least(name: str, value: Any, low: float) -> None:
    """Raises ValueError unless `value` is finite and >= `low`."""
    _number(name, value)
    if not low <= value < math.inf:
        raise ValueError(f"{name} must be >= {low}, got {value}")


def above(name: str, value: Any, low: float) -> None:
    """Raises ValueError unless `value` is finite and > `low`."""
    _number(name, value)
    if not low < value < math.inf:
        raise ValueError(f"{name} must be > {low}, got {value}")


def whole(name: str, value: Any) -> int:
    """Returns `value` as an int; raises ValueError unless it is a whole number, such as 4.0."""
    _number(name, value)
    if not math.isfinite(value) or value != int(value):
        raise ValueError(f"{name} must be a whole number, got {value}")
    return int(value)


def finite(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is a finite number."""
    _number(name, value)
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")


def count(name: str, value: Any, low: float, high: float = MOST) -> int:
    """Returns `value` as an int.

    Raises:
        ValueError: unless it is a whole number, `low` <= `value` <= `high`.
    """
    at_least(name, value, low)
    if value > high:
        raise ValueError(f"{name} must be <= {high}, got {value}")
    return whole(name, value)


def within(name: str, value: Any, low: float, high: float) -> None:
    """Raises ValueError unless `low` <= `value` <= `high`."""
    _number(name, value)
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low}, {high}], got {value}")


def text(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is a str."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {brief(value)}")


def path(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is a str or an os.PathLike."""
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{name} must be a path, got {brief(value)}")


def values(name: str, value: Any, length: int | None = None) -> tuple[float, ...]:
    """Returns `value`, a sequence of finite numbers, as a tuple.

    Raises:
        ValueError: if it is something else, or of another length than `length`, if that is given.
    """
    try:
        found = tuple(value)
        fits = length in (None, len(found)) and not isinstance(value, (str, dict))
        for each in found:
            finite(name, each)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        how_many = "" if length is None else f"{length} "
        raise ValueError(f"{name} must be {how_many}finite numbers, got {brief(value)}")
    return found


def size(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is (height, width), whole numbers >= 1."""
    for side in values(name, value, 2):
        count(name, side, 1)


def number_of_rows(name: str, value: Any) -> None:
    """Raises ValueError unless `value` is a whole number >= 0, or an integer tensor ()."""
    if tf.is_tensor(value):
        tensor(name, value, "int ()", ())
    else:
        count(name, value, 0)


def tensor(name: str, value: Any, what: str, shape: Sequence[int | None]) -> tf.Tensor:
    """Returns `value` as a tensor of numbers.

    Args:
        what: what it must be, for the message, such as "float (B, M)"; it begins with the kind.
        shape: sizes, None for any.

    Raises:
        ValueError: if it is of another kind or shape.
    """
    try:
        tensor = tf.convert_to_tensor(value)
        is_kind = tensor.dtype.is_integer if what.startswith("int") else tensor.dtype.is_floating
        fits = is_kind and tensor.shape.is_compatible_with(shape)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(f"{name} must be {what}, got {brief(value)}")
    return tensor


def brief(value: Any) -> str:
    """What came, in one line for a message: an array's dtype and shape, the start of all else."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{getattr(dtype, 'name', dtype)} {tuple(shape)}"
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= 60 else f"{shown[:60]}…"


def first_line(error: BaseException) -> str:
    """What an error says, in one line for a message; the name of its kind where it says nothing."""
    return str(error).split("\n")[0] or type(error).__name__


def _number(name, value):
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise ValueError(f"{name} must be a number, got {brief(value)}")
