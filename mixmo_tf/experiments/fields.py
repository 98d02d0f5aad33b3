"""Fields of settings: each says its default, help, choices and bounds once, and checks its values.

They are the fields of dataclasses that inherit `of_flags.OfFlags`. Their types are bool, int, float
or str, `| None` where nothing may be set, or a tuple of int, float or str.
"""

import dataclasses
import os
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mixmo_tf import arguments

REQUIRED = dataclasses.MISSING  # as a default: the setting must be given


def setting(
    default: Any,
    help: str,
    *,
    choices: Sequence[str] | Callable[[], Sequence[str]] | None = None,
    bounds: tuple[float, float | None] | None = None,
    above: float | None = None,
    check: Callable[[str], None] | None = None,
    unit: str | None = None,
    repeated: bool = False,
    any_name: bool = False,
) -> Any:
    """A field of a dataclass that inherits `OfFlags`.

    A number must always be finite, whatever its bounds.

    Args:
        default: its value where none is given, or `REQUIRED`.
        help: what it is, with the unit and the paper's symbol.
        choices: strings, one of which it must be, or each value of a tuple. Where "none", "true" or
            "false" is one, None, True or False says the same. A function gives those of now, where
            users can add to them.
        bounds: (low, high) that a number must lie within, both included; high may be None.
        above: what a number must be larger than.
        check: function of a text that raises ValueError where it is wrong.
        unit: what the numbers of a tuple are.
        repeated: whether a tuple's flag is given once for each value, not with commas.
        any_name: whether a text may be what no flagfile can hold, as the name of a file may be.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "bounds": bounds,
        "above": above,
        "check": check,
        "unit": unit,
        "repeated": repeated,
        "any_name": any_name,
    }
    return dataclasses.field(default=default, metadata=metadata)


def listed(table: Mapping[str, Any]) -> str:
    """The names in a table such as NETWORKS, each with `what` it is, for a help."""
    return "; ".join(f"{name}, {each.what}" for name, each in table.items())


def of(settings_class: type) -> Iterator[tuple[dataclasses.Field, Any]]:
    """The fields of the class, each with its type: (field, bool | int | … | tuple[int, ...])."""
    kinds = typing.get_type_hints(settings_class)
    for field in dataclasses.fields(settings_class):
        kind = kinds[field.name]
        if isinstance(kind, types.UnionType):
            kind, _ = typing.get_args(kind)  # the other one is None
        yield field, kind


def checked(field: dataclasses.Field, kind: Any, value: Any) -> Any:
    """A value as the type of its field, both as `of` gives them.

    Raises:
        ValueError: if it is of another type, none of the choices or out of bounds; the message
            names the field.
    """
    if value is None and field.default is None:
        return None
    if typing.get_origin(kind) is not tuple:
        return _one_checked(field, kind, value)
    element, is_repeated = typing.get_args(kind)[0], field.metadata["repeated"]
    try:
        if isinstance(value, str) and not is_repeated:
            value = value.split(",") if value else []  # as on the command line
        values = [value] if isinstance(value, (str, os.PathLike)) else list(value)
    except TypeError:
        raise ValueError(f"{field.name} must be a list, got {arguments.brief(value)}") from None
    if not values and field.default is REQUIRED:
        raise ValueError(f"{field.name} must have a value, got none")
    if element is not str:
        values = [one for each in values for one in _apart(each)]  # repeated, they may have commas
        try:
            values = [element(each) if isinstance(each, str) else each for each in values]
        except ValueError:
            unit = field.metadata["unit"] or "numbers"
            raise ValueError(f"{field.name} must be {unit}, got {text(tuple(values))}") from None
    return tuple(_one_checked(field, element, each) for each in values)


def text(value: Any) -> str:
    """A value as a flag has it behind the =."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def choices(field: dataclasses.Field) -> tuple[str, ...]:
    """What a field's value must be one of; () where there is no such list."""
    given = field.metadata["choices"]
    return tuple(given() if callable(given) else given or ())


def texts(settings: Any) -> dict[str, str | None]:
    """What flags have behind the = for these settings: str, or None, by name."""
    named = {field.name: getattr(settings, field.name) for field, _ in of(type(settings))}
    return {name: value if value is None else text(value) for name, value in named.items()}


def one_line(name: str, value: str) -> str:
    """The str `value`; raises ValueError unless it can stand in a line of a flagfile."""
    if {"\n", "\r"} & set(value) or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError(f"{name} must be one line of UTF-8, got {value!r}")
    return value


def _apart(value):
    return value.split(",") if isinstance(value, str) else [value]


def _one_checked(field, kind, value):
    name, words, check = field.name, choices(field), field.metadata["check"]
    if words:
        value = _in_words(value, words)
        arguments.one_of(name, value, words)
    if kind is str:
        arguments.path(name, value)
        value = str(os.fspath(value))
        value = value if field.metadata["any_name"] else one_line(name, value)
        if check:
            check(value)
        return value
    if kind is bool:
        value = bool(value) if isinstance(value, np.bool_) else value
        arguments.one_of(name, value, (False, True))
        return value
    try:
        _check_number(field, kind, value)
        return kind(value)
    except OverflowError:  # an int that no float holds
        raise ValueError(f"{name} must be finite, got {arguments.brief(value)}") from None


def _in_words(value, choices):
    """None, True and False as the choices say them, if they do."""
    if value is None or isinstance(value, (bool, np.bool_)):
        word = str(value).lower()
        return word if word in choices else value
    return value


def _check_number(field, kind, value):
    name, bounds, above = field.name, field.metadata["bounds"], field.metadata["above"]
    low, high = bounds or (None, None)
    if above is not None:
        arguments.above(name, value, above)
    elif low is None:
        arguments.finite(name, value)
    elif kind is float and high is not None:
        arguments.within(name, value, low, high)
    else:
        arguments.at_least(name, value, low)
        if high is not None and value > high:
            raise ValueError(f"{name} must be <= {high}, got {value}")
    if kind is int:
        arguments.whole(name, value)
