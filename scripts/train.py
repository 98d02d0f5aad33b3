"""Trains a network, as its flags say, and judges it on the test images.

    python scripts/train.py --flagfile=configs/digits.flags

A flag that comes after --flagfile overrides it. A run that was interrupted goes on from its
newest checkpoint when the same command is given again. SIGTERM and Ctrl-C write a checkpoint
and end the run with exit code 75. What a run leaves in --output_dir:
mixmo_tf/experiments/directory.py.
"""

import contextlib
import math
import os
import pathlib
import sys
import time

import ending

if __name__ == "__main__":
    ending.exit_at_once()  # on SIGTERM and Ctrl-C, before TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import train_flags
from absl import flags, logging

import mixmo_tf
from mixmo_tf.data import image_folder
from mixmo_tf.distribution import replicas, strategies
from mixmo_tf.evaluation import metrics, metrics_json
from mixmo_tf.experiments import directory, run_flags
from mixmo_tf.training import checkpoints, fine_tuning, history, loop, signals

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(train_flags)


def main(arguments):
    if len(arguments) > 1:
        sys.exit(f"train.py: unknown argument {arguments[1]}; flags start with --")
    logging.set_verbosity(logging.WARNING)
    tf.get_logger().setLevel("ERROR")
    try:
        run()
    except (ValueError, OSError, checkpoints.NotFiniteError) as error:
        sys.exit(f"train.py: {error}")
    except signals.Interrupted as signal:
        print(f"train.py: ended by {signal}; the same command goes on from there", file=sys.stderr)
        sys.exit(signals.EXIT_CODE)
    except replicas.WorkerLostError as error:
        signals.exit_now(f"train.py: {error}; give all workers the same command again")
    except tf.errors.OpError as error:
        reason = error.message.split("\n")[0]
        signals.exit_now(f"train.py: TensorFlow fails: {reason}", exit_code=1)


def run():
    """Loads the data, starts the run or takes it up, trains, and judges the result."""
    train_flags.settings()  # says what is wrong whatever the images are
    keras.utils.set_random_seed(FLAGS.seed)
    if FLAGS.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = strategies.choose(FLAGS.strategy, signals.by_default)
    with replicas.watch(strategy):
        lines = run_flags.deciding(train_flags.lines())
        replicas.check_same(strategy, "flags", [os.fsencode(line) for line in lines])
        as_before = reads_as_before(strategy)
        with replicas.chief_first(strategy):
            if replicas.is_chief(strategy):
                check_output_dir(train_flags.output_dir())
            examples = train_flags.load_data(as_before)
        fingerprints = (part.fingerprint().encode() for part in examples.values())
        replicas.check_same(strategy, "images", fingerprints)
        check_sizes(examples["train"].info, strategy)
        with strategy.scope():
            model = train_flags.build_model(examples["train"].info)
        path = train_flags.output_dir()
        with started(path, model, examples, strategy):
            start_time = time.perf_counter()
            train(model, examples, path)
            seconds = time.perf_counter() - start_time
            replicas.check_same(strategy, "weights", model.state())
            is_saved, is_judged = done_before(model, path)
            if not is_saved:
                checkpoints.save_model(model, path / "model.keras")
            if not is_judged:
                judge(model, examples, path)
    if replicas.is_chief(strategy):
        show(path)
        print(f"Trained for {seconds:.0f} s.")
        saved = "The model is" if is_saved and is_judged else "Saved the model as"
        print(f"{saved} {path / 'model.keras'}, the figures {path / 'metrics.json'}.")


def check_output_dir(path):
    """Raises ValueError where the run's folder would be taken for a class of its own images."""
    dataset = train_flags.dataset()
    if mixmo_tf.data.is_folder(dataset) and image_folder.would_be_class(dataset, path):
        raise ValueError(
            f"{path} would lie among the folders of {dataset}, and be a class of it from then on; "
            "choose another --output_dir"
        )


