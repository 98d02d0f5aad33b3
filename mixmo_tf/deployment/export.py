"""A trained model for use without this package: one folder, in it a file per format."""

import pathlib
import shutil

import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.deployment import litert, onnx, saved_model, signature

FORMATS = ("saved_model", "onnx", "litert")


def export(
    model, path, formats=("saved_model",), litert_types=litert.TYPES, calibration_images=None
):
    """Writes a folder that is itself the SavedModel, and holds the other formats' files.

    Beside them are `model.json`, what each takes and gives (`signature.Served`), and
    `class_names.txt`, a line per class, if the model knows them.

    Args:
        model: Ensemble, that is a MixMo, FoldedModel or DeepEnsemble.
        path: folder that is created; it must not exist, or be empty.
        formats: list of `FORMATS`.
        litert_types: list of `litert.TYPES`, a file each.
        calibration_images: uint8 (N, H, W, channels), for LiteRT's int8.

    Returns:
        list of pathlib.Path, each of what `mixmo_tf.load` takes.

    Raises:
        FileExistsError: if there are files at `path`.
        ImportError: if a format needs packages that are not installed.
        ValueError: if a format is unknown, or not for this model.
        OSError: if it cannot be written; nothing is left there.
    """
    path = pathlib.Path(path).expanduser()
    _check(model, path, formats, litert_types, calibration_images)
    partial = path.with_name(f"partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        names = []
        if "saved_model" in formats:
            saved_model.write(model, partial)
            names.append("")
        if "onnx" in formats:
            names.append("model.onnx")
            onnx.write(model, partial / names[-1])
        if "litert" in formats:
            for each in litert_types:
                names.append(f"model_{each}.tflite")
                litert.write(model, partial / names[-1], each, calibration_images)
        signature.write_description(model, partial)
        partial.replace(path)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", error)
        raise OSError(f"cannot write {path}: {reason}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [path / name for name in names]


def _check(model, path, formats, litert_types, calibration_images):
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise FileExistsError(f"{path} exists; choose another folder to export to")
    for each in formats or [None]:
        arguments.one_of("format", each, FORMATS)
    if "onnx" in formats:
        onnx.check(model)
    if "litert" in formats:
        litert.check(model, litert_types, calibration_images)
