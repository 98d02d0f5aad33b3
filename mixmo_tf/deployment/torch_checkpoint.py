"""The published PyTorch checkpoints: the MixMo that one makes, and files for the published code."""

import os
import re
from collections.abc import Sequence

import keras
import numpy as np

from mixmo_tf import arguments, extras, networks, random_state
from mixmo_tf.data import cifar
from mixmo_tf.deployment import torch_state
from mixmo_tf.deployment.weights_file import STATE, read, some
from mixmo_tf.models.folded import FoldedModel
from mixmo_tf.models.mixmo import MixMo
from mixmo_tf.networks import variable_limit
from mixmo_tf.outputs import atomically, new_file

_OF_PLAIN = "conv1.weight", "fc.weight"
_MOST_BLOCKS = 200  # of a group; a WRN-28 has 4
_MOST_MEMBERS = 100
_SLACK = 2**26  # bytes that a network may take beyond its state, before it is said what is missing


@random_state.kept()
def load_torch_checkpoint(
    file: str | os.PathLike,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    ensemble: str = "logits",
) -> MixMo:
    """Makes a MixMo of a published checkpoint; its architecture is read off the shapes.

    Args:
        file: path of the checkpoint, of PyTorch or `.safetensors`; ~ is the home folder.
        image_size: int, pixels, height and width of the images; None for those the network is
            published for: 32 for a Wide ResNet (CIFAR), 64 for a PreActResNet (Tiny ImageNet).
        mean: three floats, of pixels scaled to [0, 1]; None for that dataset's.
        std: three floats, the same.
        ensemble: "logits" or "probabilities", what is averaged over the members.

    Returns:
        MixMo. How it was trained is not in a checkpoint: all that concerns training has its
        default.

    Raises:
        ImportError: unless the extra `torch` is installed.
        FileNotFoundError: if there is no file.
        ValueError: if it holds anything but weights (it is refused, nothing of it is executed),
            claims sizes that it does not have, or the weights are no published network's; the
            message lists their names.
    """
    if image_size is not None:
        arguments.count("image_size", image_size, 1, arguments.LARGEST_SIDE)
    state = read(file)
    try:
        size = sum(array.nbytes for array in state.values())
        with variable_limit.at_most(size + _SLACK):
            network = build_network(state, image_size)
        torch_state.load_torch_state(network, state)
    except variable_limit.TooLargeError as error:
        raise ValueError(
            f"{file}: no network of the published code: its {error}, those in it {size:,}"
        ) from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    of_cifar = network.name.startswith("wide_resnet")
    default_mean, default_std = (cifar.MEAN, cifar.STD) if of_cifar else ((0.5,) * 3, (0.5,) * 3)
    return MixMo(
        network,
        ensemble=ensemble,
        mean=default_mean if mean is None else mean,
        std=default_std if std is None else std,
    )


def save_torch_checkpoint(model: MixMo | FoldedModel, file: str | os.PathLike) -> None:
    """Writes a model's weights as a checkpoint that the published code loads.

    Args:
        model: MixMo, or a FoldedModel without its members' heads, whose network is a
            `wide_resnet` or `preact_resnet18`.
        file: path of the new file.

    Raises:
        ImportError: unless the extra `torch` is installed.
        FileExistsError, FileNotFoundError: if there is a file, or no folder for it.
        OSError: if it cannot be written; nothing is left there.
        ValueError: if the published code has no such network.
    """
    torch = _torch()
    path = new_file(file)
    if path.suffix == ".safetensors":
        raise ValueError("a PyTorch checkpoint is written, whose name must not end in .safetensors")
    if not getattr(model, "networks", ()):
        raise ValueError(f"model must be a MixMo, got a {type(model).__name__}")
    if len(model.networks) != 1:
        raise ValueError(f"a checkpoint holds one network, a {type(model).__name__} has several")
    if isinstance(model, FoldedModel) and model.num_members > 1:
        raise ValueError("the published code has no folded network with several heads")
    state = torch_state.torch_state(model.networks[0])
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
    with atomically(path) as partial, open(partial, "wb") as opened:  # a name hides why it fails
        torch.save({STATE: tensors}, opened)


def build_network(state: dict[str, np.ndarray], image_size: int | None = None) -> keras.Model:
    """A network, its weights not yet loaded, of the architecture that a state's shapes tell.

    Three groups of blocks are a Wide ResNet's, four a PreActResNet-18's. Whatever does not fit
    either is left to `load_torch_state` to name. Without an `image_size`, in pixels, it is the one
    that the network is published for.

    Raises:
        ValueError: if the state lacks a layer that all published networks have.
    """
    several = any(name.startswith("list_") for name in state)
    encoder, head = ("list_conv1.0.weight", "list_fc.0.weight") if several else _OF_PLAIN
    inner = "layer1.0.conv2.weight"
    if missing := [name for name in (encoder, head, inner) if name not in state]:
        raise ValueError(
            f"no network of the published code: missing: {', '.join(missing)}; it has {some(state)}"
        )
    for name, rank in ((encoder, 4), (head, 2), (inner, 4)):
        if state[name].ndim != rank or not state[name].size:
            raise ValueError(f"no network of the published code: {name} is {state[name].shape}")
    filters, num_classes = len(state[encoder]), len(state[head])
    width = max(1, len(state[inner]) // filters)
    num_members = _count(state, r"list_(?:conv1|fc)\.(\d+)\..*") if several else 1
    blocks = _count(state, r"layer1\.(\d+)\..*")
    for what, count, most in (
        ("members", num_members, _MOST_MEMBERS), ("blocks in layer1", blocks, _MOST_BLOCKS),
    ):  # fmt: skip
        if count > most:
            raise ValueError(f"no network of the published code: {count:,} {what}")
    common = {"num_members": num_members, "num_classes": num_classes}
    if _count(state, r"layer(\d+)\..*") == 4:
        shape = (image_size or 64, image_size or 64, 3)
        return networks.preact_resnet18(width, image_shape=shape, filters=filters, **common)
    depth = 6 * blocks + 4
    shape = (image_size or 32, image_size or 32, 3)
    return networks.wide_resnet(depth, width, image_shape=shape, **common)


def _count(state, pattern):
    """How many different numbers the state's names have at a place."""
    return len({match[1] for name in state if (match := re.fullmatch(pattern, name))})


def _torch():
    extras.check("torch", ["torch"])
    import torch  # imported here: an extra

    return torch
