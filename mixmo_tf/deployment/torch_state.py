"""Weights between Keras and the published PyTorch code: names and layouts.

In PyTorch's state a convolution's kernel is (out, in, height, width), a dense one (out, in).
"""

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import ArrayLike

from mixmo_tf.networks import parts

_RENAMED = (  # our layers' names, and what the published code calls them
    (f"{parts.BLOCK}_conv_{{}}", "layer{}.{}.conv{}"),
    (f"{parts.BLOCK}_norm_{{}}", "layer{}.{}.bn{}"),
    (f"{parts.BLOCK}_shortcut", "layer{}.{}.shortcut.0"),
    ("norm", "bn1"),
)
_OF_MEMBERS = (parts.ENCODER, "list_conv1.{}"), (parts.HEAD, "list_fc.{}")
_OF_PLAIN = (parts.ENCODER.format(0), "conv1"), (parts.HEAD.format(0), "fc")
_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
COUNTER = "num_batches_tracked"  # PyTorch's batch norm has it, and nothing depends on it


def load_torch_state(network: keras.Model, state: Mapping[str, ArrayLike]) -> None:
    """Gives a network the weights of a PyTorch state.

    Args:
        network: keras.Model, a `wide_resnet` or `preact_resnet18`.
        state: dict of arrays by the published code's names, in PyTorch's layout.

    Raises:
        ValueError: if a weight is missing, left over or of another shape; the message lists
            them, and the network is as before.
    """
    if not isinstance(state, dict):
        raise ValueError(f"state must be a dict of arrays, got a {type(state).__name__}")
    variables = variables_by_torch_name(network)
    counters = _counters(variables)
    arrays = {name: np.asarray(array) for name, array in state.items() if name not in counters}
    missing, left_over = variables.keys() - arrays.keys(), arrays.keys() - variables.keys()
    if missing or left_over:
        raise ValueError(
            f"the state does not fit {network.name}: {_list('missing', missing)}"
            f"{'; ' if missing and left_over else ''}{_list('left over', left_over)}"
        )
    for name, variable in variables.items():
        theirs, ours = arrays[name].shape, _to_torch_layout(np.empty(variable.shape)).shape
        if theirs != ours:
            raise ValueError(f"{name} does not fit {network.name}: {theirs} there, {ours} here")
    for name, variable in variables.items():
        variable.assign(to_keras_layout(arrays[name]))


def torch_state(network: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a network as a PyTorch state; `load_torch_state` takes it back.

    Args:
        network: keras.Model, a `wide_resnet` or `preact_resnet18`.

    Returns:
        dict of float32 arrays by the published code's names, in PyTorch's layout, and of the
        counters, int64 zeros, that PyTorch's batch norm asks for.
    """
    state = {
        name: _to_torch_layout(v.numpy()) for name, v in variables_by_torch_name(network).items()
    }
    return {**state, **{name: np.zeros((), np.int64) for name in sorted(_counters(state))}}


def variables_by_torch_name(network: keras.Model) -> dict[str, keras.Variable]:
    """The network's variables, a dict by the published code's names."""
    parts.check_has_members(network)
    num_members = network.output.shape[1]
    rules = (*_RENAMED, *(_OF_PLAIN if num_members == 1 else _OF_MEMBERS))
    variables = {}
    for layer in network.layers:
        if not layer.weights:
            continue
        for ours, theirs in rules:
            if (numbers := parts.numbers(ours, layer.name)) is not None:
                prefix = theirs.format(*numbers)
                break
        else:
            raise ValueError(f"the published code has no {network.name}: {layer.name} is unknown")
        if getattr(layer, "bias", None) is not None and not parts.is_head(layer):
            raise ValueError(
                f"the published code has no bias in {layer.name}: is batch norm fused?"
            )
        names = _BATCH_NORM if hasattr(layer, "gamma") else {"kernel": "weight", "bias": "bias"}
        for name, of_torch in names.items():
            if getattr(layer, name, None) is not None:
                variables[f"{prefix}.{of_torch}"] = getattr(layer, name)
    return variables


def _counters(names):
    """The names of the counters that go with the names of a state's weights."""
    mean = _BATCH_NORM["moving_mean"]
    return {f"{name.removesuffix(mean)}{COUNTER}" for name in names if name.endswith(mean)}


def to_keras_layout(array: np.ndarray) -> np.ndarray:
    """An array of a PyTorch state in Keras' layout: (height, width, in, out), (in, out)."""
    return array.transpose({4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim, range(array.ndim)))


def _to_torch_layout(array):
    return array.transpose({4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim, range(array.ndim)))


def _list(what, names):
    return f"{what}: {', '.join(sorted(names))}" if names else ""
