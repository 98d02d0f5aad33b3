"""Where a network's parts are in its graph, and what their layers are called.

    image_0 → encoder_0 ┐                 ┌ head_0 ┐
    image_1 → encoder_1 ┼ mixing → core → ┤        ├ logits (B, M, C)
              masks ────┘                 └ head_1 ┘

With M = 1 there are neither masks nor a mixing layer. The names are in users' files. Nobody else
spells them, or looks at those of Keras' attributes that say how layers hang together. What is
inside a core is called as its network's file says.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import keras

from mixmo_tf.networks import graph
from mixmo_tf.networks.fixed_normalization import FixedNormalization

IMAGE, ENCODER, HEAD = "image_{}", "encoder_{}", "head_{}"  # of a member
OF_ENCODER = "encoder_{}_{}"  # what else a member's encoder consists of
MASKS, MIXING, POOL, SEED = "masks", "mixing", "pool", "seed"
BLOCK = "group_{}_block_{}"  # of a ResNet's core; the names of its layers begin so
_SCALES = keras.layers.Rescaling, keras.layers.Normalization, FixedNormalization
_ARITHMETIC = "Add", "Subtract", "Multiply", "TrueDivide", "Divide"  # Keras' operations


def check_network(network: keras.Model) -> None:
    """Raises ValueError unless it is a keras.Model of layers."""
    if not isinstance(network, keras.Model):
        raise ValueError(
            f"network must be a keras.Model, as mixmo_tf.networks build it, "
            f"got a {type(network).__name__}"
        )


def check_has_members(network: keras.Model) -> None:
    """Raises ValueError unless it is a keras.Model whose inputs and output are those of `build`."""
    check_network(network)
    inputs, output = getattr(network, "input", None), getattr(network, "output", None)
    has_images = isinstance(inputs, dict) and IMAGE.format(0) in inputs
    if not has_images or len(getattr(output, "shape", ())) != 3:
        raise ValueError(
            "network must take image_0, … by name and give logits (n, M, C), as mixmo_tf.networks "
            f"build it; {network.name} does not"
        )


def numbers(name: str, layer_name: str) -> tuple | None:
    """The numbers in a layer's name, such as ("1", "0") in "group_1_block_0"; None in another."""
    match = re.fullmatch(name.replace("{}", r"(\d+)"), layer_name)
    return match.groups() if match else None


def inputs(images: Sequence, masks: Any = None, seed: Any = None) -> dict:
    """A network's inputs by name: M times (B, H, W, channels), and masks (B, h, w, M) if any.

    A network that is random inside takes a seed too, int32 (2,).
    """
    named = {IMAGE.format(i): each for i, each in enumerate(images)}
    others = {MASKS: masks, SEED: seed}
    return named | {name: each for name, each in others.items() if each is not None}


def takes_seed(network: keras.Model) -> bool:
    """Whether a layer of it is random in training."""
    return SEED in network.input


def image_shape(network: keras.Model) -> tuple:
    """(H, W, channels) of each member's image."""
    return network.input[IMAGE.format(0)].shape[1:]


def mask_size(network: keras.Model) -> tuple:
    """(h, w) of the masks, the size of the encoded images; (1, 1) where nothing is mixed."""
    return network.input[MASKS].shape[1:3] if MASKS in network.input else (1, 1)


def is_head(layer: keras.layers.Layer) -> bool:
    """Whether it is a member's head."""
    return numbers(HEAD, layer.name) is not None


def encoders(network: keras.Model) -> list:
    """The members' encoders, layers with a kernel (height, width, channels, filters) each."""
    layers = {layer.name: layer for layer in network.layers}
    names = map(ENCODER.format, itertools.count())
    return [layers[name] for name in itertools.takewhile(layers.__contains__, names)]


