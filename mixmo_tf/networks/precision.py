"""What a network computes in: float32, or 16 bits with float32 weights (Micikevicius 2018)."""

import keras

from mixmo_tf import arguments
from mixmo_tf.networks import parts

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def set_precision(network: keras.Model, precision: str) -> None:
    """Lets every layer compute in another precision; the weights are and stay float32.

    The heads stay in float32, and with them the logits, the loss and the metrics. It holds
    for what is compiled or exported from then on, and is saved with the model.

    Args:
        network: keras.Model, as `mixmo_tf.networks` build it.
        precision: one of `PRECISIONS`. With "mixed_float16" `MixMo.compile` scales the loss.

    Raises:
        ValueError: if `precision` is unknown, or `network` is no keras.Model.
    """
    parts.check_network(network)
    arguments.one_of("precision", precision, PRECISIONS)
    for layer in network.layers:
        if not isinstance(layer, keras.layers.InputLayer) and not parts.is_head(layer):
            layer.dtype_policy = keras.DTypePolicy(precision)


def computes_in_float32(network: keras.Model) -> bool:
    """Whether no layer computes in 16 bits."""
    return all(layer.compute_dtype == "float32" for layer in network.layers)


def uses_float16(network: keras.Model) -> bool:
    """Whether a layer computes in float16, whose gradients need a scaled loss."""
    return any(layer.compute_dtype == "float16" for layer in network.layers)
