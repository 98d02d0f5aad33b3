"""What all settings are: a frozen dataclass, checked when it is made, that a flagfile can say."""

import dataclasses
import os
from typing import Any, TypeVar

from absl import flags

from mixmo_tf import arguments
from mixmo_tf.experiments import absl_flags, fields, flagfiles

S = TypeVar("S")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfFlags:
    """Settings that flags can say too; their fields are made by `fields.setting`.

    Raises:
        ValueError: if a value is of another type, none of the choices or out of bounds; the
            message names the setting.
    """

    def __init_subclass__(cls):
        cls.__repr__ = OfFlags.__repr__  # in the class itself, or dataclass writes another

    def __post_init__(self):
        for field, kind in fields.of(type(self)):
            value = fields.checked(field, kind, getattr(self, field.name))
            object.__setattr__(self, field.name, value)

    def __repr__(self):
        """What differs from the defaults: an expression that gives the same settings."""
        shown = [f"{name}={value!r}" for name, value in self._changed().items()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _changed(self):
        """What differs from the defaults, by name."""
        values = {field: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {field.name: value for field, value in values.items() if value != field.default}

    @classmethod
    def from_flagfile(cls: type[S], path: str | os.PathLike, **overrides: Any) -> S:
        """The settings that a flagfile says, a run's run.flags for one, but for `overrides`.

        Raises:
            OSError: if there is none, or none that it includes, or one cannot be read.
            ValueError: if it is no text, holds a flag that is none of the settings or a wrong
                value, or leaves out one that must be given.
        """
        arguments.path("path", path)
        if not os.fspath(path):
            raise ValueError("path must name a flagfile, got ''")
        in_file = {name: v for name, v in _said(cls, path).items() if name not in overrides}
        try:
            for field, kind in fields.of(cls):
                if field.name in in_file:
                    fields.checked(field, kind, in_file[field.name])
                elif field.default is fields.REQUIRED and field.name not in overrides:
                    raise ValueError(f"it has no --{field.name}, which must be given")
            if not overrides:
                return cls(**in_file)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return cls(**in_file, **overrides)


def check_is(settings: Any, settings_class: type) -> None:
    """Raises ValueError unless `settings` are of the class, as a call wants them."""
    if not isinstance(settings, settings_class):
        name, came = settings_class.__name__, arguments.brief(settings)
        raise ValueError(f"settings must be {name}(…), got {came}")


def _said(settings_class, path):
    """The values that a flagfile gives, by name, as absl parses them."""
    said = flagfiles.in_place(["--flagfile", os.fspath(path)])
    values = absl_flags.flags_of(settings_class, are_required=False)
    try:
        _, *others = values([str(path), *said])
    except flags.Error as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    if others:
        raise ValueError(f"{path}: {others[0]} is no flag; flags start with --")
    return absl_flags.given(settings_class, values)
