"""What is said about a run when it begins and when it is done: logged, a line at a time."""

import logging
import math
import pathlib

import keras
import tensorflow as tf

from mixmo_tf import data
from mixmo_tf.distribution import replicas
from mixmo_tf.evaluation import metrics
from mixmo_tf.experiments import run_flags
from mixmo_tf.experiments.settings import Settings
from mixmo_tf.models.mixmo import MixMo

_log = logging.getLogger(__name__)


def start(
    settings: Settings,
    model: MixMo,
    examples: dict[str, data.Examples | data.Records],
    path: pathlib.Path,
    is_of_before: bool,
    has_ended: bool = False,
) -> None:
    """Says what will be trained, and what of it is already done; by an earlier version or not.

    Or, with `has_ended`, that it ended early.
    """
    info = examples["train"].info
    steps = info.num_examples // settings.batch_size
    strategy = model.distribute_strategy
    _say_what(settings, model, examples)
    device = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    xla = "on" if model.uses_xla else "off"
    workers = replicas.num_workers(strategy)
    several = f" of {workers} workers" if workers > 1 else ""
    count = f"{strategy.num_replicas_in_sync} {device}{several}"
    _log.info("  devices         %s; %s; XLA %s", count, settings.precision, xla)
    _log.info("  output          %s", path)
    epochs_done, steps_done = divmod(int(model.step.numpy()), steps)
    is_done = has_ended or epochs_done == settings.epochs
    before, now = run_flags.threads_before(path), run_flags.threads()
    if device == "CPU" and before not in (None, now) and not is_done:
        _log.warning(
            "%s was begun with %d threads and continues with %d: its weights will not equal, bit "
            "for bit, those of a run that was never interrupted",
            path, before, now,
        )  # fmt: skip
    if not (epochs_done or steps_done):
        return
    if is_of_before:
        _log.info(
            "%s was begun by an earlier version, which served the images in another order. It "
            "continues in today's order; from the next epoch on, it is the order of a run that was "
            "never interrupted.",
            path,
        )
    what = "nothing is left to train" if is_done else "going on from there"
    and_steps = f", and {steps_done} steps of the next" if steps_done else ""
    and_steps += " and ended early" if has_ended and epochs_done < settings.epochs else ""
    _log.info(
        "%s holds %d of %d epochs%s; %s.", path, epochs_done, settings.epochs, and_steps, what
    )


def extension(settings: Settings, changes: dict[str, tuple[str, str]], steps_done: int) -> None:
    """Says what changes in a run that is extended; `changes` as `run_flags.extend` gives them."""
    said = []
    if "--epochs" in changes:
        before, now = changes["--epochs"]
        said.append(f"the run has {now} epochs, not {before}: p(t) falls to 0 at their end")
        if settings.unmixing == "fade":
            said.append("unmixing fades over their first third")
        if settings.schedule == "cosine":
            said.append("the rate is that of a cosine over all of them, which may raise it now")
    if "--milestones" in changes:
        before, now = (milestones or "none" for milestones in changes["--milestones"])
        said.append(f"the rate falls at the milestones {now}, not {before}")
    differs = bool(said) and steps_done > 0
    if "--patience" in changes:
        before, now = changes["--patience"]
        said.append(f"patience is {now}, not {before}")
        differs |= steps_done > 0 and not run_flags.is_longer("--patience", before, now)
    if said:
        _log.info("Extended at step %d. From here on %s.", steps_done, ", and ".join(said))
    if differs:
        _log.info("The result will differ from that of a run that had these flags from the start.")


def end(settings: Settings, of_run: dict) -> None:
    """Says how good the model is; `of_run` is what metrics.json says."""
    members = [f"{accuracy:.2%}" for accuracy in of_run["member_accuracy"]]
    _log.info("On the %s images of %s:", of_run["split"], settings.dataset)
    ensemble = f"{of_run['accuracy']:.2%}  (mean of {settings.ensemble})"
    _log.info("  ensemble accuracy  %s", ensemble)
    _log.info("  members' accuracy  %s", ", ".join(members))
    if "ratio_error" in of_run:
        shown = metrics.written("ratio_error", of_run["ratio_error"])
        why = of_run.get("undefined", {}).get("ratio_error")
        _log.info("  ratio-error        %s%s", shown, f" ({why})" if why else "")
    if "best" in of_run:
        accuracy, epoch = f"{of_run['best']['val_accuracy']:.2%}", of_run["best"]["epoch"]
        _log.info("  best.keras         %s on held-out images, after epoch %d", accuracy, epoch)
    if "stopped_early" in of_run:
        last, epochs = of_run["epochs"], of_run["stopped_early"]["of_epochs"]
        _log.info("  model.keras        ended early, after epoch %d of %d", last, epochs)


