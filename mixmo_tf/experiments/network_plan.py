"""The network that settings name: what it will consist of, and how it is built."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import keras

from mixmo_tf.experiments import pretrained
from mixmo_tf.experiments.settings import Settings
from mixmo_tf.networks import NETWORKS, applications, from_backbone, size


class Plan(NamedTuple):
    """A network that is not built yet."""

    kernels: list[size.Kernel]
    build: Callable[[], keras.Model]
    sizes: tuple[str, ...]  # names of the settings that say how large it is


def plan(
    settings: Settings, num_members: int, num_classes: int, image_shape: Sequence[int]
) -> Plan:
    """What settings name, for images (H, W, channels) and classes.

    Raises:
        ValueError, OSError: if they do not fit, or there are no weights as `pretrained` names.
    """
    common = {"num_members": num_members, "num_classes": num_classes, "image_shape": image_shape}
    if applications.is_backbone(settings.network):
        backbone = pretrained.backbone(settings, tuple(image_shape))
        return Plan(size.of_layers(backbone), partial(from_backbone, backbone, **common), ())
    network = NETWORKS[settings.network]
    arguments = {name: getattr(settings, name) for name in network.sizes} | common
    return Plan(network.kernels(**arguments), partial(network.build, **arguments), network.sizes)
