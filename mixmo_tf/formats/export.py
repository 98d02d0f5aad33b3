"""A trained model for use without this package: one folder, in it a file per format."""

from mixmo_tf import arguments
from mixmo_tf.formats import litert, onnx, saved_model, signature
from mixmo_tf.outputs import at_once, new_folder

FORMATS = ("saved_model", "onnx", "litert")


def export(
    model, path, formats=("saved_model",), litert_dtypes=litert.DTYPES, calibration_images=None
):
    """Writes a folder that is itself the SavedModel, and holds the other formats' files.

    Beside them are `model.json`, what each takes and gives (`signature.Served`), and
    `class_names.txt`, a line per class, if the model knows them.

    Args:
        model: MixMo, FoldedModel or DeepEnsemble.
        path: folder that is created; it must not exist, or be empty.
        formats: list of `FORMATS`.
        litert_dtypes: list of `litert.DTYPES`, a file each.
        calibration_images: uint8 (N, H, W, channels), for LiteRT's int8.

    Returns:
        list of pathlib.Path, each of what `mixmo_tf.load` takes.

    Raises:
        FileExistsError: if there are files at `path`.
        ImportError: if a format needs packages that are not installed.
        ValueError: if a format is unknown, or not for this model.
        OSError: if it cannot be written; nothing is left there.
    """
    path = new_folder(path).resolve()  # "." has no name, and a link may lead nowhere yet
    _check(model, formats, litert_dtypes, calibration_images)
    names = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}") from error
    with at_once(path) as folder:
        folder.mkdir()
        if "saved_model" in formats:
            saved_model.write(model, folder)
            names.append("")
        if "onnx" in formats:
            names.append("model.onnx")
            onnx.write(model, folder / names[-1])
        for dtype in dict.fromkeys(litert_dtypes) if "litert" in formats else ():
            names.append(f"model_{dtype}.tflite")
            litert.write(model, folder / names[-1], dtype, calibration_images)
        signature.write_description(model, folder)
    return [path / name for name in names]


def _check(model, formats, litert_dtypes, calibration_images):
    if not getattr(model, "networks", ()):
        raise ValueError(f"model must be a MixMo: a {type(model).__name__} cannot be exported")
    if not isinstance(formats, (list, tuple)):
        raise ValueError(
            f"formats must be a list of {', '.join(FORMATS)}, got {arguments.brief(formats)}"
        )
    for each in formats or [None]:
        arguments.one_of("format", each, FORMATS)
    if "onnx" in formats:
        onnx.check(model)
    if "litert" in formats:
        litert.check(model, litert_dtypes, calibration_images)
