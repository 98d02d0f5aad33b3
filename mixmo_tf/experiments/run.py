"""A training run: started or taken up, trained, evaluated; all that it leaves is in its folder."""

import contextlib
import logging
import os
import pathlib
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mixmo_tf import random_state
from mixmo_tf.distribution import replicas, strategies
from mixmo_tf.evaluation import metrics_json
from mixmo_tf.experiments import (
    announcement,
    directory,
    history_picture,
    process,
    recipe,
    run_flags,
)
from mixmo_tf.experiments.of_flags import check_is
from mixmo_tf.experiments.settings import Settings
from mixmo_tf.models.mixmo import MixMo
from mixmo_tf.training import (
    Progress,
    checkpoints,
    early_stopping,
    fine_tuning,
    history,
    loop,
    signals,
)

_log = logging.getLogger(__name__)


class Run(NamedTuple):
    """A run that is complete."""

    model: MixMo  # trained
    metrics: dict | None  # what metrics.json says; None but on the chief of several workers
    path: pathlib.Path  # its folder, absolute, see `directory`

    def __repr__(self):
        metrics = self.metrics or {}
        measured = [key for key in ("accuracy", "nll") if metrics.get(key) is not None]
        shown = "".join(f", {key}={metrics[key]:.4f}" for key in measured)
        return f"Run(path={str(self.path)!r}{shown})"


def train(settings: Settings) -> Run:
    """Trains a network and evaluates it on the test images.

    A run that was interrupted goes on from its newest checkpoint, one that is complete is only
    read. `Settings.path` says where the run's files go; a relative path is of the working
    directory in which the call begins, whatever `os.chdir` does later.

    What there is to say is logged, with a line for each epoch. Where a person watches, on a
    terminal and in a notebook, `training.Progress` shows the epochs on stdout in place of these
    lines, unless `keras.utils.disable_interactive_logging()` was called.

    Raises:
        ValueError, OSError: if a setting does not fit the images, the devices or the run that is
            there, or a file cannot be read or written; the message is a line.
        NotFiniteError: see `checkpoints.Checkpoints`; the last good checkpoint stays.
        Interrupted: after SIGTERM or Ctrl-C, a KeyboardInterrupt; what was done is saved, and the
            same call goes on from there.
        WorkerLostError: if another worker has ended.
    """
    check_is(settings, Settings)
    if settings.deterministic:
        process.check_deterministic()
    lines, path = settings.lines(), settings.path().absolute()
    settings = settings.in_place()
    strategy = strategies.choose(settings.strategy, signals.by_default)
    with replicas.watch(strategy):
        defining = [os.fsencode(line) for line in run_flags.defining(lines)]
        replicas.check_same(strategy, "flags", defining)
        as_before = _reads_as_before(settings, path, strategy)
        with replicas.chief_first(strategy):
            if replicas.is_chief(strategy):
                recipe.check_folder(settings, path)
            examples = recipe.load_data(settings, as_before)
        fingerprints = (part.fingerprint().encode() for part in examples.values())
        replicas.check_same(strategy, "images", fingerprints)
        recipe.check_sizes(settings, examples["train"].info, strategy)
        with strategy.scope(), random_state.seeded(settings.seed):
            model = recipe.build_model(settings, examples["train"].info)
        with _started(settings, lines, model, examples, path):
            _complete(settings, model, examples, path)
    is_chief = replicas.is_chief(strategy)
    return Run(model, directory.read_metrics(path) if is_chief else None, path)


def _complete(settings, model, examples, path):
    """Does what is left of a run that is started."""
    start_time = time.perf_counter()
    # Keras' AugMix draws from what the whole process has
    seeded = random_state.seeded(settings.seed, alone=False)
    with seeded if settings.augmix else contextlib.nullcontext():
        _fit(settings, model, examples, path)
    seconds = time.perf_counter() - start_time
    replicas.check_same(model.distribute_strategy, "weights", model.state())
    is_saved, is_evaluated = _done_before(model, path)
    if not is_saved:
        checkpoints.save_model(model, path / "model.keras")
    if not is_evaluated:
        _evaluate(settings, model, examples, path)
    if replicas.is_chief(model.distribute_strategy):
        history_picture.draw(path)
        announcement.end(settings, directory.read_metrics(path))
        if not is_saved:
            _log.info("Trained for %.0f s.", seconds)
        saved = "The model is" if is_saved and is_evaluated else "Saved the model as"
        _log.info("%s %s, the metrics %s.", saved, path / "model.keras", path / "metrics.json")


def _reads_as_before(settings, path, strategy):
    """`directory.reads_as_before` of the run, which the chief's machine has."""
    found = np.zeros([], np.int32)
    if replicas.is_chief(strategy):
        found[()] = directory.reads_as_before(path, settings.dataset)
    (found,) = replicas.from_chief(strategy, [found])
    return bool(found)


