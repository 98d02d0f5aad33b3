"""Paths as people write them, and as TensorFlow reads them."""

import contextlib
import pathlib
import re
import tempfile


def expanded(path):
    """A pathlib.Path, in which ~ is the home folder and ~name that of another user.

    Raises:
        FileNotFoundError: if there is no such home folder.
    """
    path = pathlib.Path(path)
    try:
        return path.expanduser()
    except RuntimeError:
        raise FileNotFoundError(f"there is no home folder {path.parts[0]}, for {path}") from None


@contextlib.contextmanager
def without_pattern(path):
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