def reads_as_before(strategy):
    """`directory.reads_as_before` of the run, which the chief's machine has."""
    found = np.zeros([], np.int32)
    if replicas.is_chief(strategy):
        dataset = train_flags.dataset()
        found[()] = directory.reads_as_before(train_flags.output_dir(), dataset)
    (found,) = replicas.from_chief(strategy, [found])
    return bool(found)


@contextlib.contextmanager
def started(path, model, examples, strategy):
    """Starts the run in `path` or takes it up; under it, the chief holds the directory's lock."""
    is_chief = replicas.is_chief(strategy)
    if is_chief and FLAGS.initialize_from and not checkpoints.files(path / "checkpoints"):
        initialize(model, FLAGS.initialize_from)
    state = model.state()
    lines, defaults = train_flags.lines(), train_flags.default_values()
    with (
        directory.start(path, lines, defaults, FLAGS.extend)
        if is_chief
        else contextlib.nullcontext()
    ):
        if is_chief:
            directory.check_dataset(path, examples)
            trained = newest(path, model)
            steps_done = 0
            if trained:
                state, steps_done = trained.state(), int(trained.step.numpy())
            steps_per_epoch = len(examples["train"]) // FLAGS.batch_size
            if FLAGS.extend:
                extend(path, lines, defaults, steps_done, steps_per_epoch)
            is_done = steps_done == FLAGS.epochs * steps_per_epoch
            is_of_before = not is_done and run_flags.take_up(path)
        else:
            print(f"Training with the chief, which writes {path} on its machine.", flush=True)
        model.set_state(replicas.from_chief(strategy, state))
        if is_chief:
            announce(model, examples, strategy, path, is_of_before)
        yield


def newest(path, model):
    """The newest checkpoint below `path`, a MixMo; None if there is none."""
    trained = checkpoints.load_newest(path / "checkpoints")
    if trained is None:
        directory.check_is_new(path)
        return None
    try:
        fine_tuning.check_same_network(trained, model)
    except ValueError as error:
        raise ValueError(f"cannot go on from {path / 'checkpoints'}: {error}") from None
    return trained


def extend(path, flag_lines, default_values, steps_done, steps_per_epoch):
    """Gives the run in `path` the epochs and milestones of the flags, and says what changes."""
    changes = run_flags.extend(path, flag_lines, default_values, steps_done, steps_per_epoch)
    said = []
    if "--epochs" in changes:
        before, now = changes["--epochs"]
        said.append(f"the run has {now} epochs, not {before}: p(t) falls to 0 at their end")
    if "--milestones" in changes:
        before, now = (milestones or "none" for milestones in changes["--milestones"])
        said.append(f"the rate falls at the milestones {now}, not {before}")
    if said:
        print(f"Extended at step {steps_done}. From here on {', and '.join(said)}.")
    if said and steps_done:
        print("It will not be what these flags would have made from the start.")


def train(model, examples, path):
    """`loop.train` as the flags say; an image that cannot be read is named."""
    validation = validated_on(examples)
    try:
        loop.train(
            model,
            examples["train"],
            examples[validation],
            path,
            epochs=FLAGS.epochs,
            batch_size=FLAGS.batch_size,
            checkpoint_steps=FLAGS.checkpoint_steps,
            keep_best="validation" in examples,
            augmix=FLAGS.augmix,
            verbose=1 if sys.stdout.isatty() else 2,
        )
    except checkpoints.NotFiniteError as error:
        good = checkpoints.files(path / "checkpoints")
        last = f"the last good checkpoint is {good[-1]}" if good else "there is no checkpoint yet"
        raise checkpoints.NotFiniteError(f"{error}; {last}") from None
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.UnknownError) as e:
        if not replicas.is_lost_worker(e):
            for split in ("train", validation):
                examples[split].find_damaged()
        raise


