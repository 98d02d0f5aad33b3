"""M members for the price of none: a trained model as a plain network with the same outputs.

At inference the mixed features are Σ_i c_i(x), and the ensemble's logits (1/M) Σ_i d_i(f).
Encoders and heads are linear, so one encoder with the sum of the kernels, and one head with
the mean of kernels and biases, do the same: the core stays as it is.
"""

import keras
import numpy as np

from mixmo_tf import random_state
from mixmo_tf.models.deep_ensemble import DeepEnsemble
from mixmo_tf.models.folded import FoldedModel
from mixmo_tf.models.predictor import Predictor
from mixmo_tf.networks import graph, parts, random_layers
from mixmo_tf.networks.batch_norm import BatchNormalization
from mixmo_tf.networks.fixed_normalization import FixedNormalization

_BEFORE = (  # what may stand before an encoder's convolution, alike for every member
    keras.layers.ZeroPadding2D, keras.layers.Rescaling, keras.layers.Normalization,
    FixedNormalization, keras.layers.Concatenate,
)  # fmt: skip
_NORMS = keras.layers.BatchNormalization, BatchNormalization
_PLACES = (
    "filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "data_format",
    "use_bias", "scale", "offset", "mean", "variance", "axis", "invert",
)  # fmt: skip


@random_state.kept()
def fold(
    model: Predictor, members: bool = False, fuse_batch_norm: bool = False
) -> FoldedModel | DeepEnsemble:
    """Folds a MixMo into a plain network; the model itself stays as it is.

    Args:
        model: MixMo, trained or not; a FoldedModel whose heads were kept; or a DeepEnsemble,
            each of whose models is folded.
        members: bool, keep the M heads, and with them each member's prediction. The encoders
            become one all the same.
        fuse_batch_norm: bool, fold batch norm into convolutions where a convolution comes
            right before it: fewer operations, and no batch norm left there to train.

    Returns:
        FoldedModel, a keras.Model of pixels (n, H, W, channels) -> probabilities (n, C); a
        DeepEnsemble of them for a DeepEnsemble.

    Raises:
        ValueError: if an encoder or a head is not linear, if the encoders are not alike, or if
            the ensemble averages probabilities and `members` is False; the message says which.
    """
    if isinstance(model, DeepEnsemble):
        folded = [fold(each, members, fuse_batch_norm) for each in model.models]
        return DeepEnsemble(folded, ensemble=model.ensemble)
    if not isinstance(getattr(model, "network", None), keras.Model):
        raise ValueError(f"model must be a MixMo: a {type(model).__name__} cannot be folded")
    if model.num_members > 1 and model.ensemble != "logits" and not members:
        raise ValueError(
            "an ensemble that averages probabilities is no plain network: fold it with "
            "members=True, or with ensemble='logits'"
        )
    network = _plain_network(model.network, range(model.num_members if members else 1))
    if fuse_batch_norm:
        network = _fused(network)
    return FoldedModel(
        network,
        ensemble=model.ensemble,
        mean=model.mean,
        std=model.std,
        class_names=model.class_names,
    )


def _plain_network(network, kept):
    """The network with one encoder, and the heads numbered `kept`; its weights are copies."""
    encoders, heads = _encoders(network), _heads(network, needed=len(kept))

    def call(layer, *args, **kwargs):
        if random_layers.is_random(layer):
            return args[0]
        return args[0][0] if layer.name == parts.MIXING else layer(*args, **kwargs)

    copy = keras.models.clone_model(network, clone_function=_copied, call_function=call)
    image = parts.IMAGE.format(0)
    logits = [parts.logits(copy)[i] for i in kept]
    stacked = keras.ops.stack(logits, axis=1)
    plain = keras.Model({image: copy.input[image]}, stacked, name=network.name)
    for layer in plain.layers:
        if layer.weights:
            layer.set_weights(network.get_layer(layer.name).get_weights())
    _join(plain, encoders, np.sum)
    _join(plain, heads, np.mean)
    return plain


