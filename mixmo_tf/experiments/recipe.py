"""What settings describe: the images, the network, the compiled model."""

import inspect
import pathlib

import keras
import tensorflow as tf

from mixmo_tf import data, networks
from mixmo_tf.data import image_folder
from mixmo_tf.experiments import network_plan, pretrained
from mixmo_tf.experiments.settings import Settings
from mixmo_tf.models.mixmo import MixMo
from mixmo_tf.networks import applications, size
from mixmo_tf.probability import AnnealedProbability
from mixmo_tf.training import WarmupCosine, WarmupMultiStep
from mixmo_tf.unmixing import UnmixingFade


def load_data(
    settings: Settings, as_before: bool = False
) -> dict[str, data.Examples | data.Records]:
    """The data.Examples by split: train, validation, test, if there.

    For `as_before` see `directory.reads_as_before`.

    Raises:
        ValueError, OSError: see `data.load_splits`; or if nothing is there to validate on, or to
            have patience with.
    """
    examples = data.load_splits(
        data.full_name(settings.dataset),
        settings.data_dir,
        settings.validation_examples,
        settings.image_size,
        as_before,
    )
    if len(examples) == 1:
        what = "folder" if data.is_folder(settings.dataset) else "images"
        raise ValueError(
            f"{data.full_name(settings.dataset)} has no val or test {what}: set "
            "--validation_examples, the number of training images to hold out"
        )
    if settings.patience and "validation" not in examples:
        raise ValueError(
            f"patience={settings.patience} needs held-out images, by whose accuracy training ends: "
            "set --validation_examples, the number of training images to hold out"
        )
    if sum(part.num_bytes for part in examples.values()) <= settings.memory_gib * 2**30:
        examples = {split: part.in_memory() for split, part in examples.items()}
    return examples


def check_folder(settings: Settings, path: pathlib.Path) -> None:
    """Raises ValueError where the run's folder would be taken for a class of its own images."""
    dataset = data.full_name(settings.dataset)
    if data.is_folder(dataset) and image_folder.would_be_class(dataset, path):
        raise ValueError(
            f"{path} would lie among the folders of {dataset}, and be a class of it from then on; "
            "choose another --output_dir"
        )


def check_sizes(settings: Settings, info: data.Info, strategy: tf.distribute.Strategy) -> None:
    """Raises ValueError where the settings do not fit the training images or the devices."""
    if not 1 <= settings.batch_size <= info.num_examples:
        raise ValueError(
            f"batch_size must be in [1, {info.num_examples}], the number of training images, "
            f"got {settings.batch_size}"
        )
    replicas = strategy.num_replicas_in_sync
    if settings.batch_size % replicas:
        raise ValueError(
            f"batch_size must be a multiple of the {replicas} replicas, got "
            f"{settings.batch_size}; change it, or take --strategy=one_device"
        )
    if settings.msda != "none" and settings.batch_size < 2 * replicas:
        raise ValueError(
            f"batch_size must be >= {2 * replicas} for --msda, which mixes images of one step, "
            f"got {settings.batch_size}"
        )


def build_network(settings: Settings, info: data.Info) -> keras.Model:
    """The network, for the images and classes of `info`, a data.Info."""
    return _finished(settings, _plan(settings, info).build())


def _finished(settings, network):
    networks.set_precision(network, settings.precision)
    if settings.sync_batch_norm:
        networks.synchronize_batch_norm(network)
    return network


def build_model(settings: Settings, info: data.Info) -> MixMo:
    """The compiled MixMo, for a training split `info`; its weights follow Keras' random seed.

    Raises:
        ValueError: where a setting is out of its bounds, or a step cannot fit into memory.
    """
    planned = _plan(settings, info)
    _check_memory(settings, info, planned)
    steps_per_epoch = max(info.num_examples // max(settings.batch_size, 1), 1)
    total_steps = settings.epochs * steps_per_epoch
    probability = AnnealedProbability(settings.mixing_probability, total_steps)
    method = _of_method(settings) | {"mixing_probability": probability}
    if settings.unmixing == "fade":
        method["unmixing"] = UnmixingFade(total_steps)
    network = _finished(settings, planned.build())
    mean, std = info.mean, info.std
    if applications.is_backbone(settings.network):
        mean, std = pretrained.mean_and_std(settings, network, mean, std)
    model = MixMo(network, **method, mean=mean, std=std, class_names=info.class_names)
    model.compile(
        build_optimizer(settings, steps_per_epoch),
        metrics=["accuracy"],
        steps_per_execution=settings.steps_per_execution,
        jit_compile={"auto": "auto", "true": True, "false": False}[settings.jit_compile],
        freeze_steps=settings.freeze_epochs * steps_per_epoch,
        core_learning_rate_factor=settings.core_learning_rate_factor,
    )
    return model


def build_optimizer(settings: Settings, steps_per_epoch: int) -> keras.optimizers.SGD:
    """SGD with Nesterov momentum, the schedule of the settings and, if they say so, averages."""
    rate = settings.learning_rate, settings.warmup_steps
    if settings.schedule == "cosine":
        schedule = WarmupCosine(*rate, settings.epochs * steps_per_epoch)
    else:
        schedule = WarmupMultiStep(*rate, settings.milestones, steps_per_epoch)
    averages = {}
    if settings.ema_momentum:
        averages = {"use_ema": True, "ema_momentum": settings.ema_momentum}
    return keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True, **averages)


def _of_method(settings):
    """The settings that are arguments of MixMo: a name means the same in both."""
    names = inspect.getfullargspec(MixMo.__init__).kwonlyargs
    return {name: getattr(settings, name) for name in names if hasattr(settings, name)}


def _check_memory(settings, info, planned):
    """Raises ValueError where a training step cannot fit into this machine's memory.

    What is counted is less than a step needs: weights, their averages, momentum and
    gradients, and the outputs of the convolutions, for the rows of one replica.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    rows = settings.batch_size * settings.batch_repetitions // replicas
    copies = 4 if settings.ema_momentum else 3
    num_bytes = copies * size.BYTES * size.parameters(planned.kernels)
    bytes_each = 4 if settings.precision == "float32" else 2
    num_bytes += rows * size.activations(planned.kernels) * bytes_each
    named = "num_members", "batch_size", "batch_repetitions", *planned.sizes
    what = ", ".join(f"{name}={getattr(settings, name)}" for name in named)
    height, width, _ = info.image_shape
    size.check_step(
        f"training {settings.network} on images of {height}×{width} with {what}", num_bytes
    )


def _plan(settings, info):
    return network_plan.plan(settings, settings.num_members, info.num_classes, info.image_shape)
