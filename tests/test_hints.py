"""Every public function, method and constructor says what it takes and gives, as type hints."""

import importlib
import inspect
import pkgutil
import types

import pytest

import mixmo_tf

MODULES = [name for _, name, _ in pkgutil.walk_packages(mixmo_tf.__path__, "mixmo_tf.")]
OF_A_CLASS = ("__init__", "__call__", "__enter__", "__exit__", "__get__", "__len__")


def functions(owner, module_name):
    """The public functions that a module or class of it defines, by name."""
    for name, value in vars(owner).items():
        if isinstance(value, (classmethod, staticmethod)):
            value = value.__func__
        value = inspect.unwrap(value.fget if isinstance(value, property) else value)
        is_public = not name.startswith("_") or name in OF_A_CLASS
        if not is_public or getattr(value, "__module__", None) != module_name:
            continue
        if inspect.isclass(value):
            for of_class, function in functions(value, module_name):
                yield f"{name}.{of_class}", function
        elif inspect.isfunction(value) and value.__name__ != "<lambda>":
            yield name, function_of(value)


def function_of(value):
    """What `functools.cache` and the like stand before."""
    return inspect.unwrap(value)


def without_hints(module):
    """What lacks a hint: "name: argument", or "name: return"."""
    lacking = []
    for name, function in functions(module, module.__name__):
        said = inspect.signature(function)
        lacking += [
            f"{name}: {argument.name}"
            for argument in said.parameters.values()
            if argument.annotation is argument.empty and argument.name not in ("self", "cls")
        ]
        if said.return_annotation is said.empty and not name.endswith("__init__"):
            lacking.append(f"{name}: return")
    return lacking


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_has_hints(name):
    assert without_hints(importlib.import_module(name)) == []


def test_what_lacks_hints_is_found():
    toy = types.ModuleType("toy")
    source = """
import contextlib

def _private(x): ...
def whole(x: int) -> int: ...
@contextlib.contextmanager
def half(x: int, y, *rest): yield
class Toy:
    def __init__(self, size): ...
    @property
    def area(self): ...
    @classmethod
    def of(cls, size: int) -> int: ...
"""
    exec(source, vars(toy))
    assert without_hints(toy) == [
        "half: y", "half: rest", "half: return", "Toy.__init__: size", "Toy.area: return",
    ]  # fmt: skip
