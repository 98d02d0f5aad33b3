"""Models of the Hugging Face Hub, by the names that Keras has for them: hf://USER/MODEL."""

import os
import pathlib
import re

import keras

from mixmo_tf import arguments, extras
from mixmo_tf.formats.signature import DESCRIPTION
from mixmo_tf.training.model_archive import PARTS

_START = re.compile(r"hf:/")  # pathlib.Path makes one slash of two
_NAME = re.compile(r"hf://(\w(?:[\w.-]*\w)?/\w(?:[\w.-]*\w)?)", re.ASCII)
_REFUSED = (401, 403, 404)  # what the hub answers where there is nothing, or nothing to be seen


def is_name(path: str | os.PathLike) -> bool:
    """Whether a path is meant for the hub, rightly spelt or not."""
    return bool(_START.match(os.fspath(path)))


def download(name: str) -> pathlib.Path:
    """The folder of a model "hf://USER/MODEL" on this machine, downloaded if need be.

    Only the files are fetched that a model is loaded from, as huggingface_hub does it: into its
    cache, with its token if there is one, and from the cache alone where there is no network.

    Raises:
        ImportError: without the extra `hub`.
        ValueError: if the name is none, or nothing that Keras saved is there.
        FileNotFoundError: if the hub has no such model, or does not show it.
        OSError: if it cannot be downloaded.
    """
    found = _NAME.fullmatch(name)
    if not found or any(each in name for each in ("--", "..")):
        raise ValueError(f"a model of the hub must be named hf://USER/MODEL, got {name!r}")
    try:
        import huggingface_hub  # imported here: an extra
    except ImportError:
        extras.check("hub", ["huggingface_hub"])
        raise
    try:
        folder = huggingface_hub.snapshot_download(
            repo_id=found[1],
            library_name="keras",
            library_version=keras.__version__,
            allow_patterns=[*PARTS, DESCRIPTION],
        )
    except Exception as error:  # of the library, of its HTTP, or of the disk
        if getattr(getattr(error, "response", None), "status_code", None) in _REFUSED:
            raise FileNotFoundError(
                f"the hub has no model {name}, or does not show it to you; what is private needs "
                "`hf auth login`"
            ) from error
        reason = arguments.first_line(error.__cause__ or error)
        raise OSError(f"cannot download {name}: {reason}") from error
    for part in PARTS[1:]:
        if not (pathlib.Path(folder) / part).is_file():
            raise ValueError(f"{name} has no {part}: it is no model that Keras saved there")
    return pathlib.Path(folder)
