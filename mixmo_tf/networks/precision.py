"""What a network computes in: float32, or 16 bits with float32 weights (Micikevicius 2018)."""

import warnings

import keras

from mixmo_tf import arguments, random_state
from mixmo_tf.networks import parts

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def set_precision(network: keras.Model, precision: str) -> None:
    """Lets every layer compute in another precision; the weights are and stay float32.

    The heads stay in float32, and with them the logits, the loss and the metrics. It holds
    for what is compiled or exported from then on, and is saved with the model. Layers inside
    another compute as they would if the model were loaded: in float32, where the outer one does not
    pass its dtype policy on.

    Args:
        network: keras.Model, as `mixmo_tf.networks` build it.
        precision: one of `PRECISIONS`. With "mixed_float16" `MixMo.compile` scales the loss.

    Raises:
        ValueError: if `precision` is unknown, or `network` is no keras.Model.
    """
    parts.check_network(network)
    arguments.one_of("precision", precision, PRECISIONS)
    for layer in network.layers:
        if not parts.is_head(layer):
            _set(layer, keras.DTypePolicy(precision))


def computes_in_float32(network: keras.Model) -> bool:
    """Whether no layer computes in 16 bits, nor a layer inside one."""
    return _dtypes(network) == {"float32"}


def uses_float16(network: keras.Model) -> bool:
    """Whether a layer computes in float16, whose gradients need a scaled loss."""
    return "float16" in _dtypes(network)


def _dtypes(network):
    return {layer.compute_dtype for layer in network._flatten_layers(include_self=False)}


def _set(layer, policy):
    """Of a layer; those inside it get what they would have if it were loaded from a file.

    Only its class knows whether they compute as it does; if it cannot be loaded, they do. A nested
    model stays in float32 itself, as Keras does not save its policy; its layers are set one by one.
    """
    if isinstance(layer, keras.layers.InputLayer):
        return
    if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
        for inner in layer.layers:
            _set(inner, policy)
        return
    inside = layer._flatten_layers(include_self=False)
    for each in (layer, *inside):  # what is inside a wrapper is saved as it is
        if not isinstance(each, keras.layers.InputLayer):
            each.dtype_policy = policy
    for ours, theirs in zip(inside, _inside_when_loaded(layer) if inside else [], strict=False):
        ours.dtype_policy = theirs.dtype_policy


def _inside_when_loaded(layer):
    """The layers inside a copy that is made of the layer's config; [] where none can be made."""
    try:
        with random_state.kept(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # which loading the model repeats
            config = keras.saving.serialize_keras_object(layer)
            loaded = keras.saving.deserialize_keras_object(config)
    except Exception:  # whatever a class raises that cannot be saved, or not be loaded
        return []
    return loaded._flatten_layers(include_self=False)
