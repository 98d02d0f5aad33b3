"""An exported model that is one file, opened for predictions."""

import os
import pathlib
import struct
import threading
import warnings

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from mixmo_tf import arguments, class_labels, extras
from mixmo_tf.formats import litert_graphs, onnx, signature
from mixmo_tf.models import file_outputs
from mixmo_tf.paths import expanded


class ModelFile:
    """A file that `MixMo.export` wrote, opened for predictions, by any number of threads.

    A subclass has `kind`, and writes `_open`, path -> names of inputs, names of outputs, the
    shape of an image, and the number of classes; `_said`, the text in its metadata or None; and
    `_run`, one batch and names of outputs -> a list of these.

    Attributes:
        image_shape: (H, W, channels).
        num_classes: int C.
        class_names: C str by label, which the file says itself, or the `class_names.txt` beside
            it; None without.
        description: what the file says that it is, a dict as in `model.json`; {} if it says
            nothing, as those of earlier versions.
        output_names: str, the keys of `outputs`.

    Args:
        file: its path; ~ is the home folder.

    Raises:
        ImportError: unless the packages that read it are installed.
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read, or has another signature.
    """

    kind = "model file"

    def __init__(self, file: str | os.PathLike):
        file = expanded(file)
        if not file.is_file():
            raise FileNotFoundError(f"there is no {self.kind} at {file}")
        try:
            inputs, outputs, shape, num_classes = self._open(str(file))
            said = self._said()
            shape = tuple(shape)
            for size in (*shape, num_classes):
                if not isinstance(size, (int, np.integer)) or size < 1:
                    raise ValueError(
                        f"it takes images {shape} and gives {num_classes} probabilities: not sizes"
                    )
        except ImportError:
            raise
        except Exception as error:  # each library raises its own
            reason = arguments.first_line(error)
            if isinstance(error, struct.error):  # of a LiteRT file's parser
                reason = "it is damaged or cut short"
            raise ValueError(f"{file} is not a readable {self.kind}: {reason}") from error
        if list(inputs) != ["images"] or "probabilities" not in outputs:
            raise ValueError(
                f"{file} is not from MixMo.export: it takes {', '.join(inputs)} and gives "
                f"{', '.join(outputs)}"
            )
        self.image_shape = tuple(map(int, shape))
        self.num_classes = int(num_classes)
        self.description = _parsed(said)
        own_names = _checked_names(self.description.get("classes"), self.num_classes)
        beside = class_labels.mended(signature.description_beside(file)[1])
        self.class_names = own_names or _checked_names(beside, self.num_classes)
        self.output_names = tuple(outputs)

    def predict(
        self, images: arguments.Array, batch_size: int | None = None, verbose: str | int = 0
    ) -> np.ndarray:
        """The ensemble's probabilities.

        Args:
            images: pixels 0–255 (N, H, W, channels), rounded to uint8; N may be 0.
            batch_size: int, images at a time; 32 if None.
            verbose: as Keras' models take; there is nothing to tell.

        Returns:
            float32 (N, C).

        Raises:
            ValueError: if an argument is wrong; see `data.checks.check_pixels`.
        """
        del verbose
        return self._outputs(images, batch_size, ["probabilities"])["probabilities"]

    def predict_members(
        self, images: arguments.Array, batch_size: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ensemble's probabilities, and each member's; the rest is as for `predict`.

        Returns:
            float32 (N, C), and float32 (N, M, C), with M = 0 if the file does not tell them.
        """
        names = {"probabilities", "member_probabilities"} & set(self.output_names)
        found = self._outputs(images, batch_size, sorted(names))
        none = np.zeros((len(found["probabilities"]), 0, self.num_classes), np.float32)
        return found["probabilities"], found.get("member_probabilities", none)

    def member_logits(self, images: arguments.Array) -> np.ndarray:
        """Each member's logits, in one batch: (n, H, W, channels), n >= 1 -> float32 (n, M, C)."""
        return self._outputs(images, max(len(images), 1), ["member_logits"])["member_logits"]

    def outputs(
        self, images: arguments.Array, batch_size: int | None = None
    ) -> dict[str, np.ndarray]:
        """All that the file gives, by name; the rest is as for `predict`.

        Returns:
            dict of arrays with N first: `probabilities`, and what else `description` lists.
        """
        return self._outputs(images, batch_size, self.output_names)

    def _outputs(self, images, batch_size, names):
        """The outputs of these names, all batches together."""

        def answer(batch):
            return dict(zip(names, self._run(batch, names), strict=True))

        return file_outputs.of(answer, images, self.image_shape, batch_size)


class OnnxModel(ModelFile):
    """An ONNX file that `formats.onnx` wrote; it needs the extra `onnx`."""

    kind = "ONNX file"

    def _open(self, path):
        extras.check("onnx", ["onnxruntime"])
        import onnxruntime  # imported here: an extra

        self._session = onnxruntime.InferenceSession(path)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        names = ([tensor.name for tensor in each] for each in (inputs, outputs))
        (probabilities,) = (o for o in outputs if o.name == "probabilities")
        if inputs[0].type != "tensor(uint8)" or isinstance(inputs[0].shape[0], int):
            raise ValueError(
                f"it takes {inputs[0].type} {inputs[0].shape}, not uint8 of any number"
            )
        return *names, inputs[0].shape[1:], probabilities.shape[1]

    def _said(self):
        return self._session.get_modelmeta().custom_metadata_map.get(onnx.METADATA)

    def _run(self, images, names):
        return self._session.run(names, {"images": images})


class LiteRTModel(ModelFile):
    """A LiteRT file that `formats.litert` wrote.

    An interpreter can answer one thread at a time, so each call takes an idle one, or makes
    one: no more than there are processors, and each has memory of its own.
    """

    kind = "LiteRT file"

    def _open(self, path):
        self._content = pathlib.Path(path).read_bytes()  # TensorFlow checks bytes, not files
        _check_operations(self._content)
        self._places = threading.Semaphore(os.cpu_count() or 1)
        interpreter, answer = self._interpreter()
        self._idle = [answer]
        names = interpreter.get_signature_list()["serving_default"]
        num_classes = answer.get_output_details()["probabilities"]["shape"][1]
        shape = interpreter.get_input_details()[0]["shape"][1:]
        return names["inputs"], names["outputs"], shape, num_classes

    def _said(self):
        return litert_graphs.metadata(self._content)

    def _run(self, images, names):
        with self._places:
            try:
                answer = self._idle.pop()
            except IndexError:
                _, answer = self._interpreter()
            answers = answer(images=images)
            self._idle.append(answer)  # one that failed is not used again
        return [answers[name] for name in names]

    def _interpreter(self):
        with warnings.catch_warnings():
            # that it will move to ai_edge_litert; no other, as all threads have the same filters
            warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
            interpreter = tf.lite.Interpreter(model_content=self._content)
        return interpreter, interpreter.get_signature_runner("serving_default")


def _parsed(said):
    """What a file says that it is; {} where that is nothing, or damaged."""
    try:
        return signature.parsed(said)
    except ValueError:
        return {}


def _checked_names(names, num_classes):
    """Names of classes, if they are those of so many; None for none, and for anything else."""
    try:
        return class_labels.check(names, num_classes)
    except ValueError:
        return None


def _check_operations(content):
    """Raises ValueError if a file has an operation that is not LiteRT's own.

    Where TensorFlow's are linked to LiteRT, they could be any of TensorFlow, with its files.
    """
    model = schema.Model.GetRootAs(content)
    for i in range(model.OperatorCodesLength()):
        if name := model.OperatorCodes(i).CustomCode():
            name = name.decode(errors="replace")
            raise ValueError(f"it has the operation {name!r}, which is not LiteRT's own")
