"""A new run from old weights."""

from itertools import zip_longest


def copy_weights(source, target):
    """Copies a trained network, batch-norm statistics included; heads for other classes stay new.

    Args:
        source: MixMo, the trained one.
        target: MixMo of the same architecture; its images may have another size, its heads
            another number of classes.

    Returns:
        bool, whether the heads were copied too.

    Raises:
        ValueError: if the architectures differ; the message says in what.
    """
    _check_same("num_members", source.num_members, target.num_members)
    _check_same("network", source.network.name, target.network.name)
    copies_heads = source.num_classes == target.num_classes
    heads = () if copies_heads else [f"head_{i}" for i in range(target.num_members)]
    pairs = list(zip_longest(_layers(source.network, heads), _layers(target.network, heads)))
    for theirs, ours in pairs:
        _check_same(f"layer {(ours or theirs).name}", _shapes(theirs), _shapes(ours))
    for theirs, ours in pairs:
        ours.set_weights(theirs.get_weights())
    return copies_heads


def _layers(network, left_out):
    """The layers that have weights, in the network's order."""
    return [layer for layer in network.layers if layer.weights and layer.name not in left_out]


def _shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights] if layer else "none"


def _check_same(what, there, here):
    if there != here:
        raise ValueError(f"it has another {what}: {there} there, {here} here")
