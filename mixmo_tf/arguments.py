"""Checks of arguments: one clear line that names the argument, what it must be, what came."""

import math


def one_of(name, value, choices):
    """Raises ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")


def at_least(name, value, low):
    """Raises ValueError unless `value` is finite and >= `low`."""
    if not low <= value < math.inf:
        raise ValueError(f"{name} must be >= {low}, got {value}")


def above(name, value, low):
    """Raises ValueError unless `value` is finite and > `low`."""
    if not low < value < math.inf:
        raise ValueError(f"{name} must be > {low}, got {value}")


def whole(name, value):
    """Raises ValueError unless `value` is a whole number."""
    if value != int(value):
        raise ValueError(f"{name} must be a whole number, got {value}")


def within(name, value, low, high):
    """Raises ValueError unless `low` <= `value` <= `high`."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low}, {high}], got {value}")