def _join(plain, layers, join):
    """Gives the plain network's layer, named as the first, the sum or mean of all weights."""
    if layers:
        weights = zip(*(layer.get_weights() for layer in layers), strict=True)
        joined = [join(arrays, axis=0, dtype=np.float64) for arrays in weights]
        plain.get_layer(layers[0].name).set_weights(joined)


def _encoders(network):
    """The convolutions before the mixing layer; none if nothing is mixed.

    Raises:
        ValueError: unless each has padding and what rescales pixels before it at most, is mixed
            as it is, and is placed like the first.
    """
    layers, places = [], []
    for i, (*before, last) in enumerate(parts.until_mixing(network)):
        layer = last.operation
        is_convolution = _is_linear(layer, keras.layers.Conv2D)
        if not is_convolution or not all(_may_be_before(call.operation) for call in before):
            raise ValueError(
                f"{parts.ENCODER.format(i)} of {network.name} is not linear: it cannot be folded"
            )
        layers.append(layer)
        places.append([_place(call) for call in (*before, last)])
        if places[i] != places[0]:
            raise ValueError(f"encoders 0 and {i} of {network.name} differ: they cannot be folded")
    return layers


def _may_be_before(operation):
    is_known = isinstance(operation, _BEFORE) or random_layers.is_random(operation)
    return is_known or parts.is_arithmetic(operation)


def _place(call):
    """What must be the same for every member."""
    config = call.operation.get_config()
    named = {key: repr(config[key]) for key in _PLACES if key in config}
    return type(call.operation), named, graph.constants(call)


def _heads(network, needed):
    """The dense layers that give the logits; none if all the heads are needed.

    Raises:
        ValueError: unless all take the same features, and their outputs are the logits.
    """
    if needed == network.output.shape[1]:
        return []
    heads = parts.heads(network)
    for i, head in enumerate(heads):
        if not _is_linear(head, keras.layers.Dense) or head.input is not heads[0].input:
            raise ValueError(
                f"{parts.HEAD.format(i)} of {network.name} is not linear: keep the heads, "
                "with members=True"
            )
    return heads


def _is_linear(layer, kind):
    """Whether it is of this kind, and computes as Keras' own does; a subclass may not."""
    is_kind = isinstance(layer, kind) and type(layer).call is kind.call
    return is_kind and layer.activation is keras.activations.linear


def _fused(network):
    """A copy in which batch norm that follows a convolution has become its scale and bias."""
    norm_after = {}  # batch norm by the name of the convolution right before it
    for layer in network.layers:
        if type(layer) in _NORMS and layer.axis in (-1, 3):
            before = parts.only_before(layer)
            if _is_linear(before, keras.layers.Conv2D):
                norm_after[before.name] = layer
    fused_away = {norm.name for norm in norm_after.values()}

    def copy(layer):
        return _copied(layer, **({"use_bias": True} if layer.name in norm_after else {}))

    def call(layer, inputs, *args, **kwargs):
        return inputs if layer.name in fused_away else layer(inputs, *args, **kwargs)

    fused = keras.models.clone_model(network, clone_function=copy, call_function=call)
    for layer in fused.layers:
        if layer.weights:
            original, norm = network.get_layer(layer.name), norm_after.get(layer.name)
            layer.set_weights(_scaled(original, norm) if norm else original.get_weights())
    return fused


def _copied(layer, **changes):
    copy = type(layer).from_config({**layer.get_config(), **changes})
    copy.name = layer.name  # which the config of somebody's own layer may leave out
    return copy


def _scaled(convolution, norm):
    """Kernel and bias of convolution and batch norm together."""
    kernel, *bias = (weight.astype(np.float64) for weight in convolution.get_weights())
    mean, variance = (
        v.numpy().astype(np.float64) for v in (norm.moving_mean, norm.moving_variance)
    )
    gamma = norm.gamma.numpy() if norm.scale else 1.0
    beta = norm.beta.numpy() if norm.center else 0.0
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return [kernel * scale, beta + (sum(bias) - mean) * scale]