def judge(model, examples, path):
    """Judges the trained model on the test images, and writes the figures."""
    split = judged_on(examples)
    strategy = model.distribute_strategy
    batches = replicas.distribute(
        strategy, lambda shares: examples[split].batches(loop.EVALUATION_BATCH_SIZE, shares)
    )
    is_chief = replicas.is_chief(strategy)
    verbose = int(is_chief and sys.stdout.isatty())
    results = model.evaluate(batches, verbose=verbose, return_dict=True)
    between = {}
    if model.num_members > 1:
        counts = model.ratio_error.error_counts()  # of all workers, so all must ask
        both_wrong, one_wrong = (of_pairs.tolist() for of_pairs in counts)
        between = {"both_wrong": both_wrong, "one_wrong": one_wrong}
        between["ratio_error"] = results["ratio_error"]
    if not is_chief:
        return
    best = {}
    if (path / "best.keras").exists():
        epoch, accuracy = history.best_epoch(path)
        best["best"] = {"epoch": epoch, "val_accuracy": accuracy}
    content = metrics_json.described(
        {
            "accuracy": results["accuracy"],
            "nll": results["loss"],
            "member_accuracy": [results[tracker.name] for tracker in model.member_accuracies],
            **between,
        },
        dataset=train_flags.dataset(),
        split=split,
        examples=len(examples[split]),
        ensemble=FLAGS.ensemble,
        libraries=directory.versions(),
        parameters=count_parameters(model),
        epochs=FLAGS.epochs,
        steps=int(model.step.numpy()),
        **best,
    )
    metrics_json.write_metrics(path / "metrics.json", content, replace=True)


def done_before(model, path):
    """Whether model.keras is the trained model's already, and whether metrics.json is; ints."""
    found = np.zeros(2, np.int32)
    if replicas.is_chief(model.distribute_strategy):
        is_saved = checkpoints.holds(path / "model.keras", model)
        figures = directory.read_metrics(path) or {}
        is_whole = directory.are_figures(figures)
        steps = figures.get("steps")
        is_judged = is_whole and "split" in figures and steps == int(model.step.numpy())
        found[:] = is_saved, is_saved and is_judged
    (found,) = replicas.from_chief(model.distribute_strategy, [found])
    return found.tolist()


def show(path):
    """Prints the figures of the run."""
    figures = directory.read_metrics(path)
    members = [f"{accuracy:.2%}" for accuracy in figures["member_accuracy"]]
    print(f"On the {figures['split']} images of {FLAGS.dataset}:")
    print(f"  ensemble accuracy  {figures['accuracy']:.2%}  (mean of {FLAGS.ensemble})")
    print(f"  members' accuracy  {', '.join(members)}")
    if "ratio_error" in figures:
        shown = metrics.written("ratio_error", figures["ratio_error"])
        why = figures.get("undefined", {}).get("ratio_error")
        print(f"  ratio-error        {shown}{f' ({why})' if why else ''}")
    if "best" in figures:
        epoch, accuracy = figures["best"]["epoch"], figures["best"]["val_accuracy"]
        print(f"  best.keras         {accuracy:.2%} on held-out images, after epoch {epoch}")


def check_sizes(info, strategy):
    """Raises ValueError where the flags do not fit the dataset or the devices."""
    mixmo_tf.arguments.at_least("epochs", FLAGS.epochs, 1)
    if FLAGS.checkpoint_steps is not None:
        mixmo_tf.arguments.at_least("checkpoint_steps", FLAGS.checkpoint_steps, 1)
    if not 1 <= FLAGS.batch_size <= info.num_examples:
        raise ValueError(
            f"batch_size must be in [1, {info.num_examples}], the number of training images, "
            f"got {FLAGS.batch_size}"
        )
    replicas = strategy.num_replicas_in_sync
    if FLAGS.batch_size % replicas:
        raise ValueError(
            f"batch_size must be a multiple of the {replicas} replicas, got {FLAGS.batch_size}; "
            "change it, or take --strategy=one_device"
        )
    if FLAGS.msda != "none" and FLAGS.batch_size < 2 * replicas:
        raise ValueError(
            f"batch_size must be >= {2 * replicas} for --msda, which mixes images of one step, "
            f"got {FLAGS.batch_size}"
        )


