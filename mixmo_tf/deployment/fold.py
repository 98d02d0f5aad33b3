"""M members for the price of none: a trained model as a plain network with the same outputs.

At inference the mixed features are Σ_i c_i(x), and the ensemble's logits (1/M) Σ_i d_i(f).
Encoders and heads are linear, so one encoder with the sum of the kernels, and one head with
the mean of kernels and biases, do the same: the core stays as it is.
"""

import keras
import numpy as np
import tensorflow as tf

from mixmo_tf import augmentation
from mixmo_tf.data.checks import check_images
from mixmo_tf.ensemble import Ensemble
from mixmo_tf.training import replicas


def fold(model, members=False, fuse_batch_norm=False):
    """Folds a MixMo into a plain network; the model itself stays as it is.

    Args:
        model: MixMo, trained or not.
        members: bool, keep the M heads, and with them each member's prediction. The encoders
            become one all the same.
        fuse_batch_norm: bool, fold batch norm into convolutions where a convolution comes
            right before it: fewer operations, and no batch norm left there to train.

    Returns:
        FoldedModel, a keras.Model of pixels (n, H, W, channels) -> probabilities (n, C).

    Raises:
        ValueError: if an encoder is not linear, or the ensemble averages probabilities and
            `members` is False; the message says which.
    """
    if model.num_members > 1 and model.ensemble != "logits" and not members:
        raise ValueError(
            "an ensemble that averages probabilities is no plain network: fold it with "
            "members=True, or with ensemble='logits'"
        )
    network = _folded_network(model.network, model.num_members, members)
    if fuse_batch_norm:
        network = _fused(network)
    return FoldedModel(
        network,
        ensemble=model.ensemble,
        mean=model.mean,
        std=model.std,
        class_names=model.class_names,
    )


@keras.saving.register_keras_serializable(package="mixmo_tf")
class FoldedModel(Ensemble):
    """A plain network behind the normalisation: predicts, is judged, saved and exported.

    Args:
        network: keras.Model, normalised images (n, H, W, channels) -> logits (n, M, C), with
            M = 1 unless the heads were kept.
        ensemble: "logits" or "probabilities", what is averaged over the heads.
        mean: per channel, of pixels scaled to [0, 1].
        std: per channel, of pixels scaled to [0, 1].
        class_names: C strings by label, or None.
    """

    def __init__(self, network, *, ensemble, mean, std, class_names=None, **kwargs):
        _, num_members, num_classes = network.output.shape
        super().__init__(
            num_members, num_classes, network.input.shape[1:], ensemble, class_names, **kwargs
        )
        self.network = network
        self.mean = tuple(mean)
        self.std = tuple(std)

    @property
    def networks(self):
        return [self.network]

    def member_logits(self, images):
        """Pixels (n, H, W, channels) -> float32 (n, M, C)."""
        images = check_images(images, self.image_shape)
        num_images = tf.shape(images)[0]
        images = augmentation.normalise(replicas.at_least_one(images), self.mean, self.std)
        return self.network(images, training=False)[:num_images]

    def fit(self, *args, **kwargs):
        """A folded model is not trained: the MixMo that it is from was."""
        raise ValueError("a FoldedModel is not trained: train the MixMo, and fold it again")

    def get_config(self):
        names = "ensemble", "mean", "std", "class_names"
        config = {name: getattr(self, name) for name in names}
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), **config, "network": network}

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config.pop("network"))
        return cls(network, **config)


@keras.saving.register_keras_serializable(package="mixmo_tf")
class FusedAway(keras.layers.Layer):
    """Stands where batch norm was, and does nothing; called like batch norm."""

    def call(self, inputs, training=None, mask=None):
        return inputs


def _folded_network(network, num_members, members):
    """The network with one encoder, and one head unless `members`; its weights are copies."""
    encoders = [_encoder(network, i, num_members) for i in range(num_members)]
    heads = [network.get_layer(f"head_{i}") for i in range(num_members)]
    mixed = encoders[0].output if num_members == 1 else network.get_layer("mixing").output
    core = keras.Model(mixed, heads[0].input, name="core")

    image = keras.Input(encoders[0].input.shape[1:], name="image")
    encoder, folded_core = _copy(encoders[0]), _copy(core)
    features = folded_core(encoder(image))
    kept = heads if members else heads[:1]
    copies = [head.from_config(head.get_config()) for head in kept]
    logits = keras.ops.stack([head(features) for head in copies], axis=1)
    folded = keras.Model(image, logits, name=f"{network.name}_folded")

    for variables in zip(
        _convolution(encoder).weights, *(_convolution(e).weights for e in encoders)
    ):
        variables[0].assign(np.sum([v.numpy() for v in variables[1:]], axis=0, dtype=np.float64))
    folded_core.set_weights(core.get_weights())
    for i, copy in enumerate(copies):
        of_head = zip(copy.weights, *(h.weights for h in ([heads[i]] if members else heads)))
        for variable, *parts in of_head:
            variable.assign(np.mean([v.numpy() for v in parts], axis=0, dtype=np.float64))
    return folded


def _encoder(network, member, num_members):
    """What comes before the mixing, of one member.

    Raises:
        ValueError: unless it is one convolution, with padding before it at most.
    """
    layer = network.get_layer(f"encoder_{member}")
    encoder = keras.Model(network.input[f"image_{member}"], layer.output, name="encoder")
    linear = isinstance(layer, keras.layers.Conv2D) and layer.activation is keras.activations.linear
    others = [e for e in encoder.layers if e is not layer]
    if not linear or not all(
        isinstance(e, (keras.layers.InputLayer, keras.layers.ZeroPadding2D)) for e in others
    ):
        raise ValueError(f"encoder_{member} of {network.name} is not linear: it cannot be folded")
    return encoder


def _convolution(encoder):
    return encoder.layers[-1]


def _copy(model):
    return keras.models.clone_model(model)


def _fused(network):
    """A copy in which batch norm that follows a convolution has become its bias and scale."""
    core = network.get_layer("core")
    followed = {}  # batch norm's name by that of the convolution right before it
    for layer in core.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            before = layer.input._keras_history.operation
            if isinstance(before, keras.layers.Conv2D) and len(before._outbound_nodes) == 1:
                followed[before.name] = layer.name
    fused_names = set(followed.values())

    def copy(layer):
        config = layer.get_config()
        if layer.name in followed:
            return type(layer).from_config({**config, "use_bias": True})
        if layer.name in fused_names:
            return FusedAway(name=layer.name, dtype=config["dtype"])
        return type(layer).from_config(config)

    fused_core = keras.models.clone_model(core, clone_function=copy)
    for layer in core.layers:
        of_layer = fused_core.get_layer(layer.name)
        if layer.name in followed:
            of_layer.set_weights(_scaled(layer, core.get_layer(followed[layer.name])))
        elif layer.name not in fused_names:
            of_layer.set_weights(layer.get_weights())

    def part(layer):
        return fused_core if layer.name == "core" else type(layer).from_config(layer.get_config())

    fused = keras.models.clone_model(network, clone_function=part)
    for layer in network.layers:
        if layer.name != "core":
            fused.get_layer(layer.name).set_weights(layer.get_weights())
    return fused


def _scaled(convolution, norm):
    """Kernel and bias of convolution and batch norm together."""
    kernel, *bias = (w.astype(np.float64) for w in convolution.get_weights())
    gamma, beta, mean, variance = (
        v.numpy().astype(np.float64)
        for v in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    scale = gamma / np.sqrt(variance + norm.epsilon)
    bias = bias[0] if bias else 0.0
    return [kernel * scale, beta + (bias - mean) * scale]
