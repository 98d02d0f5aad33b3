"""The flags of `train.py`, and the objects that they describe."""

import copy
import os
import sys

import keras
import tensorflow as tf
from absl import flags

import mixmo_tf
from mixmo_tf import arguments, augmentation, data, masks, msda, networks
from mixmo_tf.evaluation.predictions import ENSEMBLES
from mixmo_tf.model import MOST_REPETITIONS
from mixmo_tf.networks import NETWORKS, members, size
from mixmo_tf.networks.precision import PRECISIONS
from mixmo_tf.networks.wide_resnet import DEEPEST
from mixmo_tf.paths import expanded
from mixmo_tf.training import strategies

FLAGS = flags.FLAGS

# Data and where results go
flags.DEFINE_string(
    "dataset", "digits", f"The dataset to train on and to be tested on: {', '.join(data.NAMES)}."
)
flags.DEFINE_string(
    "data_dir", None, "Folder of tensorflow-datasets; ~/tensorflow_datasets if not set."
)
flags.DEFINE_integer(
    "image_size",
    None,
    "Height and width in pixels that the images of an image_folder are brought to, or of "
    "imagenet2012 (224 if not set).",
)
flags.DEFINE_integer(
    "validation_examples",
    0,
    "Training images held out to validate each epoch and to choose best.keras; 0 validates on "
    "the val images of an image_folder that has test images too, or else on the test images, and "
    "then chooses none.",
)
flags.DEFINE_float(
    "memory_gib",
    4,
    "Decoded images are kept in memory up to this size in GiB; larger sets are decoded as they "
    "are needed.",
)
flags.DEFINE_string("output_dir", None, "Folder that the run writes; runs/DATASET if not set.")
flags.DEFINE_integer(
    "checkpoint_steps", None, "Steps >= 1 between checkpoints within an epoch; none if not set."
)
flags.DEFINE_string(
    "initialize_from",
    None,
    "A run's folder or a .keras file whose weights a new run starts from; for other classes the "
    "heads are new.",
)


def _networks_with(size):
    return " or ".join(name for name, network in NETWORKS.items() if size in network.sizes)


# Network
flags.DEFINE_enum(
    "network",
    "preact_resnet18",
    list(NETWORKS),
    f"The network: {'; '.join(f'{name}, {network.what}' for name, network in NETWORKS.items())}.",
)
flags.DEFINE_integer("depth", 28, f"Depth of a {_networks_with('depth')}: 10, 16, 22, 28, …")
flags.DEFINE_integer(
    "width",
    1,
    f"Width >= 1 of a {_networks_with('width')}: how many times wider than a plain ResNet's "
    "its groups are.",
)
flags.DEFINE_integer(
    "filters", 16, f"Filters of a {_networks_with('filters')}'s encoder; 64 in the paper."
)
flags.DEFINE_integer(
    "num_members", 2, "M >= 1, the subnetworks in the network; 1 is a plain network."
)
flags.DEFINE_enum("ensemble", "logits", ENSEMBLES, "What the ensemble averages over its members.")

# Method
flags.DEFINE_enum(
    "mixing",
    None,
    ["none", *masks.NAMES],
    "Mixing block of the batches that p picks; the others are linear. If not set, cutmix, or none "
    "with one member. One member's patch: "
    f"{'; '.join(f'{name}, {block.what}' for name, block in masks.BLOCKS.items())}.",
)
flags.DEFINE_float(
    "mixing_probability",
    0.5,
    "p, chance that a batch uses the binary block; falls to 0 in the last 1/12 of training.",
)
flags.DEFINE_float("alpha", 2.0, "α >= 0 of the Dirichlet that ratios are drawn from; 0 is MIMO.")
flags.DEFINE_float("weight_root", 3.0, "r > 0, the root in the loss weights.")
flags.DEFINE_integer("batch_repetitions", 4, "b >= 1, how often each image stands in a step.")
flags.DEFINE_float(
    "input_repetition", 0.0, "ρ in [0, 1], share of rows in which all members see one image."
)
flags.DEFINE_enum(
    "msda",
    "none",
    ["none", *msda.NAMES],
    "Mixed-sample data augmentation inside each member's image, of half of the images.",
)
flags.DEFINE_enum(
    "augmentation", "crop", augmentation.NAMES, "Random changes of every member's image."
)

flags.DEFINE_boolean(
    "augmix",
    False,
    "AugMix of the training images on the host; Keras' layer ignores seeds, so such a run cannot "
    "be repeated bit for bit.",
)

