"""ONNX files, for ONNX Runtime; written by Keras and tf2onnx."""

import os
import warnings
from collections.abc import Mapping
from typing import Any

import keras

from mixmo_tf import extras, strict_json
from mixmo_tf.evaluation.decision import Decision
from mixmo_tf.formats import signature
from mixmo_tf.formats.signature import Served, check_precision
from mixmo_tf.outputs import atomically, new_file

METADATA = "mixmo_tf"  # the key of the metadata under which a file holds what it is
REQUESTS = "any n; images of another shape or dtype are an error of ONNX Runtime"


def check(model: keras.Model, **_: Any) -> None:
    """Raises ImportError or ValueError unless `write` can do its work."""
    extras.check("onnx", ["tf2onnx", "onnxruntime"])
    check_precision("an ONNX file", model)


def files(decision: Decision | None, facts: Mapping[str, Any] | None, **_: Any) -> dict[str, dict]:
    """The file in an export's folder, and the options of `write`."""
    return {"model.onnx": {"decision": decision, "facts": facts}}


def write(
    model: keras.Model,
    file: str | os.PathLike,
    decision: Decision | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Writes a model as an ONNX file, which takes and gives what `Served` does.

    Args:
        model: Predictor whose networks compute in float32.
        file: path of the new file.
        decision: for the outputs of `decision_outputs`.
        facts: what else the file's metadata are to say, see `signature.described`.

    Raises:
        FileExistsError, FileNotFoundError: if there is a file, or no folder for it.
        OSError: if it cannot be written; nothing is left.
        ImportError: unless the extra `onnx` is installed.
        ValueError: if a network computes in 16 bits.
    """
    check(model)
    served = Served(model, takes_none=False, decision=decision)
    with atomically(new_file(file)) as path, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras' patch of tf2onnx for NumPy 2
        served.export(
            str(path), format="onnx", input_signature=served.input_signature, verbose=False
        )
        _describe(path, signature.described(model, facts, decision, alone=True))


def _describe(path, said):
    """Adds the metadata, and names the number of images, which tf2onnx numbers: unk__317."""
    import onnx  # imported here: an extra

    model = onnx.load(path)
    for each in (*model.graph.input, *model.graph.output):
        each.type.tensor_type.shape.dim[0].dim_param = "n"
    model.metadata_props.add(key=METADATA, value=strict_json.dumps(said))
    onnx.save(model, path)
