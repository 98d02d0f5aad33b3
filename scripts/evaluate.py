"""Judges a trained model: the ensemble beside its members.

    python scripts/evaluate.py --model=runs/digits

Several models, separated by commas, are judged as one deep ensemble, beside each of them.
With --output_dir that is kept: model.keras, which evaluate.py and export.py take like any
other, metrics.json, and in run.flags the dataset.
"""

import json
import os
import pathlib
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import model_flags
import tensorflow as tf
from absl import app, flags, logging

from mixmo_tf import data
from mixmo_tf.training import checkpoints, run_directory

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", None, f"{', '.join(data.NAMES)}; the run's own if not set.")
flags.DEFINE_enum(
    "split",
    None,
    data.SPLITS,
    "Which images of it; if not set, the test images, or else those held out, or else all.",
)
flags.DEFINE_string(
    "data_dir", None, "Folder of tensorflow-datasets; ~/tensorflow_datasets if not set."
)
flags.DEFINE_integer("batch_size", 500, "Images per batch.", lower_bound=1)
flags.DEFINE_string("json", None, "File to write the figures to; none if not set.")
flags.DEFINE_string(
    "output_dir", None, "New folder to keep the model and its figures in; none if not set."
)
flags.adopt_module_key_flags(model_flags)


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"evaluate.py: unknown argument {arguments[1]}; flags start with --")
    logging.set_verbosity(logging.WARNING)
    try:
        check_outputs()
        model = model_flags.load()
        model.compile(metrics=["accuracy"])
        examples, described = load_data(model)
        results = evaluate(model, examples)
        dataset, split = described["--dataset"], described["--split"]
        print_table(model, results, f"{dataset}, {split}: {len(examples):,} images")
        if FLAGS.json:
            pathlib.Path(FLAGS.json).expanduser().write_text(json.dumps(results, indent=2) + "\n")
        if FLAGS.output_dir:
            keep(model, results, described, len(examples))
    except (ValueError, OSError) as error:
        sys.exit(f"evaluate.py: {error}")
    except KeyboardInterrupt:
        sys.exit("evaluate.py: ended by SIGINT")


def check_outputs():
    """Raises OSError where the results could not be written."""
    if FLAGS.json:
        file = pathlib.Path(FLAGS.json).expanduser()
        if not file.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {file.parent} for --json")
        if file.is_dir():
            raise IsADirectoryError(f"{file} is a folder; name a file for --json")
    if FLAGS.output_dir:
        output = pathlib.Path(FLAGS.output_dir).expanduser()
        if output.exists():
            raise FileExistsError(f"{output} exists; choose another --output_dir")
        output.parent.mkdir(parents=True, exist_ok=True)


def load_data(model):
    """The Examples to judge the model on, and the flags that describe them, by name."""
    run_flags = flags_of_runs()
    dataset = FLAGS.dataset or run_flags.get("--dataset")
    if dataset is None:
        raise ValueError(f"{FLAGS.model[0]} is not in a run's folder: name the --dataset")
    dataset = data.full_name(dataset)
    options = {}
    if dataset == run_flags.get("--dataset"):  # the same images held out, of the same size
        for name in ("validation_examples", "image_size"):
            if f"--{name}" in run_flags:
                options[name] = int(run_flags[f"--{name}"])
    elif data.takes_image_size(dataset) and model.image_shape[0] == model.image_shape[1]:
        options["image_size"] = model.image_shape[0]
    data_dir = FLAGS.data_dir or run_flags.get("--data_dir")
    split = FLAGS.split or default_split(dataset, options)
    examples = data.load_examples(dataset, split, data_dir, **options)
    info = examples.info
    if (info.image_shape, info.num_classes) != (model.image_shape, model.num_classes):
        raise ValueError(
            f"the model takes images {model.image_shape} of {model.num_classes} classes; "
            f"{dataset} has {info.image_shape} and {info.num_classes}"
        )
    for ours, theirs in zip(model.class_names or info.class_names, info.class_names):
        if ours != theirs:
            raise ValueError(f"{dataset} has the class {theirs} where the model has {ours}")
    described = {"--dataset": dataset, "--split": split, "--data_dir": data_dir}
    return examples, described | {f"--{name}": value for name, value in options.items()}


def default_split(dataset, options):
    """The test images; else those held out; else all that the folder has."""
    if data.has_test_split(dataset):
        return "test"
    return "validation" if options.get("validation_examples") else "train"


def evaluate(model, examples):
    """The figures by name; an image that cannot be read is named."""
    try:
        batches = examples.batches(FLAGS.batch_size)
        return model.evaluate(batches, verbose=int(sys.stdout.isatty()), return_dict=True)
    except tf.errors.OpError:
        examples.find_damaged()
        raise


def flags_of_runs():
    """The flags of the runs around the models, by name; none if they are in no run's folder.

    Raises:
        ValueError: if the runs were trained on other images than each other.
    """
    first, *others = [flags_of_run(file) for file in model_flags.files()]
    what = ["--dataset", "--image_size"]
    has_test = "--dataset" in first and data.has_test_split(first["--dataset"])
    if (FLAGS.split or "test") != "test" or not has_test:
        what.append("--validation_examples")
    for file, other in zip(FLAGS.model[1:], others):
        for name in what if first and other and not FLAGS.dataset else ():
            there, here = first.get(name), other.get(name)
            if there != here:
                raise ValueError(
                    f"the runs have other images: {name} is {there} in {FLAGS.model[0]}, "
                    f"{here} in {file}; name the --dataset and --split to judge them on"
                )
    return first


def flags_of_run(path):
    """The flags of the run around the model, by name; none if it is in no run's folder."""
    for folder in (path, path.parent, path.parent.parent):
        if (folder / "run.flags").is_file():
            return run_directory.read_flags(folder)
    return {}


def print_table(model, results, title):
    several = len(FLAGS.model) > 1
    names = FLAGS.model if several else [f"member {i}" for i in range(model.num_members)]
    width = max(map(len, [*names, "diversity"])) + 2
    print(title)
    print(f"  {'ensemble':<{width}} accuracy {results['accuracy']:.2%}   NLL {results['loss']:.4f}"
          f"   (mean of {model.ensemble})")  # fmt: skip
    for name, tracker in zip(names, model.member_accuracies):
        print(f"  {name:<{width}} accuracy {results[tracker.name]:.2%}")
    if "ratio_error" in results:
        print(f"  {'diversity':<{width}} ratio-error {results['ratio_error']:.3f}")


def keep(model, results, described, num_examples):
    """Writes the model, its figures and the dataset's flags to --output_dir, all at once."""
    output = pathlib.Path(FLAGS.output_dir).expanduser()
    partial = output.with_name(f"partial-{output.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        write_run(partial, model, results, described, num_examples)
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(f"Saved the model and its figures in {output}.")


def write_run(partial, model, results, described, num_examples):
    """What `keep` keeps, into the folder `partial`."""
    flag_lines = [f"{name}={value}" for name, value in described.items() if value is not None]
    comments = [f"# of {file}" for file in FLAGS.model]
    (partial / "run.flags").write_text("\n".join([*comments, *flag_lines]) + "\n")
    checkpoints.save_model(model, partial / "model.keras")
    figures = {
        "dataset": described["--dataset"],
        "split": described["--split"],
        "examples": num_examples,
        "ensemble": model.ensemble,
        "models": FLAGS.model,
        **results,
        "libraries": run_directory.versions(),
    }
    run_directory.write_metrics(partial, figures)


if __name__ == "__main__":
    app.run(main)