@contextlib.contextmanager
def _started(settings, lines, model, examples, path):
    """Starts the run in `path` or takes it up; under it, the chief holds the directory's lock."""
    strategy = model.distribute_strategy
    if not replicas.is_chief(strategy):
        _log.info("Training with the chief, which writes %s on its machine.", path)
        model.set_state(replicas.from_chief(strategy, model.state()))
        yield
        return
    if settings.initialize_from and not checkpoints.files(path / "checkpoints"):
        _initialize(model, settings.initialize_from)
    state = model.state()
    defaults = Settings().of_run()
    with directory.start(path, lines, defaults, settings.extend):
        directory.check_dataset(path, examples)
        trained = _newest(path, model)
        steps_done = 0
        if trained:
            state, steps_done = trained.state(), int(trained.step.numpy())
        steps_per_epoch = len(examples["train"]) // settings.batch_size
        epochs_done, steps_left = divmod(steps_done, steps_per_epoch)
        waited = 0 if steps_left else early_stopping.waited(path, epochs_done)
        if settings.extend:
            changes = run_flags.extend(path, lines, defaults, steps_done, steps_per_epoch, waited)
            announcement.extension(settings, changes, steps_done)
        has_ended = early_stopping.has_ended(settings.patience, waited)
        is_done = has_ended or steps_done == settings.epochs * steps_per_epoch
        is_of_before = not is_done and run_flags.take_up(path)
        model.set_state(replicas.from_chief(strategy, state))
        announcement.start(settings, model, examples, path, is_of_before, has_ended)
        yield


def _initialize(model, file):
    """Gives the model the weights of `initialize_from`."""
    try:
        copied_heads = fine_tuning.copy_weights(checkpoints.load_model(file), model)
    except ValueError as error:
        raise ValueError(f"cannot initialize from {file}: {error}") from None
    _log.info("Initialized from %s; its heads are %s.", file, "kept" if copied_heads else "new")


def _newest(path, model):
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


def _fit(settings, model, examples, path):
    """`loop.train` as the settings say; an image that cannot be read is named."""
    validation = announcement.validated_on(examples)
    try:
        loop.train(
            model,
            examples["train"],
            examples[validation],
            path,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            checkpoint_steps=settings.checkpoint_steps,
            keep_best="validation" in examples,
            augmix=settings.augmix,
            patience=settings.patience,
            balanced=settings.class_weight == "balanced",
            verbose=int(process.is_watched()),
        )
    except checkpoints.NotFiniteError as error:
        good = checkpoints.files(path / "checkpoints")
        last = f"the last good checkpoint is {good[-1]}" if good else "there is no checkpoint yet"
        advice = "the same settings lead there again: try a smaller learning_rate, and another "
        raise checkpoints.NotFiniteError(f"{error}; {last}; {advice}output_dir") from None
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.UnknownError) as e:
        if not replicas.is_lost_worker(e):
            for split in ("train", validation):
                examples[split].find_damaged()
        raise


def _evaluate(settings, model, examples, path):
    """Evaluates the trained model on the test images, and writes metrics.json."""
    split = announcement.evaluated_on(examples)
    strategy = model.distribute_strategy
    batches = replicas.distribute(
        strategy, lambda shares: examples[split].batches(loop.EVALUATION_BATCH_SIZE, shares)
    )
    is_chief = replicas.is_chief(strategy)
    watchers = [Progress()] if is_chief and process.is_watched() else []
    results = model.evaluate(batches, verbose=0, callbacks=watchers, return_dict=True)
    between = {}
    if model.num_members > 1:
        counts = model.ratio_error.error_counts()  # of all workers, so all must ask
        both_wrong, one_wrong = (of_pairs.tolist() for of_pairs in counts)
        between = {"both_wrong": both_wrong, "one_wrong": one_wrong}
        between["ratio_error"] = results["ratio_error"]
    if not is_chief:
        return
    more, epochs = {}, int(model.step.numpy()) // (len(examples["train"]) // settings.batch_size)
    if (path / "best.keras").exists():
        epoch, accuracy = history.best_epoch(path)
        more["best"] = {"epoch": epoch, "val_accuracy": accuracy}
    if epochs < settings.epochs:
        more["stopped_early"] = {"of_epochs": settings.epochs, "patience": settings.patience}
    content = metrics_json.described(
        {
            "accuracy": results["accuracy"],
            "nll": results["loss"],
            "member_accuracy": [results[tracker.name] for tracker in model.member_accuracies],
            **between,
        },
        dataset=settings.dataset,
        split=split,
        examples=len(examples[split]),
        ensemble=settings.ensemble,
        libraries=directory.versions(),
        parameters=announcement.count_parameters(model),
        epochs=epochs,
        steps=int(model.step.numpy()),
        **more,
    )
    metrics_json.write_metrics(path / "metrics.json", content, replace=True)


def _done_before(model, path):
    """Whether model.keras is the trained model's already, and whether metrics.json is; ints."""
    found = np.zeros(2, np.int32)
    if replicas.is_chief(model.distribute_strategy):
        is_saved = checkpoints.holds(path / "model.keras", model)
        of_run = directory.read_metrics(path) or {}
        is_whole = directory.are_metrics(of_run) and "split" in of_run
        is_of_now = of_run.get("steps") == int(model.step.numpy()) and directory.is_finished(path)
        is_evaluated = is_whole and is_of_now
        found[:] = is_saved, is_saved and is_evaluated
    (found,) = replicas.from_chief(model.distribute_strategy, [found])
    return found.tolist()
