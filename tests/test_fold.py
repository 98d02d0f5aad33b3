"""Folded models: the outputs of the model, at the size of a plain network."""

import collections
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import assert_same, small, tiny_model

import mixmo_tf
from mixmo_tf import networks
from mixmo_tf.deployment import fold

BUILDS = {
    name: lambda m, name=name: networks.NETWORKS[name].build(**small(name, m))
    for name in networks.NETWORKS
    if name != "resnet50"  # its parts are resnet18's, in a core of more layers
}
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)


def shaken(network, seed=0):
    """The network as if trained: no statistic, scale or bias is what it began as."""
    random = np.random.default_rng(seed)
    for variable in network.variables:
        noise = random.random(variable.shape)
        variable.assign(variable.numpy() + (0.1 * noise - 0.05 if variable.trainable else noise))
    return network


def parameters(model):
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


@pytest.mark.parametrize("name", BUILDS)
def test_the_outputs_are_the_models_at_the_plain_size(name, request):
    model = mixmo_tf.MixMo(shaken(BUILDS[name](2)))
    expected, of_members = model(IMAGES), np.array(model.member_logits(IMAGES))
    request.getfixturevalue("quick_weights")  # what is drawn from here on is set, or counted
    plain = BUILDS[name](1)
    before = [weight.copy() for weight in model.network.get_weights()]
    folded = fold(model)
    np.testing.assert_allclose(folded(IMAGES), expected, atol=1e-5)
    assert parameters(folded) == parameters(plain)
    assert folded.count_params() == plain.count_params()  # nothing is added either
    fused = fold(model, fuse_batch_norm=True)
    np.testing.assert_allclose(fused(IMAGES), expected, atol=1e-5)
    assert parameters(fused) < parameters(plain)
    for options in ({}, {"fuse_batch_norm": True}):
        with_members = fold(model, members=True, **options)
        logits = with_members.member_logits(IMAGES)
        np.testing.assert_allclose(logits, of_members, atol=1e-5 * np.abs(of_members).max())
        np.testing.assert_allclose(with_members(IMAGES), expected, atol=1e-5)
    assert_same(model.network.get_weights(), before)  # the model stays as it is


def operations(model):
    """How often each kind of operation stands in the graph from pixels to probabilities."""
    pixels = tf.TensorSpec((None, *model.image_shape), tf.uint8)
    graph = tf.function(model.call, autograph=False).get_concrete_function(pixels).graph
    return collections.Counter(operation.type for operation in graph.get_operations())


@pytest.mark.parametrize("name", BUILDS)
def test_the_operations_are_the_plain_networks(name, quick_weights):
    model = mixmo_tf.MixMo(BUILDS[name](2))
    of_plain = operations(mixmo_tf.MixMo(BUILDS[name](1)))
    assert operations(fold(model)) == of_plain and of_plain["Conv2D"] > 1
    of_fused = operations(fold(model, fuse_batch_norm=True))
    assert of_fused.total() < of_plain.total()
    if name == "resnet18":  # here batch norm comes after every convolution, the encoder too
        assert not any("Norm" in kind or kind == "Rsqrt" for kind in of_fused)


def test_a_deep_ensemble_is_folded_model_by_model():
    models = [mixmo_tf.MixMo(shaken(BUILDS["wide_resnet"](m), m)) for m in (2, 3)]
    ensemble = mixmo_tf.DeepEnsemble(models, ensemble="probabilities")
    folded = fold(ensemble)
    np.testing.assert_allclose(folded(IMAGES), ensemble(IMAGES), atol=1e-5)
    assert parameters(folded) == 2 * parameters(BUILDS["wide_resnet"](1))


def test_kept_heads_are_folded_later():
    model = mixmo_tf.MixMo(shaken(BUILDS["wide_resnet"](3)))
    folded = fold(fold(model, members=True))
    np.testing.assert_allclose(folded(IMAGES), model(IMAGES), atol=1e-5)
    assert folded.num_members == 1


def test_three_members_and_a_plain_network():
    for num_members in (1, 3):
        mixing = {"mixing": None} if num_members == 1 else {}
        model = mixmo_tf.MixMo(shaken(BUILDS["wide_resnet"](num_members)), **mixing)
        np.testing.assert_allclose(fold(model)(IMAGES), model(IMAGES), atol=1e-5)


def test_a_folded_model_is_evaluated_saved_and_exported(tmp_path, pixels_and_labels):
    images, labels = pixels_and_labels
    model = tiny_model(class_names=["a", "b", "c", "d"], mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))
    folded = fold(model)
    folded.compile(metrics=["accuracy"])
    ours, theirs = (
        each.evaluate(images, labels, verbose=0, return_dict=True) for each in (folded, model)
    )
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
    folded.save(tmp_path / "folded.keras")
    loaded = keras.saving.load_model(tmp_path / "folded.keras")
    np.testing.assert_array_equal(loaded(images), folded(images))
    assert loaded.class_names == ("a", "b", "c", "d")
    folded.export(tmp_path / "exported")
    with pytest.raises(AttributeError, match="^a FoldedModel is not trained: train the MixMo that"):
        folded.fit(images, labels)
    with pytest.raises(AttributeError, match="^a FoldedModel is not trained: train the MixMo that"):
        folded.train_on_batch(images, labels)


