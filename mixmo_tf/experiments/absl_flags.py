"""Settings as absl's flags, and parsed flags as settings: a flag for every field."""

import contextlib
import sys
import typing
from collections.abc import Iterator

from absl import flags

from mixmo_tf.experiments import fields, tables
from mixmo_tf.experiments.fields import REQUIRED

S = typing.TypeVar("S")


def flags_of(settings_class: type, are_required: bool = True) -> flags.FlagValues:
    """The flags of a class that inherits `OfFlags`, a flags.FlagValues of their own.

    `are_required` says whether parsing fails where a `REQUIRED` setting is not given.
    """
    values = flags.FlagValues()
    for field, kind in fields.of(settings_class):
        is_required = field.default is REQUIRED
        default = None if is_required else field.default
        default = list(map(str, default)) if isinstance(default, tuple) else default
        _define(field, kind)(field.name, default, field.metadata["help"], flag_values=values)
        if is_required and are_required:
            flags.mark_flag_as_required(field.name, flag_values=values)
    return values


@contextlib.contextmanager
def known_to_absl(*values: flags.FlagValues) -> Iterator[None]:
    """Under it, what parses the command line, and `--help`, know the flags of `flags_of`."""
    with contextlib.ExitStack() as known:
        for of_class in values:
            flags.FLAGS.append_flag_values(of_class)
            known.callback(flags.FLAGS.remove_flag_values, of_class)
            for name in of_class:
                flags.FLAGS.register_flag_by_module(sys.argv[0], of_class[name])
                flags.FLAGS.register_key_flag_for_module(sys.argv[0], of_class[name])
        yield


def settings_of(settings_class: type[S], values: flags.FlagValues) -> S:
    """The settings that parsed flags say.

    Raises:
        ValueError: see `OfFlags`.
    """
    named = {field.name: values[field.name].value for field, _ in fields.of(settings_class)}
    return settings_class(**named)


def given(settings_class: type, values: flags.FlagValues) -> dict:
    """The values of those flags that the command line gave, by name."""
    names = [field.name for field, _ in fields.of(settings_class)]
    return {name: values[name].value for name in names if values[name].present}


def table(settings_class: type) -> str:
    """README's table of the flags, Markdown."""
    rows = [["flag", "default", "what"]]
    for field, _ in fields.of(settings_class):
        default = "not set" if field.default is None else f"`{fields.text(field.default)}`"
        default = "must be given" if field.default is REQUIRED else default
        what, choices = field.metadata["help"], fields.choices(field)
        what += f" One of {', '.join(choices)}." if choices else ""
        rows.append([f"`--{field.name}`", default, what])
    return "\n".join(tables.markdown(rows)) + "\n"


def _define(field, kind):
    """The function of absl that defines a flag of this kind."""
    choices, is_repeated = fields.choices(field), field.metadata["repeated"]
    if typing.get_origin(kind) is tuple:
        return flags.DEFINE_multi_string if is_repeated else flags.DEFINE_list
    if choices:
        return lambda name, default, help, flag_values: flags.DEFINE_enum(
            name, default, choices, help, flag_values=flag_values
        )
    return {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }[kind]
