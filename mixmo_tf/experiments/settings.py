"""The settings of a training run: each once, with its default, unit, symbol, choices and help."""

import dataclasses
import os
import pathlib

from mixmo_tf import arguments, augmentation, data, masks, msda
from mixmo_tf.data import class_weights
from mixmo_tf.distribution import strategies
from mixmo_tf.evaluation.predictions import ENSEMBLES
from mixmo_tf.experiments import fields, together
from mixmo_tf.experiments.fields import listed, setting
from mixmo_tf.experiments.of_flags import OfFlags
from mixmo_tf.models.mixmo import MOST_REPETITIONS
from mixmo_tf.networks import NETWORKS, applications
from mixmo_tf.networks.members import MOST_MEMBERS
from mixmo_tf.networks.precision import PRECISIONS
from mixmo_tf.networks.wide_resnet import DEEPEST
from mixmo_tf.paths import expanded

SCHEDULES = ("steps", "cosine")


def _networks_with(size):
    return " or ".join(name for name, network in NETWORKS.items() if size in network.sizes)


def _check_network(name):
    if applications.is_backbone(name):
        applications.check_name(name)
    else:
        arguments.one_of("network", name, (*NETWORKS, f"{applications.PREFIX}NAME"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(OfFlags):
    """What a training run is; the flags of train.py.

    Bounds that depend on the images, the network or the devices are checked when a run starts.
    Relative paths are of the working directory in which the call begins that gets the settings.

    Raises:
        ValueError: if a value is wrong, or does not go with another one; the message names it.
    """

    # Data and where results go
    dataset: str = setting(
        "digits",
        f"The dataset to train on and to be tested on: {', '.join(data.NAMES)}.",
        check=data.check_name,
    )
    data_dir: str | None = setting(
        None, "Folder of tensorflow-datasets; ~/tensorflow_datasets if not set."
    )
    image_size: int | None = setting(
        None,
        "Height and width in pixels that the images of an image_folder or of tfds:NAME are brought "
        "to, or of imagenet2012 (224 if not set).",
        bounds=(1, arguments.LARGEST_SIDE),
    )
    validation_examples: int = setting(
        0,
        "Training images held out to validate each epoch and to choose best.keras; 0 validates "
        "on the val images of an image_folder that has test images too, or else on the test "
        "images, and then chooses none.",
        bounds=(0, arguments.MOST),
    )
    memory_gib: float = setting(
        4.0,
        "Decoded images are kept in memory up to this size in GiB; larger sets are decoded as "
        "they are needed.",
        bounds=(0, None),
    )
    output_dir: str | None = setting(None, "Folder that the run writes; runs/DATASET if not set.")
    checkpoint_steps: int | None = setting(
        None,
        "Steps >= 1 between checkpoints within an epoch; none if not set.",
        bounds=(1, arguments.MOST),
    )
    initialize_from: str | None = setting(
        None,
        "A run's folder or a .keras file whose weights a new run starts from; for other classes "
        "the heads are new.",
    )

    # Network
    network: str = setting(
        "preact_resnet18",
        f"The network: {listed(NETWORKS)}; or backbone:NAME, a model of keras.applications, cut "
        "after its first convolution.",
        check=_check_network,
    )
    pretrained: str = setting(
        "none",
        "What a backbone's weights begin as: imagenet, downloaded by Keras; none, new ones; or a "
        "file .weights.h5, .h5 or .keras of the model, with its top or without.",
    )
    depth: int = setting(
        28, f"Depth of a {_networks_with('depth')}: 10, 16, 22, 28, …", bounds=(1, DEEPEST)
    )
    width: int = setting(
        1,
        f"Width >= 1 of a {_networks_with('width')}: how many times wider than a plain "
        "ResNet's its groups are.",
        bounds=(1, arguments.MOST),
    )
    filters: int = setting(
        16,
        f"Filters of a {_networks_with('filters')}'s encoder; 64 in the paper, and in the "
        "network's arguments if not given.",
        bounds=(1, arguments.MOST),
    )
    num_members: int = setting(
        2,
        "M >= 1, the subnetworks in the network; 1 is a plain network.",
        bounds=(1, MOST_MEMBERS),
    )
    ensemble: str = setting(
        "logits", "What the ensemble averages over its members.", choices=ENSEMBLES
    )

    # Method
    mixing: str | None = setting(
        None,
        "Mixing block of the batches that p picks; the others are linear. If not set, cutmix, or "
        f"none with one member. One member's patch: {listed(masks.BLOCKS)}.",
        choices=lambda: ("none", *masks.NAMES),
    )
    mixing_probability: float = setting(
        0.5,
        "p, chance that a batch uses the binary block; falls to 0 in the last 1/12 of training. "
        "In MixMo's arguments a number does not fall, an AnnealedProbability does.",
        bounds=(0, 1),
    )
    unmixing: str = setting(
        "none",
        "Whether, in training, each head sees the core's map through its own member's mask: full, "
        "throughout; fade, ever less, and not at all from a third of training on. Inference stays "
        "as it is.",
        choices=("none", "fade", "full"),
    )
    alpha: float = setting(
        2.0, "α >= 0 of the Dirichlet that ratios are drawn from; 0 is MIMO.", bounds=(0, None)
    )
    weight_root: float = setting(3.0, "r > 0, the root in the loss weights.", above=0)
    batch_repetitions: int = setting(
        4, "b >= 1, how often each image stands in a step.", bounds=(1, MOST_REPETITIONS)
    )
    input_repetition: float = setting(
        0.0, "ρ in [0, 1], share of rows in which all members see one image.", bounds=(0, 1)
    )
    msda: str = setting(
        "none",
        "Mixed-sample data augmentation inside each member's image, of half of the images.",
        choices=("none", *msda.NAMES),
    )
    augmentation: str = setting(
        "crop",
        "Random changes of every member's image; in MixMo's arguments crop_flip if not given.",
        choices=augmentation.NAMES,
    )
    trivial_augment: bool = setting(
        False,
        "TrivialAugment: one of 14 operations, of a random strength, changes every member's image "
        "after crop and flip.",
    )
    random_erasing: float = setting(
        0.0,
        "Chance that a box of a member's image is erased, after all else that changes it.",
        bounds=(0, 1),
    )
    augmix: bool = setting(
        False,
        "AugMix of the training images on the host; Keras' layer ignores seeds, so such a run "
        "cannot be repeated bit for bit.",
    )
    class_weight: str = setting(
        "none",
        "Weights of the classes in the loss of training; balanced: N / (C·n_c), so that all count "
        "alike, for n_c of N training images.",
        choices=class_weights.CHOICES,
    )

    # Optimisation
    batch_size: int = setting(
        16, "n >= 1, distinct images per step; a step has n·b rows.", bounds=(1, arguments.MOST)
    )
    epochs: int = setting(20, "Epochs >= 1; each visits every image once.", bounds=(1, 1_000_000))
    patience: int = setting(
        0,
        "Epochs without a higher accuracy on held-out images after which training ends; 0: never.",
        bounds=(0, 1_000_000),
    )
    extend: bool = setting(
        False, "Lets the run that is there go on with other epochs, milestones and patience."
    )
    learning_rate: float = setting(0.05, "Learning rate > 0 after the warmup.", above=0)
    warmup_steps: int = setting(
        50, "Steps over which the learning rate rises.", bounds=(0, arguments.MOST)
    )
    schedule: str = setting(
        "steps",
        "How the learning rate falls after the warmup: steps, at the milestones; cosine, to 0 at "
        "the end of the last epoch.",
        choices=SCHEDULES,
    )
    milestones: tuple[int, ...] = setting(
        together.MILESTONES,
        "Epochs, from 1, from which the rate is ×0.1 again; for schedule=steps alone.",
        bounds=(1, arguments.MOST),
        unit="epochs",
    )
    l2: float = setting(
        1e-4,
        "l2 >= 0: l2·ΣW² over all trainable variables joins the loss; in MixMo's arguments 0 if "
        "not given.",
        bounds=(0, None),
    )
    freeze_epochs: int = setting(
        0, "First epochs, in which the core is frozen and all else trains.", bounds=(0, 1_000_000)
    )
    core_learning_rate_factor: float = setting(
        1.0, "Factor >= 0 of the core's updates after that; 0 keeps it frozen.", bounds=(0, None)
    )
    label_smoothing: float = setting(
        0.0,
        "ε in [0, 1): labels become (1 - ε)·label + ε/C, before the loss is weighted.",
        bounds=(0, 1),
    )
    ema_momentum: float = setting(
        0.0,
        "Momentum m in [0, 1) of the exponential moving average of the weights, which is what is "
        "evaluated and saved in the end: m·average + (1 - m)·weights after each step; 0 averages "
        "nothing.",
        bounds=(0, 1),
    )
    seed: int = setting(
        0, "Seed of the initial weights and of all that is drawn.", bounds=(0, arguments.MOST)
    )
    deterministic: bool = setting(
        False,
        "TensorFlow's deterministic kernels: the same weights bit for bit on a GPU too; slower.",
    )

    # Devices
    strategy: str = setting(
        "auto",
        "What trains: multi_worker, all processes that TF_CONFIG lists or the tasks of a SLURM "
        "job; mirrored, all GPUs of the machine; auto: the first of these that is there.",
        choices=strategies.NAMES,
    )
    jit_compile: str = setting(
        "auto",
        "XLA; auto: on where there is a GPU, and no sync_batch_norm.",
        choices=("auto", "true", "false"),
    )
    precision: str = setting(
        "float32",
        "What the network computes in; weights, heads, loss and metrics are float32.",
        choices=PRECISIONS,
    )
    steps_per_execution: int = setting(
        1,
        "Steps >= 1 that run before progress, checkpoints and signals are looked at.",
        bounds=(1, 1_000_000),
    )
    sync_batch_norm: bool = setting(
        False, "Batch norm over all replicas' rows, not each one's own; without XLA."
    )

    def __post_init__(self):
        super().__post_init__()
        together.check(self)

    def path(self) -> pathlib.Path:
        """Where the run writes."""
        name = os.path.basename(data.full_name(self.dataset).split(":", 1)[-1])
        return expanded(self.output_dir or f"runs/{name}")

    def in_place(self) -> "Settings":
        """The same with absolute paths to what is read, which mean the same after an `os.chdir`."""
        read = {name: getattr(self, name) for name in ("data_dir", "initialize_from")}
        if self.pretrained not in ("imagenet", "none"):
            read["pretrained"] = self.pretrained
        is_local = {name: path and "://" not in path for name, path in read.items()}
        absolute = {name: expanded(read[name]).absolute() for name in read if is_local[name]}
        return dataclasses.replace(self, dataset=data.full_name(self.dataset), **absolute)

    def of_run(self) -> dict[str, str | None]:
        """What the run is: str, or None where nothing is set, by names like "--alpha"."""
        named = {f"--{name}": value for name, value in fields.texts(self).items()}
        del named["--extend"]  # concerns a single call
        full_name = data.full_name(self.dataset)  # in which stands the working directory
        return named | {"--dataset": fields.one_line("dataset", full_name)}

    def lines(self) -> list[str]:
        """What the run is, as the lines of a flagfile: run.flags."""
        return sorted(f"{name}={text}" for name, text in self.of_run().items() if text is not None)