def validated_on(examples: dict[str, data.Examples | data.Records]) -> str:
    """The split that each epoch is validated on."""
    return "validation" if "validation" in examples else "test"


def evaluated_on(examples: dict[str, data.Examples | data.Records]) -> str:
    """The split that the final metrics are for."""
    return "test" if "test" in examples else "validation"


def count_parameters(model: keras.Model) -> int:
    """Trainable parameters."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def doubts(settings: Settings, total_steps: int) -> list[str]:
    """What the settings probably do not mean, in a run of so many steps; a line for each."""
    found = []
    if settings.warmup_steps >= total_steps:
        found.append(
            f"the learning rate rises for {settings.warmup_steps} steps, --warmup_steps, but "
            f"the run has only {total_steps}: it never reaches --learning_rate"
        )
    milestones = settings.milestones if settings.schedule == "steps" else ()
    if milestones and min(milestones) > settings.epochs:
        listed = ", ".join(map(str, milestones))
        found.append(
            f"the learning rate falls at the epochs {listed}, --milestones, but the run "
            f"has only {settings.epochs}: it never falls"
        )
    reach = round(1 / (1 - settings.ema_momentum))
    if settings.ema_momentum and reach >= total_steps:
        found.append(
            f"the averages of the weights reach back over {reach} steps, 1 / (1 - ema_momentum), "
            f"but the run has only {total_steps}: they still contain much of the initial weights"
        )
    return found


def _say_what(settings, model, examples):
    info = examples["train"].info
    steps = info.num_examples // settings.batch_size
    where = "on disk" if examples["train"].on_disk else "in memory"
    members = f"{model.num_members} members"
    _log.info("Training %s with %s on %s", model.network.name, members, settings.dataset)
    _log.info("  parameters      %s", f"{count_parameters(model):,}")
    shape = "×".join(map(str, info.image_shape))
    _log.info("  training images %s of %s, %s", f"{info.num_examples:,}", shape, where)
    when = "after each epoch" + (", to choose best.keras" if "validation" in examples else "")
    validation, test = validated_on(examples), evaluated_on(examples)
    _log.info("  validated on    %s, %s", _described(settings, examples, validation), when)
    _log.info("  tested on       %s, at the end", _described(settings, examples, test))
    more = ", …" if info.num_classes > 5 else ""
    names = ", ".join(name.split(",")[0] for name in info.class_names[:5])  # without synonyms
    _log.info("  classes         %d: %s%s", info.num_classes, names, more)
    if settings.class_weight == "balanced":
        _log.info("  class weights   balanced, in the loss of training")
    rows = settings.batch_size * settings.batch_repetitions
    repeated = f"{settings.batch_size} images, each {settings.batch_repetitions} times"
    _log.info("  rows per step   %d: %s", rows, repeated)
    total, epochs = settings.epochs * steps, "epochs" if settings.epochs > 1 else "epoch"
    _log.info(
        "  steps           %s: %d %s of %s", f"{total:,}", settings.epochs, epochs, f"{steps:,}"
    )
    if settings.patience:
        _log.info("  early stopping  after %d epochs without a higher accuracy", settings.patience)
    if core := _of_core(settings):
        _log.info("  core            %s", core)
    for each in doubts(settings, total):
        _log.warning("%s", each)


def _of_core(settings):
    """How the core is trained otherwise than encoders and heads; "" if it is not."""
    factor, epochs = settings.core_learning_rate_factor, settings.freeze_epochs
    if factor == 0 or epochs >= settings.epochs:
        return "frozen throughout"
    frozen = f"frozen before epoch {epochs + 1}" if epochs else ""
    scaled = f"updates ×{factor:g}" if factor != 1 else ""
    return ", then ".join(filter(None, [frozen, scaled]))


def _described(settings, examples, split):
    """How many images a split has, and in which folder, where they are a user's own."""
    folder = pathlib.Path(examples[split].location).name
    where = f" in {folder}" if data.is_folder(settings.dataset) else ""
    return f"{len(examples[split]):,} {split} images{where}"
