"""The flags of `train.py`, and the objects that they describe."""

import keras
import tensorflow as tf
from absl import flags

import mixmo_tf
from mixmo_tf import data, networks
from mixmo_tf.experiments import Settings, command_line
from mixmo_tf.networks import NETWORKS, size

FLAGS = flags.FLAGS

_VALUES = command_line.flags_of(Settings)
FLAGS.append_flag_values(_VALUES)
for _name in _VALUES:
    FLAGS.register_flag_by_module(__name__, _VALUES[_name])
    FLAGS.register_key_flag_for_module(__name__, _VALUES[_name])


def settings():
    """The settings that the flags say."""
    return command_line.settings_of(Settings, FLAGS)


def load_data(as_before=False):
    """The Examples that the flags describe, by split: train, validation, test, if there.

    Args:
        as_before: bool, see `directory.reads_as_before`.
    """
    examples = data.load_splits(
        dataset(), FLAGS.data_dir, FLAGS.validation_examples, FLAGS.image_size, as_before
    )
    if len(examples) == 1:
        raise ValueError(
            f"{dataset()} has no val or test folder: set --validation_examples, how many training "
            "images are held out"
        )
    if sum(part.num_bytes for part in examples.values()) <= FLAGS.memory_gib * 2**30:
        examples = {split: part.in_memory() for split, part in examples.items()}
    return examples


def dataset():
    """The name of the dataset; a folder's path is the same however it was written."""
    return data.full_name(FLAGS.dataset)


def output_dir():
    """Where the run writes, a pathlib.Path."""
    return settings().path()


def lines():
    """Every flag of the run, as the lines of a flagfile."""
    return settings().lines()


def default_values():
    """What the lines say of each flag that is not given: str, or None, by names like "--alpha"."""
    return Settings().of_run()


def check_memory(info):
    """Raises ValueError where a training step cannot fit into this machine's memory.

    What is counted is less than a step needs: weights, momentum and gradients, and the outputs
    of the convolutions, for the rows of one replica.
    """
    kernels = NETWORKS[FLAGS.network].kernels(**_sizes(info))
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    rows = FLAGS.batch_size * FLAGS.batch_repetitions // replicas
    num_bytes = 3 * size.BYTES * size.parameters(kernels)
    num_bytes += rows * size.activations(kernels) * (4 if FLAGS.precision == "float32" else 2)
    named = "num_members", "batch_size", "batch_repetitions", *NETWORKS[FLAGS.network].sizes
    what = ", ".join(f"{name}={FLAGS[name].value}" for name in named)
    height, width, _ = info.image_shape
    size.check_step(
        f"training {FLAGS.network} on images of {height}×{width} with {what}", num_bytes
    )


def build_network(info):
    """The network that the flags describe, for the images and classes of `info`."""
    network = NETWORKS[FLAGS.network].build(**_sizes(info))
    networks.set_precision(network, FLAGS.precision)
    if FLAGS.sync_batch_norm:
        networks.synchronize_batch_norm(network)
    return network


def _sizes(info):
    """What a network is built with."""
    return {name: FLAGS[name].value for name in NETWORKS[FLAGS.network].sizes} | {
        "num_members": FLAGS.num_members,
        "num_classes": info.num_classes,
        "image_shape": info.image_shape,
    }


def build_model(info):
    """The compiled model that the flags describe, for a training split `info`."""
    check_memory(info)
    steps_per_epoch = max(info.num_examples // max(FLAGS.batch_size, 1), 1)
    total_steps = max(FLAGS.epochs, 1) * steps_per_epoch
    model = mixmo_tf.MixMo(
        build_network(info),
        mixing=_mixing(),
        mixing_probability=mixmo_tf.AnnealedProbability(FLAGS.mixing_probability, total_steps),
        alpha=FLAGS.alpha,
        weight_root=FLAGS.weight_root,
        batch_repetitions=FLAGS.batch_repetitions,
        input_repetition=FLAGS.input_repetition,
        msda=None if FLAGS.msda == "none" else FLAGS.msda,
        ensemble=FLAGS.ensemble,
        l2=FLAGS.l2,
        augmentation=FLAGS.augmentation,
        mean=info.mean,
        std=info.std,
        seed=FLAGS.seed,
        class_names=info.class_names,
    )
    learning_rate = mixmo_tf.training.WarmupMultiStep(
        FLAGS.learning_rate, FLAGS.warmup_steps, settings().milestones, steps_per_epoch
    )
    model.compile(
        keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True),
        metrics=["accuracy"],
        steps_per_execution=FLAGS.steps_per_execution,
        jit_compile={"auto": "auto", "true": True, "false": False}[FLAGS.jit_compile],
    )
    return model


def _mixing():
    if FLAGS.mixing is None:
        return "cutmix" if FLAGS.num_members > 1 else None
    if FLAGS.mixing == "none" and FLAGS.num_members > 1:
        raise ValueError(f"mixing=none is for num_members=1, got {FLAGS.num_members} members")
    return None if FLAGS.mixing == "none" else FLAGS.mixing
