"""Writes a trained model for use without this package, and checks what it wrote.

    python scripts/export.py --model=runs/digits
    python scripts/export.py --model=runs/digits --format=saved_model,onnx,litert

Several models, separated by commas, become one, a deep ensemble. The members are folded into a
plain network with the same outputs, unless --nofold, or --members, which keeps their heads.

The folder is itself the SavedModel; beside it are model.onnx, a model_DTYPE.tflite for each
--litert, class_names.txt, and model.json, which says what all of them take and give: uint8
images (n, height, width, channels), and `probabilities` (n, C) of the ensemble,
`member_probabilities` and `member_logits` (n, M, C).
"""

import os
import sys

import ending

if __name__ == "__main__":
    ending.exit_at_once()  # on SIGTERM and Ctrl-C, before TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import export_check
import tensorflow as tf
from absl import flags, logging

from mixmo_tf import DeepEnsemble, deployment
from mixmo_tf.experiments import images as images_of
from mixmo_tf.experiments import models as models_of
from mixmo_tf.formats import litert
from mixmo_tf.outputs import new_folder

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "format", ["saved_model"], "Formats, with commas: saved_model, onnx (extra onnx), litert."
)
flags.DEFINE_list(
    "litert", list(litert.DTYPES), "Weights of the LiteRT files: float32, float16, int8."
)
flags.DEFINE_string(
    "output_dir", None, "New folder to write; exported beside a single model if not set."
)
flags.DEFINE_boolean("fold", True, "Fold the members into a plain network with the same outputs.")
flags.DEFINE_boolean(
    "members", False, "Keep the members' heads, and so each member's prediction, when folding."
)
flags.DEFINE_boolean(
    "fuse_batch_norm", False, "Fold batch norm into the convolution before it, when folding."
)
flags.adopt_module_key_flags(models_of)
flags.adopt_module_key_flags(images_of)
flags.adopt_module_key_flags(export_check)


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"export.py: unknown argument {arguments[1]}; flags start with --")
    logging.set_verbosity(logging.WARNING)
    tf.get_logger().setLevel("ERROR")
    try:
        export()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"export.py: {error}")


def export():
    """Loads, folds, writes and checks."""
    files = models_of.only_group()
    output = output_folder(files)
    if not FLAGS.fold and (FLAGS.members or FLAGS.fuse_batch_norm):
        raise ValueError("--members and --fuse_batch_norm say how to fold, --nofold not to")
    model = models_of.load_as_one(files)
    images = export_check.find_images(files, model) if needs_images() else None
    exported = folded(model) if FLAGS.fold else model
    calibration = export_check.for_calibration(images) if needs_calibration() else None
    written = deployment.export(exported, output, FLAGS.format, FLAGS.litert, calibration)
    height, width, channels = model.image_shape
    named = f"; {len(model.class_names)} class names with it" if model.class_names else ""
    takes = f"uint8 images (n, {height}, {width}, {channels}) in{named}"
    print(f"Wrote {output}, {how_folded(exported)}: {takes}.")
    if FLAGS.check_images:
        print(export_check.report(model, written, images))


def output_folder(files):
    """Where to write.

    Raises:
        ValueError: if it is not said, and there are several models.
        FileExistsError: if there is anything.
    """
    if len(files) > 1 and not FLAGS.output_dir:
        raise ValueError("several models need an --output_dir")
    beside = files[0] if files[0].is_dir() else files[0].parent
    return new_folder(FLAGS.output_dir or beside / "exported")


def folded(model):
    """The model folded; heads are kept where probabilities are averaged."""
    if isinstance(model, DeepEnsemble):
        return DeepEnsemble([folded(each) for each in model.models], ensemble=model.ensemble)
    kept = FLAGS.members or model.ensemble == "probabilities"
    return deployment.fold(model, kept, FLAGS.fuse_batch_norm)


def how_folded(exported):
    """What became of the members, for the user."""
    if not FLAGS.fold:
        return "not folded"
    kept = any(network.output.shape[1] > 1 for network in exported.networks)
    return "folded, heads kept" if kept else "folded"


def needs_calibration():
    return "litert" in FLAGS.format and "int8" in FLAGS.litert


def needs_images():
    return FLAGS.check_images > 0 or needs_calibration()


if __name__ == "__main__":
    ending.run(main)