def core(network: keras.Model) -> list:
    """The core's layers: those of neither an encoder nor a head, nor the network's inputs.

    With M = 1, where no mixing layer says where an encoder ends, what is called after it is its.
    """
    of_encoders = {id(call.operation) for calls in until_mixing(network) for call in calls}
    return [
        layer
        for layer in network.layers
        if id(layer) not in of_encoders and not is_head(layer) and not _is_before_core(layer)
    ]


def until_mixing(network: keras.Model) -> list:
    """Of each member all that is called, graph.Call, from its image to the mixing layer.

    It is empty if nothing is mixed.
    """
    if MASKS not in network.input:
        return []
    *encoded, _ = network.get_layer(MIXING).input
    calls, known = graph.read(network).calls, network.input.values()
    return [graph.needed(calls, tensor, known) for tensor in encoded]


def rescales(network: keras.Model) -> bool:
    """Whether a layer before the first with weights rescales or normalises the pixels."""
    reached = {id(network.input[IMAGE.format(0)])}
    for call in graph.read(network).calls:
        if call.inputs and all(id(tensor) in reached for tensor in call.inputs):
            if isinstance(call.operation, _SCALES) or is_arithmetic(call.operation):
                return True
            if not getattr(call.operation, "weights", None):
                reached |= set(map(id, call.outputs))
    return False


def is_arithmetic(operation: keras.Operation) -> bool:
    """Whether it is a sum, product or quotient, as of `images / 255`."""
    is_layer = isinstance(operation, keras.layers.Layer)
    return not is_layer and type(operation).__name__ in _ARITHMETIC


def logits(network: keras.Model) -> list:
    """Each member's logits, (B, C), which the network stacks.

    Raises:
        ValueError: if it does not, and so is not from `build`.
    """
    stack = _operation(network.output)
    if type(stack).__name__ != "Stack":
        raise ValueError(f"{network.name} is not from networks.build: its logits are not stacked")
    return keras.tree.flatten(stack.input)


def heads(network: keras.Model) -> list:
    """The layers that give each member's logits."""
    return [_operation(of_member) for of_member in logits(network)]


def pool(network: keras.Model) -> tuple[keras.layers.Layer, list]:
    """The layer that averages the core's map (B, h', w', features), and what follows it.

    Returns:
        The layer, and the calls, graph.Call, that make of its output what all heads take: mostly
        none, else of layers without weights, such as dropout.

    Raises:
        ValueError: if the heads take something else, as where a core pools itself.
    """
    features, *others = (head.input for head in heads(network))
    layer = next((each for each in network.layers if each.name == POOL), None)
    if isinstance(layer, keras.layers.GlobalAveragePooling2D):
        known = [layer.output] + ([network.input[SEED]] if takes_seed(network) else [])
        after = graph.needed(graph.read(network).calls, features, known)
        made = {id(tensor) for call in after for tensor in (*call.outputs, *known)}
        is_only_way = all(id(tensor) in made for call in after for tensor in call.inputs)
        has_weights = any(getattr(call.operation, "weights", None) for call in after)
        if is_only_way and not has_weights and all(each is features for each in others):
            return layer, after
    raise ValueError(
        f"unmixing needs the core's map: the core of {network.name} pools itself, and ends with "
        f"the layer {_operation(features).name}; it must give (B, h, w, features), for build to "
        "pool"
    )


def only_before(layer: keras.layers.Layer) -> keras.Operation | None:
    """What alone feeds this layer, and feeds nothing else; None where there is no such."""
    if len(layer._inbound_nodes) != 1 or not isinstance(layer.input, keras.KerasTensor):
        return None
    before = _operation(layer.input)
    return before if len(before._outbound_nodes) == 1 else None


def _is_before_core(layer):
    is_input = isinstance(layer, keras.layers.InputLayer)
    begin = ENCODER.replace("{}", r"\d+")
    return is_input or layer.name == MIXING or re.match(f"{begin}(_|$)", layer.name)


def _operation(tensor):
    return tensor._keras_history.operation
