"""LiteRT files (once TensorFlow Lite), for phones and small devices."""

import os
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mixmo_tf import arguments, strict_json
from mixmo_tf.evaluation.decision import Decision
from mixmo_tf.formats import decision_outputs, litert_graphs, saved_model, signature
from mixmo_tf.formats.signature import Served, check_precision
from mixmo_tf.outputs import atomically, new_file

DTYPES = ("float32", "float16", "int8")
_OPTIONS = "calibration_images", "decision", "refit", "facts"  # of `write`, beside the dtype
REQUESTS = (
    "n >= 1; images of another shape or dtype are an error; an interpreter answers one thread at a "
    "time, and others silently wrong"
)


def files(litert_dtypes: Sequence[str], **options: Any) -> dict[str, dict]:
    """The files in an export's folder by name, one for each dtype, and the options of `write`."""
    shared = {name: options[name] for name in _OPTIONS if name in options}
    return {f"model_{dtype}.tflite": {"dtype": dtype, **shared} for dtype in litert_dtypes}


def check(
    model: keras.Model,
    litert_dtypes: Sequence[str],
    calibration_images: np.ndarray | None,
    **_: Any,
) -> None:
    """Raises ValueError unless `write` can do its work, for each of the dtypes."""
    for dtype in litert_dtypes or [None]:
        arguments.one_of("a LiteRT file's dtype", dtype, DTYPES)
    check_precision("a LiteRT file", model)
    if "int8" not in litert_dtypes:
        return
    if calibration_images is None:
        raise ValueError("a LiteRT file in int8 needs calibration images")
    shape, dtype = np.shape(calibration_images), np.asarray(calibration_images).dtype
    if dtype != np.uint8 or shape[1:] != model.image_shape or not shape[0]:
        sizes = ", ".join(map(str, model.image_shape))
        raise ValueError(f"calibration images must be uint8 (n, {sizes}), got {dtype} {shape}")


def write(
    model: keras.Model,
    file: str | os.PathLike,
    dtype: str = "float32",
    calibration_images: np.ndarray | None = None,
    decision: Decision | None = None,
    refit: Callable[[pathlib.Path], Decision] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Writes a model as a LiteRT file, which takes and gives what `Served` does, for n >= 1.

    Args:
        model: Predictor whose networks compute in float32.
        file: path of the new file.
        dtype: of the weights: "float32"; "float16", half the size; or "int8", a quarter, with
            integer arithmetic, probabilities in steps of 1/256, and some accuracy lost.
        calibration_images: uint8 (N, H, W, channels), for "int8" alone: a hundred real images
            or more, whose activations set the integers' scales.
        decision: Decision, for the outputs of `decision_outputs`; they are in float32 whatever
            the dtype.
        refit: function that gives the Decision of int8, whose logits are its own, from the path
            of the same file without one.
        facts: what else the file's metadata are to say, see `signature.described`.

    Raises:
        FileExistsError, FileNotFoundError: if there is a file, or no folder for it.
        OSError: if it cannot be written; nothing is left.
        ValueError: if an argument is wrong, a network computes in 16 bits, or LiteRT lacks one
            of its operations.
    """
    check(model, [dtype], calibration_images)
    with atomically(new_file(file)) as path:
        content = _converted(_Guarded(model, takes_none=False), dtype, calibration_images)
        if decision and refit and dtype == "int8":
            path.write_bytes(content)
            decision = refit(path)
        if decision:
            behind = _converted(_Decides(model, decision))
            content = litert_graphs.joined(content, behind, "member_logits")
        said = signature.described(model, facts, decision, alone=True)
        path.write_bytes(litert_graphs.with_metadata(content, strict_json.dumps(said)))


class _Guarded(Served):
    """`Served` for LiteRT, whose interpreter gives its input whatever shape a request has.

    Its kernels would compute with most of them. But a concatenation is refused where any size
    or the rank differs, so images are put behind a black one, which is taken away again.
    """

    def call(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        black = tf.zeros((1, *self.model.image_shape), images.dtype)
        return super().call(tf.concat([black, images], axis=0)[1:])


class _Decides(keras.Model):
    """The decision alone, from the members' logits."""

    networks = ()

    def __init__(self, model, decision):
        super().__init__()
        self.shape = None, model.num_members, model.num_classes
        self.ensemble_logits, self.decision = model.ensemble_logits, decision
        self.built = True

    def call(self, member_logits: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = self.ensemble_logits(member_logits)
        return decision_outputs.decide(logits, member_logits, self.decision)

    @property
    def input_signature(self) -> list[tf.TensorSpec]:
        """The argument of `call`, a list of tf.TensorSpec."""
        return [tf.TensorSpec(self.shape, tf.float32, name="member_logits")]


def _converted(served, dtype="float32", calibration_images=None):
    """The bytes of the LiteRT file of a `Served`, or `_Decides`."""
    with tempfile.TemporaryDirectory() as folder:
        saved_model.write_served(served, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if dtype != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if dtype == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if dtype == "int8":
            converter.representative_dataset = lambda: ([i[None]] for i in calibration_images)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        try:
            return converter.convert()
        except Exception as error:  # whatever an operation that LiteRT lacks makes it raise
            reason = arguments.first_line(error)
            raise ValueError(f"LiteRT cannot express the model: {reason}") from error
