"""A class without what its base class has."""

from typing import NoReturn


class Absent:
    """Stands in a class for what keras.Model has and a model of that kind has not.

    Args:
        message: what is so, and what to do instead, for an AttributeError.
    """

    def __init__(self, message: str):
        self._message = message

    def __get__(self, model: object, kind: type) -> NoReturn:
        article = "an" if kind.__name__[0] in "AEIO" else "a"
        raise AttributeError(f"{article} {kind.__name__} {self._message}")
