"""One call for every file that holds a trained model."""

import os
from collections.abc import Sequence

import keras

from mixmo_tf import arguments
from mixmo_tf.deployment import hub
from mixmo_tf.deployment.model_file import LiteRTModel, ModelFile, OnnxModel
from mixmo_tf.formats.saved_model import is_saved_model
from mixmo_tf.formats.signature import DESCRIPTION
from mixmo_tf.models.deep_ensemble import DeepEnsemble
from mixmo_tf.models.exported import ExportedModel
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.paths import expanded
from mixmo_tf.training import checkpoints, model_archive

FILES = (".onnx", ".tflite")  # the endings of what is a file


def load(path: str | os.PathLike, trust: bool = False) -> keras.Model | ModelFile:
    """Loads a trained model, whatever its format.

    Args:
        path: a run's folder, a `.keras` file, or what `export` wrote: a SavedModel's folder,
            an `.onnx` or a `.tflite` file; a folder that is to be shared, or one of the Hugging
            Face Hub, "hf://USER/MODEL"; ~ is the home folder. A folder with a `model.keras`
            is a run's, whatever else is in it.
        trust: bool, load a SavedModel whatever operations it holds. It is a program, which can
            do all that you can; without `trust`, it is loaded only if it computes and does
            nothing else.

    Returns:
        A model whose `predict` takes uint8 images (N, H, W, channels) and gives the ensemble's
        probabilities, float32 (N, C): the MixMo, FoldedModel or DeepEnsemble that was saved,
        an ExportedModel, an OnnxModel or a LiteRTModel. These three have `outputs`, images ->
        dict of all that the file gives, and `description`, what it says that it is.

    Raises:
        FileNotFoundError: if there is none.
        ImportError: if an .onnx file is read without the extra `onnx`, or the hub without `hub`.
        OSError: if it cannot be downloaded from the hub.
        ValueError: if it cannot be read, this package has not written it, or it is refused.
    """
    arguments.path("path", path)
    path = hub.download(os.fspath(path)) if hub.is_name(path) else expanded(path)
    if path.suffix == ".onnx":
        return OnnxModel(path)
    if path.suffix == ".tflite":
        return LiteRTModel(path)
    if is_saved_model(path):
        return ExportedModel(path, trust)
    if is_exported(path):
        files = sorted(file.name for file in path.iterdir() if file.suffix in FILES)
        if not files:
            raise ValueError(f"{path} holds no model: only the files beside one are there")
        raise ValueError(f"{path} has no SavedModel; load one of its files: {', '.join(files)}")
    return checkpoints.load_model(path)


def is_exported(path: str | os.PathLike) -> bool:
    """Whether `load` takes a path for what `export` wrote, and not for a run or a .keras file."""
    path = expanded(path)
    is_of_keras = (path / "model.keras").is_file() or model_archive.is_folder(path)
    is_described = (path / DESCRIPTION).is_file() and not is_of_keras
    return path.suffix in FILES or is_saved_model(path) or is_described


def load_as_one(files: Sequence[str | os.PathLike], ensemble: str | None = None) -> Predictor:
    """Loads a run's folder or .keras file, or several as a DeepEnsemble.

    `ensemble` is what is averaged, "logits" or "probabilities"; None for the models' own.

    Raises:
        FileNotFoundError: if one is missing.
        ValueError: if one cannot be read, or they cannot be one ensemble.
    """
    models = [checkpoints.load_model(file, compile=False) for file in files]
    if len(models) == 1:
        models[0].ensemble = ensemble or models[0].ensemble
        return models[0]
    try:
        return DeepEnsemble(models, ensemble=ensemble)
    except ValueError as error:
        raise ValueError(f"{', '.join(map(str, files))}: {error}") from None
