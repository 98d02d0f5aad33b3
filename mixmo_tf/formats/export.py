"""A trained model for use without this package: one folder, in it a file per format."""

import logging
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from mixmo_tf import arguments
from mixmo_tf.evaluation.decision import Decision
from mixmo_tf.formats import litert, onnx, saved_model, signature
from mixmo_tf.outputs import atomically, new_folder
from mixmo_tf.paths import resolved


class Format(NamedTuple):
    """How a model is written in a format."""

    write: Callable  # (model, path, **options): one file, or what the SavedModel's folder holds
    check: Callable  # (model, litert_dtypes=…, calibration_images=…) raises unless it can be
    files: Callable  # the same without the model -> {name in an export's folder: write's options}
    requests: str  # what the file does with them, for model.json
    what: str  # what it is for, in a few words for --help


FORMATS = {
    "saved_model": Format(
        saved_model.write, saved_model.check, saved_model.files, saved_model.REQUESTS,
        "for TensorFlow and TensorFlow Serving"),
    "onnx": Format(
        onnx.write, onnx.check, onnx.files, onnx.REQUESTS,
        "for ONNX Runtime (needs the extra onnx)"),
    "litert": Format(
        litert.write, litert.check, litert.files, litert.REQUESTS,
        "for phones and small devices (or tflite)"),
}  # fmt: skip
_log = logging.getLogger(__name__)
_OTHER_NAMES = {"tflite": "litert"}  # what it was called once, and its files still are


def name_of(name: str) -> str:
    """The name in `FORMATS` of a format that may be called otherwise; any other name as it is."""
    return _OTHER_NAMES.get(name, name) if isinstance(name, str) else name


def export(
    model: keras.Model,
    path: str | os.PathLike,
    formats: Sequence[str] = ("saved_model",),
    litert_dtypes: Sequence[str] = litert.DTYPES,
    calibration_images: np.ndarray | None = None,
    input: str = "pixels",
    central_fraction: float = 1.0,
    decision: Decision | None = None,
    refit: Callable[[pathlib.Path], Decision] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> list[pathlib.Path]:
    """Writes a folder that is itself the SavedModel, and holds the other formats' files.

    Beside them are `model.json`, what each takes and gives (`signature.Served`), and
    `class_names.txt`, a line per class, if the model knows them.

    Args:
        model: MixMo, FoldedModel or DeepEnsemble.
        path: folder that is created; it must not exist, or be empty.
        formats: list of `FORMATS`; "tflite" is "litert".
        litert_dtypes: list of `litert.DTYPES`, a file each.
        calibration_images: uint8 (N, H, W, channels), for LiteRT's int8.
        input: one of `saved_model.INPUTS`; "jpeg" gives the SavedModel a second signature,
            `serving_bytes`, that takes the bytes of JPEG and PNG files, str (n,).
        central_fraction: float in (0, 1], how much of the shorter side of a file's image the
            model is given, see `data.read_images`.
        decision: evaluation.decision.Decision, fitted on held-out images; with it each file has
            the outputs of `decision_outputs.OUTPUTS` too.
        refit: function that gives the Decision of LiteRT's int8, whose logits are its own, from
            the path of its file; None for the same `decision`.
        facts: dict that JSON can hold, of what else is known of the model, such as its run, for
            `model.json` and the metadata of the ONNX and LiteRT files.

    Returns:
        list of pathlib.Path, each of what `mixmo_tf.load` takes.

    Raises:
        FileExistsError: if there are files at `path`.
        ImportError: if a format needs packages that are not installed.
        ValueError: if a format is unknown, or not for this model.
        OSError: if it cannot be written; nothing is left there.
    """
    path = resolved(new_folder(path))  # "." has no name, and a link may lead nowhere yet
    if not getattr(model, "networks", ()):
        raise ValueError(f"model must be a MixMo: a {type(model).__name__} cannot be exported")
    if not isinstance(formats, (list, tuple)):
        raise ValueError(
            f"formats must be a list of {', '.join(FORMATS)}, got {arguments.brief(formats)}"
        )
    if not isinstance(decision, (Decision, type(None))):
        came = arguments.brief(decision)
        raise ValueError(f"decision must be what evaluation.decision.fit gives, got {came}")
    formats = list(map(name_of, formats))
    for each in formats or [None]:
        arguments.one_of("format", each, FORMATS)
    if input != "pixels" and "saved_model" not in formats:
        raise ValueError(f"input={input} is for the format saved_model")
    of_files = {}

    def refitted(file):
        of_files[file.name] = refit(file)
        return of_files[file.name]

    options = {
        "litert_dtypes": litert_dtypes,
        "calibration_images": calibration_images,
        "input": input,
        "central_fraction": central_fraction,
        "decision": decision,
        "refit": refitted if refit else None,
        "facts": {"central_fraction": central_fraction, **(facts or {})},
    }
    wanted = {name: FORMATS[name] for name in FORMATS if name in formats}
    for each in wanted.values():
        each.check(model, **options)
    names = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}") from error
    with atomically(path) as folder:
        folder.mkdir()
        for each in wanted.values():
            for name, how in each.files(**options).items():
                _log.info("Writing %s.", name or "the SavedModel")
                each.write(model, folder / name, **how)
                names.append(name)
        requests = {name: each.requests for name, each in wanted.items()}
        takes_bytes = input == "jpeg"
        signature.write_description(
            model, folder, requests, takes_bytes, central_fraction, decision, of_files, facts
        )
    return [path / name for name in names]


def write_one(model: keras.Model, path: str | os.PathLike, format: str) -> None:
    """Writes one format alone, by Keras' name of it: "tf_saved_model", or as in `FORMATS`.

    It is a file, or, for a SavedModel, the folder that `export` writes.
    """
    names = {"tf_saved_model" if name == "saved_model" else name: name for name in FORMATS}
    arguments.path("filepath", path)
    format = name_of(format)
    arguments.one_of("format", format, names)
    if format == "tf_saved_model":
        export(model, path)
    else:
        FORMATS[format].write(model, path)
