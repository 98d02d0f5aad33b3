"""Files and folders, written atomically: nothing is overwritten, nothing half written is left.

Until it is whole, what is written has a name that no other process and no user's file has, in
the same folder: `partial-NAME-…/NAME`.
"""

import contextlib
import errno
import os
import pathlib
import re
import secrets
import shutil
import sys
from collections.abc import Iterator

import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.paths import expanded, resolved

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_OF_WRITING = (*_OF_THE_DISK, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)
_SAYS_SO = "cannot write "
_LONGEST = 32  # characters of a name that stand in its temporary one


def new_file(path: str | os.PathLike) -> pathlib.Path:
    """The path of a file to write.

    Raises:
        FileExistsError: if there is one.
        FileNotFoundError: if there is no folder for it.
    """
    arguments.path("file", path)
    path = expanded(path)
    if path.exists():
        raise FileExistsError(f"{path} exists; choose another file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}")
    return path


def new_folder(path: str | os.PathLike) -> pathlib.Path:
    """The path of a folder to write, which must not exist, or be empty.

    Raises:
        FileExistsError: if there is anything.
    """
    arguments.path("path", path)
    path = expanded(path)
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise FileExistsError(f"{path} exists; choose another folder")
    return path


@contextlib.contextmanager
def atomically(path: pathlib.Path, replace: bool = False) -> Iterator[pathlib.Path]:
    """Gives a path to write a file or folder at; when all is done it appears at `path`.

    Args:
        path: pathlib.Path; where it is a link, what it leads to is written.
        replace: bool, whether a file takes the place of one that is there, as a run's own do.

    Raises:
        OSError: if it cannot be written, or, unless `replace`, something is there by then;
            what was there stays, and nothing else is left. What else is raised passes.
    """
    target = resolved(path)
    prefix = f"partial-{target.name[:_LONGEST]}-"
    with (
        naming(path, target.parent / prefix),
        _temporary(target.parent / f"{prefix}{secrets.token_hex(4)}") as folder,
    ):
        name = path.name if os.path.islink(path) else target.name  # by its ending libraries go
        partial = folder / name
        yield partial
        for file in [partial, *partial.rglob("*")]:
            if file.is_file():
                _to_the_disk(file)
        if replace:
            partial.replace(target)
        else:
            _appear(partial, target)


@contextlib.contextmanager
def _temporary(folder):
    """A new folder, which goes in the end, also where a signal ends it while it is being made.

    tempfile.TemporaryDirectory would leave it then: it looks after a folder that is made.
    """
    is_ours = True
    try:
        try:
            folder.mkdir(0o700)
        except FileExistsError:
            is_ours = False
            raise
        yield folder
    finally:
        if is_ours:
            shutil.rmtree(folder, ignore_errors=True)


def write(path: pathlib.Path, content: str | bytes, replace: bool = False) -> None:
    """Writes str or bytes to the file `path` atomically; the rest is as for `atomically`.

    Where `path` is a pipe or a device, such as /dev/stdout, it gets them as they are.
    """
    content = content if isinstance(content, bytes) else content.encode()
    descriptor = _descriptor(path)
    if descriptor is not None:  # by its name, what it leads to would be opened and emptied
        sys.stdout.flush()
        with open(descriptor, "wb", closefd=False) as stream:
            stream.write(content)
    elif is_stream(path):
        with naming(path):
            path.write_bytes(content)
    else:
        with atomically(path, replace) as partial:
            partial.write_bytes(content)


def is_stream(path: pathlib.Path) -> bool:
    """Whether it is a pipe or a device, or leads to what the process has open already."""
    is_other = os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))
    return _descriptor(path) is not None or is_other


@contextlib.contextmanager
def naming(path: pathlib.Path, start: str | os.PathLike | None = None) -> Iterator[None]:
    """Makes an OSError that names `path` of whatever a library raises where it cannot write.

    The paths of all that is written begin with `start`; it is `path` if None.
    """
    start = str(path if start is None else start)
    try:
        yield
    except Exception as error:
        reason = _reason(error, start)
        if reason is None:
            raise
        raise OSError(f"{_SAYS_SO}{path}: {reason}") from error


def remove_partial(folder: pathlib.Path, names: str) -> None:
    """Removes what a process that was killed while it wrote left; nothing that may be a user's.

    What is written to `folder` is known to be its owner's alone; `names` is a regular expression of
    the names of the files that may have been written.
    """
    for partial in folder.iterdir() if folder.is_dir() else ():
        found = re.fullmatch(rf"partial-({names})-\w{{8}}", partial.name)
        if not found or partial.is_symlink() or not partial.is_dir():
            continue
        if {file.name for file in partial.iterdir()} <= {found[1]}:
            shutil.rmtree(partial)


def _descriptor(path):
    """The number of what is open already under a name such as /dev/stdout; None for others."""
    if found := re.fullmatch(r"/(?:dev|proc/self)/fd/(\d+)", str(path)):
        return int(found[1])
    return {"/dev/stdout": 1, "/dev/stderr": 2}.get(str(path))


def _to_the_disk(file):
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())


def _appear(partial, target):
    """Renames what is new, unless there is something by now."""
    try:
        if partial.is_dir():
            partial.rename(target)  # takes the place of an empty folder at most
            return
        try:
            os.link(partial, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            target.open("xb").close()
            partial.replace(target)
    except OSError as error:
        if target.exists() and error.errno not in _OF_THE_DISK:
            lost = "another process has written it meanwhile"
            raise FileExistsError(f"{_SAYS_SO}{partial}: {lost}") from None
        raise


def _reason(error, start):
    """Why what is written could not be, which may stand behind the error; None if that is not why.

    The paths of all that is written begin with `start`.
    """
    if isinstance(error, OSError):
        return _of_system(error, start, any_error=True)
    if isinstance(error, tf.errors.OpError):
        return _of_tensorflow(error, start)
    while error := error.__cause__ or error.__context__:
        if isinstance(error, OSError) and (reason := _of_system(error, start)):
            return reason
    return None


def _of_system(error, start, any_error=False):
    """An OSError tells by the file that it names, and else by what it is."""
    text = str(error)
    if text.startswith(_SAYS_SO):  # a file of the folder, or another that is written meanwhile
        return text.rsplit(": ", 1)[-1] if text.startswith(_SAYS_SO + start) else None
    named = isinstance(error.filename, (str, bytes, os.PathLike))
    if named and not os.fsdecode(error.filename).startswith(start):
        return None
    if error.errno in _OF_WRITING or (named and any_error):
        return error.strerror or text
    return None


def _of_tensorflow(error, start):
    """Where it is about a file, TensorFlow's message is "path; reason"."""
    first_line = re.sub(r" ?\[Op:.*", "", error.message.split("\n")[0])
    reason = first_line.rpartition("; ")[-1]
    is_of_writing = isinstance(error, tf.errors.PermissionDeniedError) or any(
        os.strerror(number) in reason for number in _OF_WRITING
    )
    return reason if is_of_writing or start in first_line else None