def initialize(model, file):
    """Gives the model the weights of --initialize_from."""
    try:
        copied_heads = fine_tuning.copy_weights(checkpoints.load_model(file), model)
    except ValueError as error:
        raise ValueError(f"cannot initialize from {file}: {error}") from None
    print(f"Initialized from {file}; its heads are {'kept' if copied_heads else 'new'}.")


def announce(model, examples, strategy, path, is_of_before):
    """Says what will be trained, and what of it is already done; by an earlier version or not."""
    info = examples["train"].info
    steps = info.num_examples // FLAGS.batch_size
    rows = FLAGS.batch_size * FLAGS.batch_repetitions
    device = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    where = "on disk" if examples["train"].on_disk else "in memory"
    print(f"Training {model.network.name} with {model.num_members} members on {FLAGS.dataset}")
    print(f"  parameters      {count_parameters(model):,}")
    shape = "×".join(map(str, info.image_shape))
    print(f"  training images {info.num_examples:,} of {shape}, {where}")
    when = "after each epoch" + (", to choose best.keras" if "validation" in examples else "")
    print(f"  validated on    {described(examples, validated_on(examples))}, {when}")
    print(f"  tested on       {described(examples, judged_on(examples))}, at the end")
    more = ", …" if info.num_classes > 5 else ""
    names = ", ".join(name.split(",")[0] for name in info.class_names[:5])  # without synonyms
    print(f"  classes         {info.num_classes}: {names}{more}")
    repeated = f"{FLAGS.batch_size} images, each {FLAGS.batch_repetitions} times"
    print(f"  rows per step   {rows}: {repeated}")
    print(f"  steps           {FLAGS.epochs * steps:,}: {FLAGS.epochs} epochs of {steps:,}")
    xla = "on" if model.uses_xla else "off"
    workers = replicas.num_workers(strategy)
    several = f" of {workers} workers" if workers > 1 else ""
    print(
        f"  devices         {strategy.num_replicas_in_sync} {device}{several}; "
        f"{FLAGS.precision}; XLA {xla}"
    )
    print(f"  output          {path}", flush=True)
    is_done = int(model.step.numpy()) == FLAGS.epochs * steps
    before, now = run_flags.threads_before(path), run_flags.threads()
    if device == "CPU" and before not in (None, now) and not is_done:
        print(
            f"train.py: {path} was begun with {before} threads and goes on with {now}: the weights "
            "will not be, bit for bit, those of a run that was never interrupted",
            file=sys.stderr,
        )
    epochs_done, steps_done = divmod(int(model.step.numpy()), steps)
    if (epochs_done or steps_done) and is_of_before:
        print(
            f"{path} was begun by an earlier version, which served the images in another order. It "
            "goes on in today's: from the next epoch on, that of a run that was never interrupted."
        )
    if epochs_done or steps_done:
        what = "nothing is left to train" if epochs_done == FLAGS.epochs else "going on from there"
        and_steps = f" and {steps_done} steps" if steps_done else ""
        print(
            f"{path} holds {epochs_done}{and_steps} of {FLAGS.epochs} epochs; {what}.", flush=True
        )


def validated_on(examples):
    """The split that each epoch is validated on."""
    return "validation" if "validation" in examples else "test"


def judged_on(examples):
    """The split that the final figures are for."""
    return "test" if "test" in examples else "validation"


def described(examples, split):
    """How many images a split has, and in which folder, where they are a user's own."""
    folder = pathlib.Path(examples[split].location).name
    where = f" in {folder}" if mixmo_tf.data.is_folder(FLAGS.dataset) else ""
    return f"{len(examples[split]):,} {split} images{where}"


def count_parameters(model):
    """Trainable parameters."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


if __name__ == "__main__":
    ending.run(main, clears_up=False)
