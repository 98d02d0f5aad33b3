"""One call for every file that holds a trained model."""

import pathlib

from mixmo_tf import arguments
from mixmo_tf.deployment.litert import LiteRTModel
from mixmo_tf.deployment.onnx import OnnxModel
from mixmo_tf.deployment.saved_model import ExportedModel, is_saved_model
from mixmo_tf.deployment.signature import DESCRIPTION
from mixmo_tf.training import checkpoints


def load(path):
    """Loads a trained model, whatever its format.

    Args:
        path: a run's folder, a `.keras` file, or what `export` wrote: a SavedModel's folder,
            an `.onnx` or a `.tflite` file; ~ is the home folder.

    Returns:
        A model whose `predict` takes uint8 images (N, H, W, channels) and gives the ensemble's
        probabilities, float32 (N, C): the MixMo, FoldedModel or DeepEnsemble that was saved,
        an ExportedModel, an OnnxModel or a LiteRTModel.

    Raises:
        FileNotFoundError: if there is none.
        ImportError: if an .onnx file is read without the extra `onnx`.
        ValueError: if it cannot be read, or this package has not written it.
    """
    arguments.path("path", path)
    path = pathlib.Path(path).expanduser()
    if path.suffix == ".onnx":
        return OnnxModel(path)
    if path.suffix == ".tflite":
        return LiteRTModel(path)
    if is_saved_model(path):
        return ExportedModel(path)
    if (path / DESCRIPTION).is_file():
        files = sorted(file.name for file in path.iterdir() if file.suffix in (".onnx", ".tflite"))
        raise ValueError(f"{path} has no SavedModel; load one of its files: {', '.join(files)}")
    return checkpoints.load_model(path)
