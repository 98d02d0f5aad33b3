"""SavedModel of a trained model: uint8 images in, probabilities out, TensorFlow alone needed."""

import json
import pathlib
import shutil

import tensorflow as tf

CLASS_NAMES = "class_names.txt"
DESCRIPTION = "model.json"


def export(model, path):
    """Writes the SavedModel's folder, in it `class_names.txt`, a line per class, if known.

    Its signature `serving_default` takes `images`, uint8 (n, H, W, channels) for any n, and
    gives `probabilities`, float32 (n, C), of the ensemble, and `member_probabilities` and
    `member_logits`, float32 (n, M, C). Normalisation is inside. `model.json` says what
    `ExportedModel` must know.

    Args:
        model: MixMo or DeepEnsemble.
        path: folder that is created; it must not exist, or be empty.

    Raises:
        FileExistsError: if there are files at `path`.
        OSError: if it cannot be written; nothing is left there.
    """
    path = pathlib.Path(path).expanduser()
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise FileExistsError(f"{path} exists; choose another folder for the SavedModel")
    images = tf.TensorSpec((None, *model.image_shape), tf.uint8, name="images")

    @tf.function(input_signature=[images])
    def probabilities(images):
        member_logits = model.member_logits(images)
        return {
            "probabilities": tf.nn.softmax(model.ensemble_logits(member_logits)),
            "member_probabilities": tf.nn.softmax(member_logits),
            "member_logits": member_logits,
        }

    module = tf.Module()  # keras.export.ExportArchive would write every weight twice
    module.weights = [v.value for network in model.networks for v in network.variables]
    partial = path.with_name(f"partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tf.saved_model.save(module, partial, signatures=probabilities)
        description = {"image_shape": model.image_shape, "ensemble": model.ensemble}
        (partial / DESCRIPTION).write_text(json.dumps(description) + "\n")
        if model.class_names:
            lines = "".join(f"{name}\n" for name in model.class_names)
            (partial / CLASS_NAMES).write_text(lines, encoding="utf-8")
        partial.replace(path)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", error)
        raise OSError(f"cannot write {path}: {reason}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def is_saved_model(path):
    """Whether there is a SavedModel's folder at `path`."""
    return (pathlib.Path(path).expanduser() / "saved_model.pb").is_file()


class ExportedModel:
    """A SavedModel that `export` wrote, to be judged like the model it is from.

    Attributes:
        num_members: int M.
        num_classes: int C.
        image_shape: (H, W, channels).
        ensemble: "logits" or "probabilities", what is averaged over the members.
        class_names: tuple of C str, or None.

    Args:
        path: its folder; ~ is the home folder.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read, or `export` has not written it.
    """

    def __init__(self, path):
        path = pathlib.Path(path).expanduser()
        if not is_saved_model(path):
            raise FileNotFoundError(f"there is no SavedModel at {path}")
        if not (path / DESCRIPTION).is_file():
            raise ValueError(f"{path} has no {DESCRIPTION}: it is not from MixMo.export")
        try:
            description = json.loads((path / DESCRIPTION).read_text())
            self._module = tf.saved_model.load(path)
            self._signature = self._module.signatures["serving_default"]
            self.image_shape = tuple(description["image_shape"])
            self.ensemble = description["ensemble"]
            shape = self._signature.structured_outputs["member_logits"].shape
        except Exception as error:  # whatever a damaged file makes TensorFlow raise
            reason = str(error).split("\n")[0] or type(error).__name__
            raise ValueError(f"{path} is no readable SavedModel: {reason}") from error
        _, self.num_members, self.num_classes = shape
        names = path / CLASS_NAMES
        self.class_names = None
        if names.is_file():
            self.class_names = tuple(names.read_text(encoding="utf-8").split("\n")[:-1])

    def member_logits(self, images):
        """Pixels, uint8 (n, H, W, channels) -> float32 (n, M, C)."""
        return self._signature(images=images)["member_logits"]
