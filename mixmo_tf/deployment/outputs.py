"""Where exported models are written: nothing is overwritten, and nothing half written is left."""

import contextlib
import pathlib
import re
import tempfile

import tensorflow as tf

from mixmo_tf import arguments


def new_file(path):
    """The path of a file to write.

    Raises:
        FileExistsError: if there is one.
        FileNotFoundError: if there is no folder for it.
    """
    arguments.path("file", path)
    path = pathlib.Path(path).expanduser()
    if path.exists():
        raise FileExistsError(f"{path} exists; choose another file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}")
    return path


def new_folder(path):
    """The path of a folder to write, which must not exist, or be empty.

    Raises:
        FileExistsError: if there is anything.
    """
    arguments.path("path", path)
    path = pathlib.Path(path).expanduser()
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise FileExistsError(f"{path} exists; choose another folder")
    return path


@contextlib.contextmanager
def at_once(path):
    """Gives a path to write a file or folder at; when all is done it appears at `path`.

    Raises:
        OSError: if it cannot be written; nothing is left.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="partial-", dir=path.parent) as folder:
            partial = pathlib.Path(folder, path.name)
            yield partial
            partial.replace(path)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
        if reason.startswith("cannot write"):  # a file of the folder, which said so
            reason = reason.rsplit(": ", 1)[-1]
        reason = re.sub(r" ?\[Op:.*", "", reason).rsplit("; ", 1)[-1]  # as TensorFlow writes it
        raise OSError(f"cannot write {path}: {reason}") from error
