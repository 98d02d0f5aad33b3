"""Judges a trained model: the ensemble beside its members.

    python scripts/evaluate.py --model=runs/digits
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags

from mixmo_tf import data
from mixmo_tf.training import run_directory

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A run's folder, or a .keras file.")
flags.DEFINE_enum("dataset", None, data.NAMES, "The dataset; the run's own if not set.")
flags.DEFINE_enum("split", "test", data.SPLITS, "Which images of it.")
flags.DEFINE_string(
    "data_dir", None, "Folder of tensorflow-datasets; ~/tensorflow_datasets if not set."
)
flags.DEFINE_integer("batch_size", 500, "Images per batch.", lower_bound=1)
flags.DEFINE_string("json", None, "File to write the figures to; none if not set.")
flags.mark_flag_as_required("model")


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"evaluate.py: unknown argument {arguments[1]}; flags start with --")
    try:
        check_folder_of_json()
        model = load_model(pathlib.Path(FLAGS.model))
        run_flags = flags_of_run(pathlib.Path(FLAGS.model))
        dataset = FLAGS.dataset or run_flags.get("--dataset")
        if dataset is None:
            raise ValueError(f"{FLAGS.model} is not in a run's folder: name the --dataset")
        data_dir = FLAGS.data_dir or run_flags.get("--data_dir")
        images, labels, info = data.load_arrays(dataset, FLAGS.split, data_dir)
        if (info.image_shape, info.num_classes) != (model.image_shape, model.num_classes):
            raise ValueError(
                f"the model takes images {model.image_shape} of {model.num_classes} classes; "
                f"{dataset} has {info.image_shape} and {info.num_classes}"
            )
    except (ValueError, OSError) as error:
        sys.exit(f"evaluate.py: {error}")
    results = model.evaluate(
        images, labels, FLAGS.batch_size, verbose=int(sys.stdout.isatty()), return_dict=True
    )
    print_table(model, results, f"{dataset}, {FLAGS.split}: {len(labels):,} images")
    if FLAGS.json:
        pathlib.Path(FLAGS.json).write_text(json.dumps(results, indent=2) + "\n")


def check_folder_of_json():
    folder = pathlib.Path(FLAGS.json or ".").parent
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} for --json")


def load_model(path):
    """The MixMo at `path`, a run's folder or a .keras file, ready to be evaluated."""
    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"there is no model at {file}; scripts/train.py writes one")
    model = run_directory.load_model(file)
    model.compile(metrics=["accuracy"])
    return model


def flags_of_run(path):
    """The flags of the run around the model, by name; none if it is in no run's folder."""
    for folder in (path, path.parent, path.parent.parent):
        if (folder / "run.flags").is_file():
            return run_directory.read_flags(folder)
    return {}


def print_table(model, results, title):
    print(title)
    print(f"  {'ensemble':<12} accuracy {results['accuracy']:.2%}   NLL {results['loss']:.4f}"
          f"   (mean of {model.ensemble})")  # fmt: skip
    for i, tracker in enumerate(model.member_accuracies):
        print(f"  {f'member {i}':<12} accuracy {results[tracker.name]:.2%}")


if __name__ == "__main__":
    app.run(main)