# Optimisation
flags.DEFINE_integer("batch_size", 16, "n >= 1, distinct images per step; a step has n·b rows.")
flags.DEFINE_integer("epochs", 20, "Epochs >= 1; each visits every image once.")
flags.DEFINE_boolean(
    "extend",
    False,
    "Lets the run that is there go on with other --epochs and --milestones than it had.",
)
flags.DEFINE_float("learning_rate", 0.05, "Learning rate > 0 after the warmup.")
flags.DEFINE_integer("warmup_steps", 50, "Steps over which the learning rate rises.")
flags.DEFINE_list("milestones", ["16", "19"], "Epochs, from 1, from which the rate is ×0.1 again.")
flags.DEFINE_float("l2", 1e-4, "l2 >= 0: l2·ΣW² over all trainable variables joins the loss.")
flags.DEFINE_integer("seed", 0, "Seed of the initial weights and of all that is drawn.")
flags.DEFINE_boolean(
    "deterministic",
    False,
    "TensorFlow's deterministic kernels: the same weights bit for bit on a GPU too; slower.",
)

# Devices
flags.DEFINE_enum(
    "strategy",
    "auto",
    strategies.NAMES,
    "What trains: multi_worker, all processes that TF_CONFIG lists or the tasks of a SLURM job; "
    "mirrored, all GPUs of the machine; auto: the first of these that is there.",
)
flags.DEFINE_enum(
    "jit_compile",
    "auto",
    ["auto", "true", "false"],
    "XLA; auto: on where there is a GPU, and no sync_batch_norm.",
)
flags.DEFINE_enum(
    "precision",
    "float32",
    PRECISIONS,
    "What the network computes in; weights, heads, loss and metrics are float32.",
)
flags.DEFINE_integer(
    "steps_per_execution",
    1,
    "Steps >= 1 that run before progress, checkpoints and signals are looked at.",
)
flags.DEFINE_boolean(
    "sync_batch_norm", False, "Batch norm over all replicas' rows, not each one's own; without XLA."
)


BOUNDS = {  # of the whole-number flags, beside seed; a dataset or a network may set others
    "image_size": (1, arguments.LARGEST_SIDE),
    "validation_examples": (0, arguments.MOST),
    "checkpoint_steps": (1, arguments.MOST),
    "depth": (1, DEEPEST),
    "width": (1, arguments.MOST),
    "filters": (1, arguments.MOST),
    "num_members": (1, members.MOST_MEMBERS),
    "batch_repetitions": (1, MOST_REPETITIONS),
    "batch_size": (0, arguments.MOST),
    "epochs": (1, 1_000_000),
    "warmup_steps": (0, arguments.MOST),
    "steps_per_execution": (1, 1_000_000),
}


def check():
    """Raises ValueError where a flag is out of all bounds, before anything is loaded or built."""
    arguments.within("seed", FLAGS.seed, 0, arguments.MOST)
    arguments.at_least("memory_gib", FLAGS.memory_gib, 0)
    for name, bounds in BOUNDS.items():
        if FLAGS[name].value is not None:
            arguments.count(name, FLAGS[name].value, *bounds)


def load_data(as_before=False):
    """The Examples that the flags describe, by split: train, validation, test, if there.

    Args:
        as_before: bool, see `run_directory.reads_as_before`.
    """
    examples = data.load_splits(
        dataset(), FLAGS.data_dir, FLAGS.validation_examples, FLAGS.image_size, as_before
    )
    if len(examples) == 1:
        raise ValueError(f"{dataset()} has no val folder: set validation_examples")
    if sum(part.num_bytes for part in examples.values()) <= FLAGS.memory_gib * 2**30:
        examples = {split: part.in_memory() for split, part in examples.items()}
    return examples


def dataset():
    """The name of the dataset; a folder's path is the same however it was written."""
    return data.full_name(FLAGS.dataset)


def output_dir():
    """Where the run writes, a pathlib.Path."""
    name = os.path.basename(dataset().split(":", 1)[-1])
    return expanded(FLAGS.output_dir or f"runs/{name}")


def lines():
    """Every flag of the run, as the lines of a flagfile."""
    return sorted(_line(flag) for flag in _of_run() if flag.value is not None)


def default_values():
    """What the lines say of each flag that is not given: str, or None, by names like "--alpha"."""
    values = {}
    for flag in map(copy.deepcopy, _of_run()):
        flag.value = flag.default
        is_set = flag.value is not None
        values[f"--{flag.name}"] = _line(flag).partition("=")[2] if is_set else None
    return values


def _of_run():
    """The flags that say what a run is; the others concern a single call of the script."""
    defined = FLAGS.get_flags_for_module(sys.modules[__name__])
    return [flag for flag in defined if flag.name != "extend"]


def _line(flag):
    if flag.name == "dataset":
        return f"--dataset={data.full_name(flag.value)}"
    return f"--{flag.name}={str(flag.value).lower()}" if flag.boolean else flag.serialize()


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
        FLAGS.learning_rate, FLAGS.warmup_steps, _milestones(), steps_per_epoch
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


def _milestones():
    try:
        return [int(epoch) for epoch in FLAGS.milestones]
    except ValueError:
        raise ValueError(f"milestones must be epochs, got {','.join(FLAGS.milestones)}") from None
