"""Trains a network, as its flags say, and judges it on the test images.

    python scripts/train.py --flagfile=configs/digits.flags

A flag that comes after --flagfile overrides it. A run that was interrupted goes on from its
newest checkpoint when the same command is given again. What a run leaves in --output_dir:
mixmo_tf/training/run_directory.py.
"""

import math
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf
import train_flags
from absl import app, flags

import mixmo_tf
from mixmo_tf import data
from mixmo_tf.data import stream
from mixmo_tf.training import run_directory

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(train_flags)

EVALUATION_BATCH_SIZE = 500


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"train.py: unknown argument {arguments[1]}; flags start with --")
    try:
        mixmo_tf.arguments.within("seed", FLAGS.seed, 0, 2**31 - 1)
        keras.utils.set_random_seed(FLAGS.seed)
        train_images, train_labels, info = data.load_arrays(FLAGS.dataset, "train", FLAGS.data_dir)
        test_images, test_labels, _ = data.load_arrays(FLAGS.dataset, "test", FLAGS.data_dir)
        strategy = choose_strategy()
        check_sizes(info, strategy)
        with strategy.scope():
            model = train_flags.build_model(info)
            path, lock = run_directory.start(
                FLAGS.output_dir or f"runs/{FLAGS.dataset}", flag_lines()
            )
            model = run_directory.newest_checkpoint(path) or model
    except (ValueError, OSError) as error:
        sys.exit(f"train.py: {error}")

    epochs_done = int(model.step.numpy()) // (info.num_examples // FLAGS.batch_size)
    announce(model, info, strategy, path, epochs_done)
    run_directory.cut_history(path, epochs_done)
    start = time.perf_counter()
    history = model.fit(
        train_images,
        train_labels,
        batch_size=FLAGS.batch_size,
        epochs=FLAGS.epochs,
        initial_epoch=epochs_done,
        validation_data=(test_images, test_labels),
        validation_batch_size=EVALUATION_BATCH_SIZE,
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            keras.callbacks.CSVLogger(path / "history.csv", append=epochs_done > 0),
            run_directory.Checkpoints(path / "checkpoints"),
            keras.callbacks.TerminateOnNaN(),
        ],
    )
    seconds = time.perf_counter() - start
    if not all(math.isfinite(loss) for loss in history.history.get("loss", [])):
        sys.exit(
            f"train.py: the loss became NaN or infinite by step {int(model.step.numpy())}; "
            f"the last good checkpoint is in {path / 'checkpoints'}"
        )
    run_directory.save_model(model, path / "model.keras")
    results = model.evaluate(
        test_images, test_labels, EVALUATION_BATCH_SIZE, verbose=0, return_dict=True
    )
    run_directory.write_metrics(
        path,
        {
            "dataset": FLAGS.dataset,
            "split": "test",
            "examples": len(test_labels),
            "ensemble": FLAGS.ensemble,
            **results,
            "parameters": count_parameters(model),
            "steps": int(model.step.numpy()),
            "libraries": run_directory.versions(),
        },
    )
    lock.close()
    report(model, results, path, seconds)


def report(model, results, path, seconds):
    """Says what came out, and where it is."""
    members = [f"{results[tracker.name]:.2%}" for tracker in model.member_accuracies]
    print(f"Trained for {seconds:.0f} s. On the test images of {FLAGS.dataset}:")
    print(f"  ensemble accuracy  {results['accuracy']:.2%}  (mean of {FLAGS.ensemble})")
    print(f"  members' accuracy  {', '.join(members)}")
    print(f"Saved the model as {path / 'model.keras'}, the figures as {path / 'metrics.json'}.")


def choose_strategy():
    """All GPUs where there are several; else TensorFlow's default device."""
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def check_sizes(info, strategy):
    """Raises ValueError where the flags do not fit the dataset or the devices."""
    mixmo_tf.arguments.at_least("epochs", FLAGS.epochs, 1)
    if not 1 <= FLAGS.batch_size <= info.num_examples:
        raise ValueError(
            f"batch_size must be in [1, {info.num_examples}], the number of training images, "
            f"got {FLAGS.batch_size}"
        )
    stream.check_shares(FLAGS.batch_size, strategy.num_replicas_in_sync)


def announce(model, info, strategy, path, epochs_done):
    """Says what will be trained."""
    steps = info.num_examples // FLAGS.batch_size
    rows = FLAGS.batch_size * FLAGS.batch_repetitions
    device = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    images = f"{FLAGS.batch_size} images, each {FLAGS.batch_repetitions} times"
    print(f"Training {model.network.name} with {model.num_members} members on {FLAGS.dataset}")
    print(f"  parameters      {count_parameters(model):,}")
    shape = "×".join(map(str, info.image_shape))
    print(f"  training images {info.num_examples:,} of {shape}, {info.num_classes} classes")
    print(f"  rows per step   {rows}: {images}")
    print(f"  steps           {FLAGS.epochs * steps:,}: {FLAGS.epochs} epochs of {steps:,}")
    xla = "on" if model.uses_xla else "off"
    print(f"  devices         {strategy.num_replicas_in_sync} {device}; XLA {xla}")
    print(f"  output          {path}", flush=True)
    if epochs_done:
        what = "nothing is left to train" if epochs_done == FLAGS.epochs else "going on from there"
        print(f"{path} holds {epochs_done} of {FLAGS.epochs} epochs; {what}.", flush=True)


def count_parameters(model):
    """Trainable parameters."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def flag_lines():
    """Every flag of the run, as the lines of a flagfile."""
    defined = FLAGS.get_flags_for_module(train_flags)
    return sorted(flag.serialize() for flag in defined if flag.value is not None)


if __name__ == "__main__":
    app.run(main)
