"""What every exported model takes and gives, whatever its format, and the files beside it."""

import datetime
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from mixmo_tf import arguments, strict_json, version
from mixmo_tf.data import encoded
from mixmo_tf.evaluation.decision import Decision
from mixmo_tf.formats import decision_outputs
from mixmo_tf.networks.precision import computes_in_float32

CLASS_NAMES = "class_names.txt"
DESCRIPTION = "model.json"
OF_BYTES = "serving_bytes"  # the signature that takes files' bytes
BYTES = tf.TensorSpec((None,), tf.string, name="image_bytes")  # TF Serving: _bytes are base64
_MOST_BYTES = 2**24
_OF_BYTES = {
    "dtype": "string",
    "shape": ["n"],
    "meaning": "the bytes of JPEG or PNG files, of any size where height and width are equal: "
    "turned as EXIF says, on white where transparent, the central square scaled",
}
_COLOURS = {1: "grey", 3: "RGB"}  # by the number of channels
_RESIZE = (
    "as mixmo_tf.data.read_images: turned as EXIF says, on white where transparent, the middle "
    "central_fraction of the shorter side as a square, bilinear with antialiasing, rounded"
)


class Served(keras.Model):
    """A trained model as it is served.

    It takes `images`, pixels 0–255, uint8 (n, H, W, channels), and gives a dict:
    `probabilities`, float32 (n, C), of the ensemble, and `member_probabilities` and
    `member_logits`, float32 (n, M, C). Normalisation is inside. Images of another shape are an
    error, which names the right one.

    Args:
        model: Predictor, that is a MixMo, FoldedModel or DeepEnsemble.
        takes_none: bool, whether the graph looks after n = 0 itself; what that needs cannot be
            converted to ONNX, which does without it, nor to LiteRT.
        decision: Decision, for further outputs, those of `decision_outputs`.
    """

    def __init__(
        self, model: keras.Model, takes_none: bool = True, decision: Decision | None = None
    ):
        super().__init__()
        self.model, self.decision = model, decision
        self.member_logits = model.member_logits if takes_none else model.logits_of_some
        self.built = True

    def call(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        # a graph does not look at what it gets, and a wrong rank may end TensorFlow's process
        images = tf.ensure_shape(images, (None, *self.model.image_shape))
        member_logits = self.member_logits(images)
        logits = self.model.ensemble_logits(member_logits)
        outputs = {
            "probabilities": tf.nn.softmax(logits),
            "member_probabilities": tf.nn.softmax(member_logits),
            "member_logits": member_logits,
        }
        if self.decision:
            outputs |= decision_outputs.decide(logits, member_logits, self.decision)
        return outputs

    def answer_bytes(self, image_bytes: tf.Tensor, central_fraction: float) -> dict[str, tf.Tensor]:
        """What `call` gives for the images in the bytes of files, str (n,), JPEG or PNG.

        They are read as `data.read_images` reads them, with this `central_fraction`.
        """
        image_bytes = tf.ensure_shape(image_bytes, BYTES.shape)
        return self.call(encoded.pixels(image_bytes, self.model.image_shape, central_fraction))

    @property
    def networks(self) -> list[keras.Model]:
        """Those of the model."""
        return self.model.networks

    @property
    def input_signature(self) -> list[tf.TensorSpec]:
        """The arguments of `call`, a list of tf.TensorSpec."""
        return [tf.TensorSpec((None, *self.model.image_shape), tf.uint8, name="images")]


def check_precision(kind: str, model: keras.Model) -> None:
    """Raises ValueError unless the model's networks compute in float32."""
    if not all(map(computes_in_float32, model.networks)):
        raise ValueError(
            f"{kind} is for networks that compute in float32; set their precision to float32"
        )


def write_description(
    model: keras.Model,
    folder: pathlib.Path,
    requests: dict[str, str],
    takes_bytes: bool = False,
    central_fraction: float = 1.0,
    decision: Decision | None = None,
    of_files: Mapping[str, Decision] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Writes `model.json`, what is taken and given, and `class_names.txt`, a line per class.

    Args:
        model: Predictor. Without class names there is no `class_names.txt`.
        requests: by format, what its file does with requests.
        takes_bytes: whether the SavedModel has the signature `OF_BYTES`.
        central_fraction: float in (0, 1], what of image files the model is to be given, see
            `data.read_images`.
        decision: the one that is in the files, if any is.
        of_files: by name, those of files that have one of their own.
        facts: see `described`.
    """
    said = described(model, facts, decision)
    said |= {"requests": requests, "central_fraction": central_fraction}
    if of_files:
        said["decision"]["of_files"] = {name: each._asdict() for name, each in of_files.items()}
    if takes_bytes:
        said["inputs_of_" + OF_BYTES] = {BYTES.name: _OF_BYTES}
    (folder / DESCRIPTION).write_text(strict_json.dumps(said))
    if model.class_names:
        lines = "".join(f"{name}\n" for name in model.class_names)
        (folder / CLASS_NAMES).write_text(lines, encoding="utf-8")


def described(
    model: keras.Model,
    facts: Mapping[str, Any] | None = None,
    decision: Decision | None = None,
    alone: bool = False,
) -> dict:
    """What a file with the signature of `Served` is, a dict for programs and for people.

    Args:
        facts: what else is known of the model, such as its run; what is a dict there and here is
            joined.
        decision: the one that is in the file, if any is.
        alone: whether this goes into the file itself, which may be without others beside it.
    """
    said = _described(model, decision)
    for name, value in (facts or {}).items():
        said[name] = said[name] | value if isinstance(said.get(name), dict) else value
    if alone:
        del said["class_names"]
    return said


def read_description(folder: pathlib.Path) -> tuple[dict, tuple[str, ...] | None]:
    """What `write_description` wrote.

    Returns:
        dict of model.json, and a tuple of C str, or None.

    Raises:
        ValueError: if one of the files is larger than any description is.
    """
    for name in (DESCRIPTION, CLASS_NAMES):
        if (folder / name).is_file() and (folder / name).stat().st_size > _MOST_BYTES:
            raise ValueError(f"{name} is larger than {_MOST_BYTES:,} bytes")
    names = folder / CLASS_NAMES
    class_names = None
    if names.is_file():
        class_names = tuple(names.read_bytes().decode().split("\n")[:-1])  # as it was written
    return parsed((folder / DESCRIPTION).read_text()), class_names


def description_beside(file: pathlib.Path) -> tuple[dict, tuple[str, ...] | None]:
    """What `write_description` wrote beside a file; nothing where it is not there, or damaged."""
    try:
        there = (file.parent / DESCRIPTION).is_file()
        return read_description(file.parent) if there else ({}, None)
    except (ValueError, OSError):
        return {}, None


def central_fraction(folder: pathlib.Path) -> float:
    """How much of the shorter side of a file's image a model is to be given, as its folder says.

    It is 1.0 where the folder says nothing.

    Raises:
        ValueError: if what it says is no fraction.
    """
    if not (folder / DESCRIPTION).is_file():
        return 1.0
    found = read_description(folder)[0].get("central_fraction", 1.0)
    arguments.within("central_fraction", found, 0, 1)
    return found


def parsed(text: str | None) -> dict:
    """What `described` gave, from its JSON; {} for None.

    Raises:
        ValueError: if it is something else.
    """
    try:
        said = json.loads(text or "{}")
    except RecursionError:
        raise ValueError("its description is nested too deeply") from None
    if not isinstance(said, dict):
        raise ValueError(f"its description is a {type(said).__name__}, not a dict")
    return said


def _described(model, decision):
    members = ["n", model.num_members, model.num_classes]
    meanings = {
        "probabilities": "of the ensemble, for each class",
        "member_probabilities": "of each member",
        "member_logits": "of each member, before the softmax",
    }
    shapes = dict.fromkeys(meanings, members) | {"probabilities": ["n", model.num_classes]}
    outputs = {
        name: {"dtype": "float32", "shape": shapes[name], "meaning": meaning}
        for name, meaning in meanings.items()
    }
    for name, each in decision_outputs.of_model(model.num_members).items() if decision else ():
        shape = ["n", model.num_classes] if each.is_per_class else ["n"]
        outputs[name] = {"dtype": each.dtype, "shape": shape, "meaning": each.meaning}
    images = {
        "dtype": "uint8",
        "shape": ["n", *model.image_shape],
        "meaning": "height, width, channels; pixels 0 to 255, not normalised",
        "range": [0, 255],
        "colours": _COLOURS.get(model.image_shape[2]),
        "resize": _RESIZE,
    }
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "inputs": {"images": images},
        "outputs": outputs,
        "image_shape": model.image_shape,
        "ensemble": model.ensemble,
        "class_names": CLASS_NAMES if model.class_names else None,
        "classes": model.class_names,
        "written_by": {"mixmo_tf": version.VERSION, "commit": version.commit()},
        "date": now.isoformat(timespec="seconds"),
        **({"decision": decision._asdict()} if decision else {}),
    }
