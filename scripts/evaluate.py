"""Judges trained models: accuracy, calibration, diversity; the ensemble beside its members.

    python scripts/evaluate.py --model=runs/digits
    python scripts/evaluate.py --model=runs/a,runs/b            one deep ensemble of two
    python scripts/evaluate.py --model=runs/a --model=runs/b    a table, a line each

A model is a run's folder, a .keras file or a SavedModel of export.py. Runs that differ in
their seed alone get a line more, mean ± standard deviation. With --output_dir the figures are
kept in metrics.json, the members' logits with the labels in predictions.npz, and, unless a
SavedModel was judged, model.keras, which evaluate.py and export.py take like any other; of
several --model, each in a folder of its own, 0, 1, ….
"""

import os
import sys

import ending

if __name__ == "__main__":
    ending.exit_at_once()  # on SIGTERM and Ctrl-C, before TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


import tensorflow as tf
from absl import flags, logging

from mixmo_tf.experiments import evaluate as evaluations
from mixmo_tf.experiments import images as images_of
from mixmo_tf.experiments import models as models_of
from mixmo_tf.experiments import tables
from mixmo_tf.paths import expanded

FLAGS = flags.FLAGS
flags.DEFINE_string("json", None, "File to write the figures to; none if not set.")
flags.DEFINE_string(
    "output_dir", None, "New folder to keep figures, predictions and the model in; none if not set."
)
flags.adopt_module_key_flags(models_of)
flags.adopt_module_key_flags(images_of)
flags.adopt_module_key_flags(evaluations)


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"evaluate.py: unknown argument {arguments[1]}; flags start with --")
    logging.set_verbosity(logging.WARNING)
    tf.get_logger().setLevel("ERROR")
    try:
        replaces_json = check_outputs()
        judged = evaluations.judge_all(models_of.groups())
        print(tables.of_several(judged) if len(judged) > 1 else tables.of_one(judged[0]))
        if FLAGS.json:
            evaluations.write_json(judged, expanded(FLAGS.json), replaces_json)
        if FLAGS.output_dir:
            output = expanded(FLAGS.output_dir)
            evaluations.keep(judged, output)
            print(f"Saved the figures in {output}.")
    except (ValueError, OSError) as error:
        sys.exit(f"evaluate.py: {error}")


def check_outputs():
    """Whether --json takes the place of figures that are there.

    Raises:
        OSError: where the results could not be written.
    """
    if FLAGS.output_dir:
        output = expanded(FLAGS.output_dir)
        if output.exists():
            raise FileExistsError(f"{output} exists; choose another --output_dir")
        output.parent.mkdir(parents=True, exist_ok=True)
    return bool(FLAGS.json) and evaluations.check_json(expanded(FLAGS.json))


if __name__ == "__main__":
    ending.run(main)
