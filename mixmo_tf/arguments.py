"""Checks of arguments: one clear line that names the argument, what it must be, what came."""

import math
import numbers

MOST = 2**31 - 1  # the largest int32, which TensorFlow counts in


def one_of(name, value, choices):
    """Raises ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")


def at_least(name, value, low):
    """Raises ValueError unless `value` is finite and >= `low`."""
    _number(name, value)
    if not low <= value < math.inf:
        raise ValueError(f"{name} must be >= {low}, got {value}")


def above(name, value, low):
    """Raises ValueError unless `value` is finite and > `low`."""
    _number(name, value)
    if not low < value < math.inf:
        raise ValueError(f"{name} must be > {low}, got {value}")


def whole(name, value):
    """Raises ValueError unless `value` is a whole number."""
    _number(name, value)
    if not math.isfinite(value) or value != int(value):
        raise ValueError(f"{name} must be a whole number, got {value}")


def finite(name, value):
    """Raises ValueError unless `value` is a finite number."""
    _number(name, value)
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")


def count(name, value, low, high=MOST):
    """Raises ValueError unless `value` is a whole number, `low` <= `value` <= `high`."""
    within(name, value, low, high)
    whole(name, value)


def within(name, value, low, high):
    """Raises ValueError unless `low` <= `value` <= `high`."""
    _number(name, value)
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low}, {high}], got {value}")


def _number(name, value):
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise ValueError(f"{name} must be a number, got {value!r}")
