"""Paths as people write them, and as TensorFlow reads them."""

import contextlib
import os
import pathlib
import re
import tempfile
import unicodedata
from collections.abc import Iterator

_STEERING = ("Cc", "Zl", "Zp")  # control characters, and what parts lines


def expanded(path: str | os.PathLike) -> pathlib.Path:
    """A pathlib.Path, in which ~ is the home folder and ~name that of another user.

    Raises:
        FileNotFoundError: if there is no such home folder.
    """
    path = pathlib.Path(path)
    try:
        return path.expanduser()
    except RuntimeError:
        raise FileNotFoundError(f"there is no home folder {path.parts[0]}, for {path}") from None


def resolved(path: pathlib.Path) -> pathlib.Path:
    """The pathlib.Path without links that a path leads to, whether it is there or not.

    Raises:
        OSError: if a link leads to itself.
    """
    try:
        return path.resolve()
    except RuntimeError:  # before Python 3.13
        raise OSError(f"{path} is a link that leads to itself") from None


def content(file: pathlib.Path) -> bytes:
    """The bytes in a file.

    Raises:
        OSError: if it cannot be read, or is none: a pipe would be waited for, and a device may
            never end. The message names it.
    """
    if file.exists() and not file.is_file():
        raise OSError(f"{file} is no file")
    return file.read_bytes()


def beside_package(name: str) -> pathlib.Path:
    """The folder of the "scripts" or the "configs": those of the clone, or installed with it."""
    root = pathlib.Path(__file__).resolve().parents[1]
    installed = root / f"mixmo_{name}"
    return installed if installed.is_dir() else root / name


def printable(text: str) -> str:
    r"""The text on one line: a line break as \n, what steers a terminal as, say, \x1b."""
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in _STEERING else c for c in text)


@contextlib.contextmanager
def without_pattern(path: pathlib.Path) -> Iterator[pathlib.Path]:
    r"""Gives a path to `path` in which no [ * ? or \ stands: TensorFlow takes these for patterns.

    It is a link that is gone afterwards, or `path` itself where it has none of them.
    """
    if not re.search(r"[\[\]*?\\]", str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = pathlib.Path(folder, "link")
        link.symlink_to(path.resolve())
        yield link
