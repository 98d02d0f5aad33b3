"""Networks with M encoders, a mixing layer, one shared core and M heads.

A network is a functional `keras.Model` without any randomness: the masks are an input, and so is
the seed, where layers drop out. A new one is a file with its function, and a line in `NETWORKS`;
`from_backbone` makes one of any functional Keras model.
"""

import dataclasses
from collections.abc import Callable

from mixmo_tf.networks.backbone import from_backbone
from mixmo_tf.networks.batch_norm import synchronize_batch_norm
from mixmo_tf.networks.members import build
from mixmo_tf.networks.preact_resnet import preact_resnet18, preact_resnet18_kernels
from mixmo_tf.networks.precision import set_precision
from mixmo_tf.networks.resnet import resnet18, resnet50, resnet_kernels
from mixmo_tf.networks.wide_resnet import wide_resnet, wide_resnet_kernels


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that has a name.

    Attributes:
        build: function (its sizes, num_members, num_classes, image_shape), by keyword, ->
            keras.Model.
        kernels: function of the same -> what it will consist of, as `networks.size` counts it.
        sizes: which of depth, width and filters it takes.
        what: a few words for --help and README.
    """

    build: Callable
    kernels: Callable
    sizes: tuple[str, ...]
    what: str


NETWORKS = {
    "preact_resnet18": Network(
        preact_resnet18,
        preact_resnet18_kernels,
        ("width", "filters"),
        "a pre-activation ResNet-18, for images of Tiny ImageNet's size",
    ),
    "wide_resnet": Network(
        wide_resnet,
        wide_resnet_kernels,
        ("depth", "width"),
        "a Wide ResNet, for images of CIFAR's size",
    ),
    "resnet18": Network(resnet18, resnet_kernels, (), "a ResNet-18, for images of ImageNet's size"),
    "resnet50": Network(resnet50, resnet_kernels, (), "a ResNet-50, for images of ImageNet's size"),
}

__all__ = [
    "NETWORKS",
    "Network",
    "build",
    "from_backbone",
    "preact_resnet18",
    "resnet18",
    "resnet50",
    "set_precision",
    "synchronize_batch_norm",
    "wide_resnet",
]
