"""SavedModel of a trained model: uint8 images in, probabilities out, TensorFlow alone needed."""

import pathlib
import shutil

import tensorflow as tf

CLASS_NAMES = "class_names.txt"


def export(model, path):
    """Writes the SavedModel's folder, in it `class_names.txt`, a line per class, if known.

    Its signature `serving_default` takes `images`, uint8 (n, H, W, channels) for any n, and
    gives `probabilities`, float32 (n, C), of the ensemble, and `member_probabilities`,
    float32 (n, M, C). Normalisation is inside.

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
        }

    module = tf.Module()  # keras.export.ExportArchive would write every weight twice
    module.weights = [v.value for network in model.networks for v in network.variables]
    partial = path.with_name(f"partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tf.saved_model.save(module, partial, signatures=probabilities)
        if model.class_names:
            lines = "".join(f"{name}\n" for name in model.class_names)
            (partial / CLASS_NAMES).write_text(lines, encoding="utf-8")
        partial.replace(path)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", error)
        raise OSError(f"cannot write {path}: {reason}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
