"""history.png: a run's curves, drawn when it is done from history.csv, which it is marked with."""

import hashlib
import logging
import pathlib

from mixmo_tf import extras, outputs, paths, plots
from mixmo_tf.training import history

_MARK = "mixmo_tf: history.csv "  # in the file, before the hash of what it shows
_log = logging.getLogger(__name__)


def draw(path: pathlib.Path) -> None:
    """Draws history.png in a run's folder, unless the one that is there shows the same.

    A file of that name that is not marked is somebody else's: it stays, and that is logged. Without
    Matplotlib nothing is drawn.

    Args:
        path: pathlib.Path of the run's folder, which has a history.csv.

    Raises:
        OSError: if the picture cannot be written.
    """
    file = path / history.PICTURE
    mark = _MARK + hashlib.sha256(paths.content(path / history.NAME)).hexdigest()
    found = paths.content(file) if file.is_file() else b""
    if mark.encode() in found or not extras.has("matplotlib"):
        return
    if file.exists() and _MARK.encode() not in found:
        _log.info("%s is not of this run, so it stays, and its curves are not drawn.", file)
        return
    figure = plots.training_curves([history.read(path)])
    with outputs.atomically(file, replace=True) as partial:
        figure.savefig(partial, metadata={"Source": mark})
