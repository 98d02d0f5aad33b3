"""A new run from old weights."""

from itertools import zip_longest

from mixmo_tf.models.mixmo import MixMo
from mixmo_tf.networks import parts


def copy_weights(source: MixMo, target: MixMo) -> bool:
    """Copies a trained network, batch-norm statistics included; heads for other classes stay new.

    The target has the same architecture; its images may have another size, its heads other
    classes.

    Returns:
        bool, whether the heads were copied too.

    Raises:
        ValueError: if the architectures differ; the message says in what.
    """
    copies_heads = _same_classes(source, target)
    check_same_network(source, target, with_heads=copies_heads)
    for theirs, ours in _layer_pairs(source, target, copies_heads):
        ours.set_weights(theirs.get_weights())
    return copies_heads


def check_same_network(source: MixMo, target: MixMo, with_heads: bool = True) -> None:
    """Raises ValueError unless both MixMo have the same layers; the message says what differs."""
    _check_same("number of networks", len(source.networks), len(target.networks))
    _check_same("num_members", source.num_members, target.num_members)
    _check_same("network", source.network.name, target.network.name)
    for theirs, ours in _layer_pairs(source, target, with_heads):
        _check_same(f"layer {(ours or theirs).name}", _shapes(theirs), _shapes(ours))


def _same_classes(source, target):
    """Whether the classes are the same; by their names, where both models have them."""
    if source.class_names and target.class_names:
        return source.class_names == target.class_names
    return source.num_classes == target.num_classes


def _layer_pairs(source, target, with_heads):
    return list(zip_longest(*(_layers(each.network, with_heads) for each in (source, target))))


def _layers(network, with_heads):
    """The layers that have weights, in the network's order."""
    layers = [layer for layer in network.layers if layer.weights]
    return [layer for layer in layers if with_heads or not parts.is_head(layer)]


def _shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights] if layer else "none"


def _check_same(what, there, here):
    if there != here:
        raise ValueError(f"it has another {what}: {there} there, {here} here")
