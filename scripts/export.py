"""Writes a trained model as a SavedModel, which needs TensorFlow alone.

    python scripts/export.py --model=runs/digits

Several models, separated by commas, become one SavedModel, a deep ensemble.

It takes uint8 images (n, height, width, channels) and gives `probabilities` (n, C) of the
ensemble, `member_probabilities` and `member_logits` (n, M, C); class_names.txt in its folder
names the C classes.
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import model_flags
import tensorflow as tf
from absl import app, flags, logging

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "output_dir", None, "Folder of the SavedModel; saved_model beside a single model if not set."
)
flags.adopt_module_key_flags(model_flags)


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"export.py: unknown argument {arguments[1]}; flags start with --")
    logging.set_verbosity(logging.WARNING)
    tf.get_logger().setLevel("WARNING")
    try:
        files = model_flags.only_group()
        folder = files[0] if files[0].is_dir() else files[0].parent
        output = pathlib.Path(FLAGS.output_dir or folder / "saved_model").expanduser()
        if len(files) > 1 and not FLAGS.output_dir:
            raise ValueError("several models need an --output_dir for their SavedModel")
        model = model_flags.load_as_one(files)
        model.export(output)
    except (ValueError, OSError) as error:
        sys.exit(f"export.py: {error}")
    height, width, channels = model.image_shape
    named = f"; {len(model.class_names)} class names with it" if model.class_names else ""
    print(f"Wrote {output}: uint8 images (n, {height}, {width}, {channels}) in{named}.")


if __name__ == "__main__":
    app.run(main)