def test_what_cannot_be_folded_is_refused():
    model = tiny_model(ensemble="probabilities")
    with pytest.raises(ValueError, match="averages probabilities is no plain network"):
        fold(model)
    images = IMAGES[:, :16, :16]
    np.testing.assert_allclose(fold(model, members=True)(images), model(images), atol=1e-5)

    with pytest.raises(ValueError, match="a Sequential cannot be folded"):
        fold(keras.Sequential())


def conv(name, **arguments):
    return keras.layers.Conv2D(4, 3, padding="same", name=name, **arguments)


def custom_network(encoder):
    """Two members; in the core, batch norm behind a ReLU, and one without scale behind none."""

    def core(x):
        x = keras.layers.Conv2D(5, 3, activation="relu")(x)
        x = keras.layers.Conv2D(6, 3)(keras.layers.BatchNormalization()(x))
        x = keras.layers.BatchNormalization(scale=False, center=False)(x)
        return keras.layers.GlobalAveragePooling2D()(x)

    return networks.build("custom", encoder, core, 2, 4, (16, 16, 3), "he_normal")


@pytest.mark.parametrize(
    "encoder, message",
    [
        (lambda i, x: conv(f"encoder_{i}", activation="relu")(x), "encoder_0 .* is not linear"),
        (lambda i, x: conv(f"encoder_{i}")(keras.layers.ReLU()(x)), "encoder_0 .* is not linear"),
        (lambda i, x: keras.layers.ReLU()(conv(f"encoder_{i}")(x)), "encoder_0 .* is not linear"),
        (lambda i, x: conv(None)(conv(f"encoder_{i}")(x)), "encoder_0 .* is not linear"),
        (lambda i, x: conv(f"encoder_{i}", dilation_rate=1 + i)(x), "encoders 0 and 1 .* differ"),
        (lambda i, x: conv(f"encoder_{i}", use_bias=i == 0)(x), "encoders 0 and 1 .* differ"),
    ],
)
def test_encoders_that_cannot_be_folded_are_refused(encoder, message):
    model = mixmo_tf.MixMo(custom_network(encoder))
    for members in (False, True):
        with pytest.raises(ValueError, match=message):
            fold(model, members=members)


def test_heads_that_are_not_linear_are_kept_only():
    network = custom_network(lambda i, x: conv(f"encoder_{i}")(x))
    network.get_layer("head_1").activation = keras.activations.tanh
    model, images = mixmo_tf.MixMo(shaken(network)), IMAGES[:, :16, :16]
    with pytest.raises(ValueError, match="head_1 of custom is not linear: keep the heads"):
        fold(model)
    np.testing.assert_allclose(fold(model, members=True)(images), model(images), atol=1e-5)


def test_encoders_with_biases_and_batch_norm_that_cannot_be_fused():
    network = shaken(custom_network(lambda i, x: conv(f"encoder_{i}")(x)))
    model, images = mixmo_tf.MixMo(network), IMAGES[:, :16, :16]
    fused = fold(model, fuse_batch_norm=True)
    np.testing.assert_allclose(fused(images), model(images), atol=1e-5)
    norms = [e for e in fused.network.layers if isinstance(e, keras.layers.BatchNormalization)]
    assert len(norms) == 1  # the one behind the ReLU


class Standardised(keras.layers.Conv2D):
    """A convolution whose kernels all have the same norm, whatever scales their weights."""

    def call(self, inputs):
        kernel = self.kernel / tf.sqrt(tf.reduce_sum(tf.square(self.kernel), axis=(0, 1, 2)))
        return tf.nn.conv2d(inputs, kernel, self.strides, self.padding.upper())


def test_a_convolution_of_ones_own_is_neither_summed_nor_scaled():
    def network(of_encoder, of_core):
        def encoder(member, image):
            return of_encoder(4, 3, 2, use_bias=False, name=f"encoder_{member}")(image)

        def core(x):
            x = keras.layers.ReLU()(x)
            return keras.layers.BatchNormalization()(of_core(4, 3, use_bias=False, name="own")(x))

        return shaken(networks.build("own", encoder, core, 2, 4, (16, 16, 3), "he_normal"))

    plain, images = keras.layers.Conv2D, IMAGES[:2, :16, :16]
    with pytest.raises(ValueError, match="encoder_0 of own is not linear: it cannot be folded"):
        fold(mixmo_tf.MixMo(network(Standardised, plain)))
    model = mixmo_tf.MixMo(network(plain, Standardised))
    fused = fold(model, fuse_batch_norm=True)
    np.testing.assert_allclose(fused(images), model(images), atol=1e-5)
    assert type(fused.network.get_layer("own")) is Standardised


@keras.saving.register_keras_serializable(package="test_fold")
class Nameless(keras.layers.Layer):
    """Its config says nothing of a layer's own, such as the name."""

    def __init__(self):
        super().__init__()
        self.inside = keras.layers.Conv2D(8, 1)

    def build(self, shape):
        self.inside.build(shape)

    def call(self, x):
        return self.inside(x)

    def get_config(self):
        return {}


def test_a_layer_whose_config_has_no_name_is_folded():
    def encoder(member, image):
        return keras.layers.Conv2D(8, 3, name=f"encoder_{member}")(image)

    network = networks.build("own", encoder, Nameless(), 2, 3, (32, 32, 3), "he_normal")
    model = mixmo_tf.MixMo(shaken(network))
    for fused in (False, True):
        folded = fold(model, fuse_batch_norm=fused)
        np.testing.assert_allclose(folded(IMAGES), model(IMAGES), atol=1e-6)
