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

import tensorflow as tf
from absl import app, flags, logging

from mixmo_tf import deep_ensemble

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "model", None, "A run's folder or a .keras file; several, with commas, make a deep ensemble."
)
flags.DEFINE_string(
    "output_dir", None, "Folder of the SavedModel; saved_model beside a single model if not set."
)
flags.mark_flag_as_required("model")


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"export.py: unknown argument {arguments[1]}; flags start with --")
    logging.set_verbosity(logging.WARNING)
    tf.get_logger().setLevel("WARNING")
    source = pathlib.Path(FLAGS.model[0])
    folder = source if source.is_dir() else source.parent
    output = pathlib.Path(FLAGS.output_dir or folder / "saved_model")
    try:
        if len(FLAGS.model) > 1 and not FLAGS.output_dir:
            raise ValueError("several models need an --output_dir for their SavedModel")
        model = deep_ensemble.load(FLAGS.model)
        model.export(output)
    except (ValueError, OSError) as error:
        sys.exit(f"export.py: {error}")
    height, width, channels = model.image_shape
    named = f"; {len(model.class_names)} class names with it" if model.class_names else ""
    print(f"Wrote {output}: uint8 images (n, {height}, {width}, {channels}) in{named}.")


if __name__ == "__main__":
    app.run(main)
