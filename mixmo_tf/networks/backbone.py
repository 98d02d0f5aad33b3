"""Any functional Keras model as a MixMo: cut after its first convolution, mixed there, M heads.

    image_0 → encoder_0 ┐
    image_1 → encoder_1 ┼ mixing → the rest of the backbone → features → M heads
              masks ────┘

What comes before the cut is copied for each member. At inference the members' encoded images are
summed up, so each encoder begins as the backbone's own divided by M: then the sum, and with it
every feature of the same image, is what the backbone makes of it.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from mixmo_tf import arguments
from mixmo_tf.networks import (
    backbone_checks,
    fixed_normalization,
    graph,
    members,
    parts,
    random_layers,
    size,
)
from mixmo_tf.networks.graph import Call

_HANDS_ON = (  # layers between features and pool, or classifier and output; none has weights
    keras.layers.Activation, keras.layers.ReLU, keras.layers.Softmax, keras.layers.Dropout,
    keras.layers.Flatten, keras.layers.Reshape,
)  # fmt: skip


def from_backbone(
    backbone: keras.Model,
    num_members: int,
    num_classes: int,
    image_shape: Sequence[int] | None = None,
    split_at: str | None = None,
    features_at: str | None = None,
) -> keras.Model:
    """Makes a network with M encoders and M heads of a model, with its weights.

        backbone = keras.applications.MobileNetV3Small(include_top=False, input_shape=(64, 64, 3))
        model = mixmo_tf.MixMo(mixmo_tf.networks.from_backbone(backbone, 2, 10))

    The backbone stays as it is. Nested models are opened, batch norm is as the backbone has it,
    dropout, noise and stochastic depth draw from the step's seed, and what the backbone adds to the
    loss, such as the penalty of a `kernel_regularizer`, joins MixMo's.

    Args:
        backbone: keras.Model, functional or Sequential, of one image (B, H, W, channels), with or
            without a top. Layers that rescale or normalise pixels stay: `MixMo(mean=None,
            std=None)` then hands it pixels 0–255 as they are, and else what 0.5 of each makes of
            them, -1 to 1.
        num_members: int M >= 1; 1 gives the plain network.
        num_classes: int C >= 2.
        image_shape: (H, W, channels), for a backbone of open size (None, None, 3); one with three
            channels takes grey images (H, W, 1) too, the same in each. None for its own.
        split_at: name of the layer whose output (B, h, w, filters) is mixed; None for the first
            convolution. An activation inside it moves behind the mixing.
        features_at: name of the layer whose output goes to the heads, maps and tokens as their
            mean; None for what enters the last dense layer, or else for the output.

    Returns:
        keras.Model; see `networks.build` for its inputs and output. If a layer is random, it has
        the input "seed", int32 (2,), too.

    Raises:
        ValueError: if an argument is out of range, or the backbone cannot be cut: it is
            subclassed, has several inputs, no single tensor separates it, or a layer cannot be
            copied. The message names what.
    """
    backbone_checks.check_model(backbone)
    shape = backbone_checks.image_shape(backbone, image_shape)
    members.check(num_members, num_classes, shape)
    size.check_memory(
        f"{num_members} members of {backbone.name}", size.BYTES * backbone.count_params()
    )
    whole = graph.read(backbone)
    (image,) = whole.inputs
    cut = _cut(whole, backbone, split_at)
    cut_operation = next(call.operation for call in whole.calls if call.outputs[0] is cut)
    features = _features(whole, backbone, features_at)
    before = graph.needed(whole.calls, cut, known=[image])
    after = graph.needed(whole.calls, features, known=[cut])
    backbone_checks.check_parts(backbone, before, after, cut_operation.name)
    random = any(random_layers.seeded(call.operation) for call in before + after)
    seed = keras.Input(batch_shape=(2,), dtype="int32", name=parts.SEED) if random else None
    is_linear = type(cut_operation) is keras.layers.Conv2D
    activation = cut_operation.activation if is_linear else keras.activations.linear
    copies = _Copies(backbone, shape, seed)

    def encoder(member, x):
        if shape[2] == 1 and image.shape[3] not in (1, None):
            name = parts.OF_ENCODER.format(member, "colours")
            x = keras.layers.Concatenate(name=name)([x] * image.shape[3])
        name = parts.ENCODER.format(member)
        names = {id(cut_operation): name} if is_linear else {}
        copies.begin(names, lambda name: parts.OF_ENCODER.format(member, name))
        if is_linear:
            share = partial(_share, member, num_members)
            copies.change(cut_operation, share, activation="linear")
        x = graph.follow(before, image, x, cut, copies)
        if not is_linear and num_members > 1:
            x = keras.layers.Rescaling(
                1 / num_members, name=parts.OF_ENCODER.format(member, "share")
            )(x)
        return x

    def core(x):
        pool = _pool(whole, features)
        copies.begin({id(pool): parts.POOL} if pool else {}, _of_core)
        if activation is not keras.activations.linear:
            name, policy = f"{cut_operation.name}_activation", cut_operation.dtype_policy
            x = copies(keras.layers.Activation(activation, name=name, dtype=policy), x)
        x = graph.follow(after, cut, x, features, copies)
        if len(x.shape) == 3:
            x = keras.layers.GlobalAveragePooling1D(name=parts.POOL)(x)
        return x

    network = members.build(
        backbone.name, encoder, core, num_members, num_classes, shape, "glorot_uniform", seed
    )
    copies.take_weights()
    return network


class _Copies:
    """Calls copies of a backbone's layers, one of each in each part of the network."""

    def __init__(self, backbone, image_shape, seed):
        self.backbone, self.image_shape, self.seed = backbone, image_shape, seed
        self.pairs = []  # (original, copy, function of each weight)
        self.num_random = 0

    def begin(self, names: dict[int, str], rename: Callable):
        """Begins a part: with the names of layers by their id, and `rename` for all others."""
        self.names, self.rename = names, rename
        self.made, self.taken, self.changes = {}, set(), {}

    def change(self, operation, share, **config):
        """Lets a layer of this part be copied with another config, and its weights be changed."""
        self.changes[id(operation)] = share, config

    def __call__(self, operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        if id(operation) not in self.made:
            self.made[id(operation)] = self._copy(operation)
        copy = self.made[id(operation)]
        if random_layers.is_random(copy):
            return copy(args[0] if args else kwargs["inputs"], self.seed)
        try:
            return copy(*args, **kwargs)
        except ValueError as error:
            height, width, channels = self.image_shape
            raise ValueError(
                f"{operation.name} of {self.backbone.name} cannot take what comes of images of "
                f"{height}×{width}×{channels}: {arguments.first_line(error)}"
            ) from error

    def take_weights(self):
        """Gives the copies the weights of the backbone.

        Raises:
            ValueError: if one has more of them, or fewer, than what it is a copy of.
        """
        for original, copy, change in self.pairs:
            ours, theirs = len(copy.weights), len(original.weights)
            if ours != theirs:  # as where its activation is a layer with weights
                raise ValueError(
                    f"{original.name} of {self.backbone.name} cannot be copied by its config: it "
                    f"has {theirs} weights, and its copy {ours}"
                )
            copy.set_weights([change(weight) for weight in original.get_weights()])

    def _copy(self, operation):
        name = self.names.get(id(operation)) or self.name_of(operation.name)
        change, config = self.changes.get(id(operation), (lambda weight: weight, {}))
        if make := random_layers.seeded(operation):
            self.num_random += 1
            return make(name=name, number=self.num_random)
        if isinstance(operation, keras.layers.Normalization):
            return fixed_normalization.fixed(operation, name)
        try:
            copy = type(operation).from_config({**operation.get_config(), **config})
        except Exception as error:  # of somebody's own layer
            raise ValueError(
                f"{operation.name} of {self.backbone.name} cannot be copied by its config: "
                f"{arguments.first_line(error)}"
            ) from error
        copy.name = name
        if getattr(operation, "weights", None):
            self.pairs.append((operation, copy, change))
        return copy

    def name_of(self, name: str) -> str:
        """A name in the network for what is called so in the backbone."""
        name = self.rename(name)
        while name in self.taken:  # of two nested models
            name += "_"
        self.taken.add(name)
        return name


def _share(member, num_members, weight):
    """One member's part of an encoder's weight; those of all members sum up to it exactly."""
    share = (weight / num_members).astype(weight.dtype)
    if member < num_members - 1:
        return share
    return (weight.astype(np.float64) - member * share.astype(np.float64)).astype(weight.dtype)


def _cut(whole, backbone, split_at):
    """The KerasTensor that is mixed."""
    if split_at is not None:
        return _named(whole, backbone, "split_at", split_at)
    for call in whole.calls:
        if isinstance(call.operation, keras.layers.Conv2D):
            return call.outputs[0]
    raise ValueError(
        f"{backbone.name} has no convolution (Conv2D) to be cut after: name the layer whose output "
        "(B, h, w, filters) is to be mixed, as split_at"
    )


def _features(whole, backbone, features_at):
    """The KerasTensor that goes to the heads, or whose mean over the map does."""
    if features_at is not None:
        return _named(whole, backbone, "features_at", features_at)
    if len(whole.outputs) != 1:
        raise ValueError(
            f"{backbone.name} must have one output, got {len(whole.outputs)}: name the layer whose "
            "output is the features, as features_at"
        )
    (output,) = whole.outputs
    classifier = _behind(whole, output) if len(output.shape) == 2 else None
    if classifier and _classifies(classifier):
        return classifier.inputs[0]
    return output


def _classifies(call: Call) -> bool:
    """Whether it is a dense layer of features, or a convolution of a map of one pixel."""
    if isinstance(call.operation, keras.layers.Dense):
        return len(call.inputs[0].shape) == 2
    is_convolution = isinstance(call.operation, keras.layers.Conv2D)
    return is_convolution and tuple(call.inputs[0].shape[1:3]) == (1, 1)


def _pool(whole, features):
    """The backbone's own layer that averages the map right before its features; None without."""
    call = _behind(whole, features)
    pools = call and isinstance(call.operation, keras.layers.GlobalAveragePooling2D)
    return call.operation if pools and not call.operation.keepdims else None


def _behind(whole, tensor) -> Call | None:
    """The call that a tensor is from, behind layers that only hand on; None for an input."""
    made_by = {id(call.outputs[0]): call for call in whole.calls}
    call = made_by.get(id(tensor))
    while call and isinstance(call.operation, _HANDS_ON):
        call = made_by.get(id(call.inputs[0]))
    return call


def _named(whole, backbone, argument, name):
    """The KerasTensor that the layer of this name gives."""
    found = whole.named.get(name) if isinstance(name, str) else None
    if not found:
        raise ValueError(f"{argument} must be a layer of {backbone.name}, got {name!r}")
    if len(found) > 1:
        raise ValueError(
            f"{argument} must be a layer that gives one tensor, and {name} of {backbone.name} "
            f"gives {len(found)}"
        )
    return found[0]


def _of_core(name):
    """What a layer behind the mixing is called: as in the backbone, but not as parts are."""
    ours = parts.MASKS, parts.MIXING, parts.POOL, parts.SEED, "stack"
    own = "|".join((r"(image|encoder|head)_\d+.*", *ours))
    return f"core_{name}" if re.fullmatch(own, name) else name
