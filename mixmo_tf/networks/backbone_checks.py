"""What a backbone must be to be cut, copied and trained: one clear line on what is not so."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from mixmo_tf.networks import random_layers
from mixmo_tf.networks.graph import Call


def check_model(backbone: keras.Model) -> None:
    """Raises ValueError unless it is a functional model of one image (B, H, W, channels)."""
    if not isinstance(backbone, keras.Model):
        raise ValueError(f"backbone must be a keras.Model, got a {type(backbone).__name__}")
    try:
        inputs, outputs = backbone.inputs, backbone.outputs
    except (AttributeError, ValueError):
        inputs = outputs = None
    if not inputs or not outputs:
        raise ValueError(
            f"backbone must be a functional model: {backbone.name} is a {type(backbone).__name__} "
            "that is subclassed or not built, whose layers Keras cannot follow"
        )
    if len(inputs) > 1:
        names = ", ".join(tensor.name for tensor in inputs)
        raise ValueError(f"backbone must have one input, got {len(inputs)} ({names})")
    if len(inputs[0].shape) != 4:
        raise ValueError(
            f"backbone must take images (B, height, width, channels), got {inputs[0].shape}"
        )


def image_shape(backbone: keras.Model, wanted: Sequence[int] | None) -> tuple[int, ...]:
    """(H, W, channels) of the images: the backbone's own, where it is open those that are wanted.

    Raises:
        ValueError: if a size is neither known nor wanted, or is another one.
    """
    own = tuple(backbone.inputs[0].shape[1:])
    if wanted is None:
        if None in own:
            raise ValueError(
                f"image_shape must be given, (height, width, channels): {backbone.name} takes any "
                f"size, {own}"
            )
        return own
    try:
        wanted = tuple(wanted)
        fits = len(wanted) == 3
    except TypeError:
        fits = False
    if fits:
        is_grey = wanted[2] == 1 and own[2] == 3
        pairs = zip(own[:2] if is_grey else own, wanted, strict=False)
        fits = all(size in (None, given) for size, given in pairs)
    if not fits:
        raise ValueError(f"image_shape must fit {own}, which {backbone.name} takes, got {wanted}")
    return wanted


def check_parts(
    backbone: keras.Model, before: Sequence[Call], after: Sequence[Call], cut: str
) -> None:
    """Checks what is called before the layer `cut` has given its map, and after it.

    Raises:
        ValueError: if something passes the cut by, or a layer cannot be copied for what it is.
    """
    made = {id(tensor) for call in after for tensor in call.outputs}
    cut_tensor = before[-1].outputs[0] if before else None
    beside = [
        call.operation.name
        for call in after
        for tensor in call.inputs
        if id(tensor) not in made and tensor is not cut_tensor
    ]
    if not before or beside:
        by = f": {beside[0]} gets something that passes it by" if beside else ""
        raise ValueError(
            f"no single tensor separates {backbone.name} at {cut}{by}; name another layer as "
            "split_at"
        )
    if len(cut_tensor.shape) != 4:
        raise ValueError(
            f"split_at must be a layer that gives a map (B, h, w, filters), and {cut} of "
            f"{backbone.name} gives {tuple(cut_tensor.shape)}"
        )
    ours = {id(call.operation): call.operation for call in before}
    for call in after:
        if id(call.operation) in ours and getattr(call.operation, "weights", None):
            raise ValueError(
                f"{call.operation.name} of {backbone.name} has weights and stands before the cut "
                f"at {cut} and behind it: it cannot be the members' own"
            )
    for call in before:
        if getattr(call.operation, "activity_regularizer", None) is not None:
            raise ValueError(
                f"{call.operation.name} of {backbone.name} has an activity_regularizer, which is "
                "not possible before the cut: take it out"
            )
    for call in [*before, *after]:
        _check_layer(backbone, call)


def _check_layer(backbone, call):
    layer = call.operation
    for part in layer._flatten_layers() if isinstance(layer, keras.layers.Layer) else ():
        if getattr(part, "data_format", None) == "channels_first":
            raise ValueError(
                f"{part.name} of {backbone.name} has data_format='channels_first': build it with "
                "channels_last"
            )
        is_inside = part is not layer and isinstance(part, keras.layers.Normalization)
        if is_inside and part.weights:
            raise ValueError(
                f"{layer.name} of {backbone.name} has {part.name} inside, and a Normalization that "
                "was adapted keeps its numbers only as a layer of the model itself"
            )
    if random_layers.seeded(layer):
        return
    own_seed = any(v.name == "seed_generator_state" for v in getattr(layer, "variables", ()))
    if own_seed or _draws(call):
        raise ValueError(
            f"{layer.name} of {backbone.name}, a {type(layer).__name__}, draws random numbers of "
            "its own, which would be others in a run that goes on: build it without"
        )


def _draws(call):
    """Whether somebody's own layer draws random numbers when it trains."""
    layer = call.operation
    if not isinstance(layer, keras.layers.Layer) or type(layer).__module__.startswith("keras."):
        return False

    def train(*tensors):
        values = iter(tensors)
        args, kwargs = keras.tree.map_structure(
            lambda leaf: next(values) if isinstance(leaf, keras.KerasTensor) else leaf,
            (call.args, call.kwargs),
        )
        return layer(*args, **{**kwargs, "training": True})

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in call.inputs]
    definition = (
        tf.function(train, autograph=False).get_concrete_function(*specs).graph.as_graph_def()
    )
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    return any("Random" in node.op for node in nodes)
