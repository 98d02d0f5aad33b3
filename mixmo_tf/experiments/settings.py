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
        f"The dataset to train and to test on: {', '.join(data.NAMES)}.",
        check=data.check_name,
    )
    data_dir: str | None = setting(
        None, "Folder of tensorflow-datasets; ~/tensorflow_datasets if not set."
    )
    image_size: int | None = setting(
        None,
        "Height and width, in pixels, to which the images of an image_folder, of tfds:NAME or of "
        "imagenet2012 are brought; imagenet2012 uses 224 if not set.",
        bounds=(1, arguments.LARGEST_SIDE),
    )
    validation_examples: int = setting(
        0,
        "Training images held out to validate each epoch and to choose best.keras. With 0, the "
        "val images of an image_folder do both if it has test images too; otherwise each epoch is "
        "validated on the test images, and no best.keras is chosen.",
        bounds=(0, arguments.MOST),
    )
    memory_gib: float = setting(
        4.0,
        "Decoded images are kept in memory up to this size in GiB; larger sets are decoded while "
        "the network trains.",
        bounds=(0, None),
    )
    output_dir: str | None = setting(None, "Folder of the run; runs/DATASET if not set.")
    checkpoint_steps: int | None = setting(
        None,
        "Steps >= 1 after which a further checkpoint is written within an epoch; none if not set.",
        bounds=(1, arguments.MOST),
    )
    initialize_from: str | None = setting(
        None,
        "A run's folder or a .keras file from whose weights a new run starts; if the classes are "
        "others, the heads are new.",
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
        "The weights that a backbone starts from: imagenet, downloaded by Keras; none, new ones; "
        "or a .weights.h5, .h5 or .keras file of the model, with its top or without.",
    )
    depth: int = setting(
        28, f"Depth of a {_networks_with('depth')}: 10, 16, 22, 28, …", bounds=(1, DEEPEST)
    )
    width: int = setting(
        1,
        f"Width >= 1 of a {_networks_with('width')}: its groups have this many times the "
        "filters of a plain ResNet's.",
        bounds=(1, arguments.MOST),
    )
    filters: int = setting(
        16,
        f"Filters of a {_networks_with('filters')}'s encoder; the paper has 64, which is also "
        "the default of the network's own argument.",
        bounds=(1, arguments.MOST),
    )
    num_members: int = setting(
        2,
        "M >= 1, the number of subnetworks (members) in the network; 1 is a plain network.",
        bounds=(1, MOST_MEMBERS),
    )
    ensemble: str = setting(
        "logits", "What the ensemble averages over its members.", choices=ENSEMBLES
    )

    # Method
    mixing: str | None = setting(
        None,
        "Mixing block of the batches that p picks; the others are mixed linearly. If not set, "
        f"cutmix, or none with one member. What one member gets: {listed(masks.BLOCKS)}.",
        choices=lambda: ("none", *masks.NAMES),
    )
    mixing_probability: float = setting(
        0.5,
        "p, the probability that a batch is mixed by the binary block; falls to 0 in the last "
        "1/12 of training. In MixMo's arguments a number is constant; an AnnealedProbability "
        "falls.",
        bounds=(0, 1),
    )
    unmixing: str = setting(
        "none",
        "Whether, in training, each head sees the core's map through its own member's mask: full, "
        "throughout the training; fade, less and less during the first third of the training, and "
        "not at all after it. Inference is not affected.",
        choices=("none", "fade", "full"),
    )
    alpha: float = setting(
        2.0, "α >= 0 of the Dirichlet distribution of the ratios κ; 0 is MIMO.", bounds=(0, None)
    )
    weight_root: float = setting(3.0, "r > 0, the root in the loss weights κ^(1/r).", above=0)
    batch_repetitions: int = setting(
        4, "b >= 1, how often each image appears in a step.", bounds=(1, MOST_REPETITIONS)
    )
    input_repetition: float = setting(
        0.0, "ρ in [0, 1], the share of rows in which all members see one image.", bounds=(0, 1)
    )
    msda: str = setting(
        "none",
        "Mixed-sample data augmentation inside each member's image, for half of the images.",
        choices=("none", *msda.NAMES),
    )
    augmentation: str = setting(
        "crop",
        "Random changes of every member's image; in MixMo's arguments the default is crop_flip.",
        choices=augmentation.NAMES,
    )
    trivial_augment: bool = setting(
        False,
        "TrivialAugment: after crop and flip, every member's image is changed by one of 14 "
        "operations, with a random strength.",
    )
    random_erasing: float = setting(
        0.0,
        "Probability that a box of a member's image is erased, after all other changes.",
        bounds=(0, 1),
    )
    augmix: bool = setting(
        False,
        "AugMix of the training images, on the host. Keras' layer partly ignores seeds, so such a "
        "run cannot be repeated bit for bit.",
    )
    class_weight: str = setting(
        "none",
        "Weights of the classes in the training loss; balanced: N / (C·n_c) for a class with n_c "
        "of the N training images, so that all C classes count alike.",
        choices=class_weights.CHOICES,
    )

    # Optimisation
    batch_size: int = setting(
        16, "n >= 1, distinct images per step; a step has n·b rows.", bounds=(1, arguments.MOST)
    )
    epochs: int = setting(20, "Epochs >= 1; each visits every image once.", bounds=(1, 1_000_000))
    patience: int = setting(
        0,
        "Training ends after this many epochs in which the accuracy on held-out images did not "
        "rise; 0: never.",
        bounds=(0, 1_000_000),
    )
    extend: bool = setting(
        False, "Continue the run that is there with other epochs, milestones and patience."
    )
    learning_rate: float = setting(0.05, "Learning rate > 0 after the warmup.", above=0)
    warmup_steps: int = setting(
        50, "Number of steps over which the learning rate rises.", bounds=(0, arguments.MOST)
    )
    schedule: str = setting(
        "steps",
        "How the learning rate falls after the warmup: steps, at the milestones; cosine, to 0 at "
        "the end of the last epoch.",
        choices=SCHEDULES,
    )
    milestones: tuple[int, ...] = setting(
        together.MILESTONES,
        "Epochs, counted from 1, from which on the learning rate is multiplied by 0.1 again; only "
        "for schedule=steps.",
        bounds=(1, arguments.MOST),
        unit="epochs",
    )
    l2: float = setting(
        1e-4,
        "l2 >= 0: l2·ΣW² over all trainable variables is added to the loss; in MixMo's arguments "
        "the default is 0.",
        bounds=(0, None),
    )
    freeze_epochs: int = setting(
        0, "First epochs, in which only encoders and heads are trained.", bounds=(0, 1_000_000)
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
        "Momentum m in [0, 1) of a moving average of the weights, m·average + (1 - m)·weights "
        "after each step, which is what is evaluated and saved in the end; 0: no average.",
        bounds=(0, 1),
    )
    seed: int = setting(
        0, "Seed of the initial weights and of all that is drawn.", bounds=(0, arguments.MOST)
    )
    deterministic: bool = setting(
        False, "TensorFlow's slower, deterministic kernels: the same weights on a GPU, bit for bit."
    )

    # Devices
    strategy: str = setting(
        "auto",
        "The devices that train: multi_worker, all processes of TF_CONFIG or the tasks of a SLURM "
        "job; mirrored, all GPUs of the machine; auto, the first of these that is there.",
        choices=strategies.NAMES,
    )
    jit_compile: str = setting(
        "auto",
        "Whether XLA compiles the step; auto: if there is a GPU, and no sync_batch_norm.",
        choices=("auto", "true", "false"),
    )
    precision: str = setting(
        "float32",
        "The precision that the network computes in; weights, heads, loss and metrics are float32.",
        choices=PRECISIONS,
    )
    steps_per_execution: int = setting(
        1,
        "Number of steps >= 1 after which progress, checkpoints and signals are looked at.",
        bounds=(1, 1_000_000),
    )
    sync_batch_norm: bool = setting(
        False, "Batch norm uses the rows of all replicas, not only each replica's own; without XLA."
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
