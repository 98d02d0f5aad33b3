"""Writes a trained model as a SavedModel, which needs TensorFlow alone.

    python scripts/export.py --model=runs/digits

Several models, separated by commas, become one SavedModel, a deep ensemble.

It takes uint8 images (n, height, width, channels) and gives `probabilities` (n, C) of the
ensemble and `member_probabilities` (n, M, C); class_names.txt in its folder names the C classes.
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
    source = model_flags.files()[0]
    folder = source if source.is_dir() else source.parent
    output = pathlib.Path(FLAGS.output_dir or folder / "saved_model").expanduser()
    try:
        if len(FLAGS.model) > 1 and not FLAGS.output_dir:
            raise ValueError("several models need an --output_dir for their SavedModel")
        model = model_flags.load()
        model.export(output)
    except (ValueError, OSError) as error:
        sys.exit(f"export.py: {error}")
    height, width, channels = model.image_shape
    named = f"; {len(model.class_names)} class names with it" if model.class_names else ""
    print(f"Wrote {output}: uint8 images (n, {height}, {width}, {channels}) in{named}.")


if __name__ == "__main__":
    app.run(main)
