"""Writes a trained model for use without this package, and checks what it wrote.

    python scripts/export.py --model=runs/digits
    python scripts/export.py --model=runs/digits --format=saved_model,onnx,litert

Several models, separated by commas, become one, a deep ensemble. The members are folded into a
plain network with the same outputs, unless --nofold, or --members, which keeps their heads.

The folder is itself the SavedModel; beside it are model.onnx, a model_TYPE.tflite for each
--litert, class_names.txt, and model.json, which says what all of them take and give: uint8
images (n, height, width, channels), and `probabilities` (n, C) of the ensemble,
`member_probabilities` and `member_logits` (n, M, C).
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import export_check
import judged_data
import model_flags
import tensorflow as tf
from absl import app, flags, logging

from mixmo_tf import deployment
from mixmo_tf.deployment import litert

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "format", ["saved_model"], "Formats, with commas: saved_model, onnx (extra onnx), litert."
)
flags.DEFINE_list(
    "litert", list(litert.TYPES), "Types of the LiteRT files' weights: float32, float16, int8."
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
flags.adopt_module_key_flags(model_flags)
flags.adopt_module_key_flags(judged_data)
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
    except KeyboardInterrupt:
        sys.exit("export.py: ended by SIGINT")


def export():
    """Loads, folds, writes and checks."""
    files = model_flags.only_group()
    output = output_folder(files)
    model = model_flags.load_as_one(files)
    images = export_check.Images(files, model) if needs_images() else None
    exported, how = folded(model) if FLAGS.fold else (model, "not folded")
    written = deployment.export(
        exported,
        output,
        FLAGS.format,
        FLAGS.litert,
        images.for_calibration() if needs_calibration() else None,
    )
    height, width, channels = model.image_shape
    named = f"; {len(model.class_names)} class names with it" if model.class_names else ""
    print(f"Wrote {output}, {how}: uint8 images (n, {height}, {width}, {channels}) in{named}.")
    if FLAGS.check_images:
        print(export_check.report(model, written, images))


def output_folder(files):
    """Where to write.

    Raises:
        ValueError: if it is not said, and there are several models.
        FileExistsError: if it is there.
    """
    if len(files) > 1 and not FLAGS.output_dir:
        raise ValueError("several models need an --output_dir")
    beside = files[0] if files[0].is_dir() else files[0].parent
    output = pathlib.Path(FLAGS.output_dir or beside / "exported").expanduser()
    if output.exists() and (output.is_file() or any(output.iterdir())):
        raise FileExistsError(f"{output} exists; choose another --output_dir")
    return output


def folded(model):
    """The model folded, and in words what became of its members."""
    members = FLAGS.members or model.ensemble == "probabilities"
    how = "folded, heads kept" if members else "folded"
    return deployment.fold(model, members, FLAGS.fuse_batch_norm), how


def needs_calibration():
    return "litert" in FLAGS.format and "int8" in FLAGS.litert


def needs_images():
    return FLAGS.check_images > 0 or needs_calibration()


if __name__ == "__main__":
    app.run(main)
