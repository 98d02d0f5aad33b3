"""Settings as flags: a dataclass says each setting once, and absl's flags are made of it.

Its fields are made by `setting`; their types are bool, int, float or str, `| None` where nothing
may be set, or a tuple of int, float or str. What a person reads of them comes from here: `--help`,
README's table, the lines of a flagfile.
"""

import contextlib
import dataclasses
import logging
import numbers
import os
import sys
import types
import typing

import absl.app
import absl.logging
import tensorflow as tf
from absl import flags

from mixmo_tf import arguments
from mixmo_tf.experiments import flagfiles, tables

REQUIRED = dataclasses.MISSING  # as a default: the setting must be given


def setting(default, help, *, choices=None, bounds=None, unit=None, repeated=False):
    """A field of a dataclass that inherits `OfFlags`.

    Args:
        default: its value where none is given, or `REQUIRED`.
        help: str, what it is, with the unit and the paper's symbol.
        choices: None, or strings, one of which it must be, or each value of a tuple.
        bounds: None, or (low, high) that a number must lie within; high may be None.
        unit: None, or what the numbers of a tuple are.
        repeated: bool, whether a tuple's flag is given once for each value, not with commas.
    """
    metadata = {
        "help": help,
        "choices": tuple(choices) if choices else None,
        "bounds": bounds,
        "unit": unit,
        "repeated": repeated,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfFlags:
    """Settings that flags can say too; the values are checked when they are given.

    Raises:
        ValueError: if a value is of another type, none of the choices or out of bounds; the
            message names the setting.
    """

    def __post_init__(self):
        for field, kind in _fields(type(self)):
            object.__setattr__(self, field.name, _checked(field, kind, getattr(self, field.name)))

    @classmethod
    def from_flagfile(cls, path, **overrides):
        """The settings that a flagfile says, a run's run.flags for one, but for `overrides`.

        Raises:
            FileNotFoundError: if there is none, or none that it includes.
            ValueError: if it holds a flag that is none of the settings, or a wrong value.
        """
        said = flagfiles.in_place(["--flagfile", os.fspath(path)])
        values = flags_of(cls, are_required=False)
        try:
            _, *others = values([str(path), *said])
        except flags.Error as error:
            raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
        if others:
            raise ValueError(f"{path}: {others[0]} is no flag; flags start with --")
        return cls(**{**given(cls, values), **overrides})


def check_is(settings, settings_class):
    """Raises ValueError unless `settings` are of the class, as a call wants them."""
    if not isinstance(settings, settings_class):
        name, came = settings_class.__name__, arguments.brief(settings)
        raise ValueError(f"settings must be {name}(…), got {came}")


def flags_of(settings_class, are_required=True):
    """The flags of a dataclass of settings, a flags.FlagValues of their own.

    Args:
        settings_class: class that inherits `OfFlags`.
        are_required: bool, whether parsing fails where a `REQUIRED` setting is not given.
    """
    values = flags.FlagValues()
    for field, kind in _fields(settings_class):
        is_required = field.default is REQUIRED
        default = None if is_required else field.default
        default = list(map(str, default)) if isinstance(default, tuple) else default
        _define(field, kind)(field.name, default, field.metadata["help"], flag_values=values)
        if is_required and are_required:
            flags.mark_flag_as_required(field.name, flag_values=values)
    return values


def run(action, *settings_classes, argv=None, names=(), rest=None):
    """Runs a script's command as its flags say: `action` gets the settings of each class.

    What the package logs is printed meanwhile.

    Args:
        action: function of settings.
        settings_classes: classes that inherit `OfFlags`.
        argv: list of str, the command line with the script's name; sys.argv if None.
        names: one of them must be the argument without --, and is the first of `action`.
        rest: None, or the setting, a tuple of str, of the only class, that arguments without --
            are values of.

    Raises:
        SystemExit: always, as `app.run` does. Its code is None, or a line that says what is
            wrong, or 1, where flags cannot be read and absl says it.
    """
    values = [flags_of(settings_class) for settings_class in settings_classes]

    def main(arguments):
        script, *others = arguments
        script = os.path.basename(script)
        if names and (len(others) != 1 or others[0] not in names):
            sys.exit(f"{script}: say which, once: {', '.join(names)}")
        if rest:
            values[0][rest].value = [*values[0][rest].value, *others]
            others = []
        if others and not names:
            sys.exit(f"{script}: unknown argument {others[0]}; flags start with --")
        absl.logging.set_verbosity(absl.logging.WARNING)
        tf.get_logger().setLevel("ERROR")
        try:
            action(*others, *map(settings_of, settings_classes, values))
        except (ValueError, OSError, ImportError) as error:
            sys.exit(f"{script}: {error}")

    program, *said = sys.argv if argv is None else argv
    try:
        said = flagfiles.in_place(said)
    except (ValueError, OSError) as error:
        sys.exit(f"{os.path.basename(program)}: {error}")
    with known_to_absl(*values), _printed(os.path.basename(program)):
        absl.app.run(main, [program, *said])


@contextlib.contextmanager
def known_to_absl(*values):
    """Under it, what parses the command line, and `--help`, know the flags of `flags_of`."""
    with contextlib.ExitStack() as known:
        for of_class in values:
            flags.FLAGS.append_flag_values(of_class)
            known.callback(flags.FLAGS.remove_flag_values, of_class)
            for name in of_class:
                flags.FLAGS.register_flag_by_module(sys.argv[0], of_class[name])
                flags.FLAGS.register_key_flag_for_module(sys.argv[0], of_class[name])
        yield


def settings_of(settings_class, values):
    """The settings that parsed flags say.

    Raises:
        ValueError: see `OfFlags`.
    """
    named = {field.name: values[field.name].value for field, _ in _fields(settings_class)}
    return settings_class(**named)


def given(settings_class, values):
    """The values of those flags that the command line gave, a dict by name."""
    names = [field.name for field, _ in _fields(settings_class)]
    return {name: values[name].value for name in names if values[name].present}


def texts(settings):
    """What flags have behind the = for these settings: str, or None, by name."""
    named = {field.name: getattr(settings, field.name) for field, _ in _fields(type(settings))}
    return {name: value if value is None else text(value) for name, value in named.items()}


def table(settings_class):
    """README's table of the flags, Markdown."""
    rows = [["flag", "default", "what"]]
    for field, _ in _fields(settings_class):
        default = "not set" if field.default is None else f"`{text(field.default)}`"
        default = "must be given" if field.default is REQUIRED else default
        what, choices = field.metadata["help"], field.metadata["choices"]
        what += f" One of {', '.join(choices)}." if choices else ""
        rows.append([f"`--{field.name}`", default, what])
    return "\n".join(tables.markdown(rows)) + "\n"


def text(value):
    """A value as a flag has it behind the =."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def one_line(name, value):
    """The str `value`; raises ValueError unless it can stand in a line of a flagfile."""
    if {"\n", "\r"} & set(value) or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError(f"{name} must be one line of UTF-8, got {value!r}")
    return value


@contextlib.contextmanager
def _printed(script):
    """Under it, what the package logs is printed; warnings as the script's own errors."""
    log, printer = logging.getLogger("mixmo_tf"), _Printer(script)
    before = log.level, log.propagate
    log.addHandler(printer)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(printer)
        log.setLevel(before[0])
        log.propagate = before[1]


class _Printer(logging.Handler):
    def __init__(self, script):
        super().__init__()
        self.script = script

    def emit(self, record):
        said = record.getMessage().encode("utf-8", "backslashreplace").decode()  # odd file names
        is_warning = record.levelno >= logging.WARNING
        stream = sys.stderr if is_warning else sys.stdout  # as they are now: tests change them
        stream.write(f"{self.script}: {said}\n" if is_warning else f"{said}\n")
        stream.flush()


def _fields(settings_class):
    """The fields of the class, each with its type: (field, bool | int | … | tuple[int, ...])."""
    kinds = typing.get_type_hints(settings_class)
    for field in dataclasses.fields(settings_class):
        kind = kinds[field.name]
        if isinstance(kind, types.UnionType):
            kind, _ = typing.get_args(kind)  # the other one is None
        yield field, kind


def _define(field, kind):
    """The function of absl that defines a flag of this kind."""
    choices, is_repeated = field.metadata["choices"], field.metadata["repeated"]
    if typing.get_origin(kind) is tuple:
        if not is_repeated:
            return flags.DEFINE_list
        is_number = typing.get_args(kind)[0] is int
        return flags.DEFINE_multi_integer if is_number else flags.DEFINE_multi_string
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


def _checked(field, kind, value):
    """The value as its type; raises ValueError where it is wrong."""
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
        try:
            values = [element(each) if isinstance(each, str) else each for each in values]
        except ValueError:
            unit = field.metadata["unit"] or "numbers"
            raise ValueError(f"{field.name} must be {unit}, got {text(tuple(values))}") from None
    return tuple(_one_checked(field, element, each) for each in values)


def _one_checked(field, kind, value):
    name, choices, bounds = field.name, field.metadata["choices"], field.metadata["bounds"]
    if choices:
        arguments.one_of(name, value, choices)
    if kind is str:
        arguments.path(name, value)
        return one_line(name, os.fspath(value))
    if kind is bool:
        arguments.one_of(name, value, (False, True))
        return value
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise ValueError(f"{name} must be a number, got {arguments.brief(value)}")
    if bounds:
        _check_bounds(name, value, *bounds)
    if kind is int:
        arguments.whole(name, value)
    return kind(value)


def _check_bounds(name, value, low, high):
    arguments.at_least(name, value, low)
    if high is not None and value > high:
        raise ValueError(f"{name} must be <= {high}, got {value}")
