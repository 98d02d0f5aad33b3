"""16 bits: what stays float32, that it learns, and that a model moves between precisions."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from backbones import model_of
from small_models import (
    FEW_DRAWS,
    as_if_trained,
    assert_same,
    tiny_model,
    tiny_network,
    two_replicas,
)

import mixmo_tf
from mixmo_tf import networks
from mixmo_tf.networks.precision import computes_in_float32, uses_float16


@pytest.fixture(scope="module")
def exact_loss(pixels_and_labels):
    """The loss of a model in float32 after an epoch."""
    model = tiny_model(**FEW_DRAWS)
    model.fit(*pixels_and_labels, batch_size=8, verbose=0)
    return model.evaluate(*pixels_and_labels, batch_size=8, verbose=0)[0]


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_heads_weights_loss_and_metrics_are_float32(precision, pixels_and_labels, exact_loss):
    """And what is learnt is near to what float32 learns."""
    model = tiny_model(**FEW_DRAWS)
    network = model.network
    networks.set_precision(network, precision)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True), metrics=["accuracy"])
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    assert {layer.compute_dtype for layer in network.layers if "head" in layer.name} == {"float32"}
    assert network.get_layer("mixing").compute_dtype == precision.removeprefix("mixed_")
    assert {variable.dtype for variable in network.variables} == {"float32"}
    assert model.compute_dtype == "float32"  # or float pixels would lose bits
    before = model.evaluate(*pixels_and_labels, batch_size=8, verbose=0)[0]
    model.fit(*pixels_and_labels, batch_size=8, verbose=0)
    loss = model.evaluate(*pixels_and_labels, batch_size=8, verbose=0)[0]
    assert loss == pytest.approx(exact_loss, rel=0.02) != pytest.approx(before, rel=0.02)
    assert loss != exact_loss
    assert model.member_logits(pixels_and_labels[0][:2]).dtype == tf.float32


def test_a_step_that_overflows_on_one_replica_is_left_out_on_both(pixels_and_labels):
    """float16: a loss scale that makes one replica's gradients infinite, the other's not."""
    with two_replicas().scope():
        network = tiny_network()
        networks.set_precision(network, "mixed_float16")
        model = mixmo_tf.MixMo(network, batch_repetitions=1, **FEW_DRAWS)
        model.compile(keras.optimizers.SGD(0.05))
    finite = model.loss_and_gradients

    def overflow_on_the_second(*step):
        *results, gradients = finite(*step)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return *results, [tf.where(replica == 1, np.inf, gradient) for gradient in gradients]

    model.compiled_loss_and_gradients = overflow_on_the_second
    before = [weight.numpy() for weight in network.trainable_variables]
    scale = model.optimizer.dynamic_scale.numpy()
    images, labels = pixels_and_labels
    model.fit(images[:8], labels[:8], batch_size=8, verbose=0)
    assert_same(network.trainable_variables, before)
    assert model.optimizer.dynamic_scale.numpy() == scale / 2


def test_a_saved_model_changes_its_precision(tmp_path, pixels_and_labels):
    images = pixels_and_labels[0][:8]
    model = tiny_model()
    exact = model.predict(images, verbose=0)
    networks.set_precision(model.network, "mixed_bfloat16")
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.network.get_layer("mixing").compute_dtype == "bfloat16"
    rough = loaded.predict(images, verbose=0)
    assert 0 < np.abs(rough - exact).max() < 0.05
    networks.set_precision(loaded.network, "float32")
    again = mixmo_tf.MixMo.from_config(loaded.get_config())
    again.set_weights(loaded.get_weights())
    np.testing.assert_array_equal(again.predict(images, verbose=0), exact)
    loaded.export(tmp_path / "saved_model")
    answer = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"](
        images=tf.constant(images)
    )
    np.testing.assert_allclose(answer["probabilities"], exact, atol=1e-6)


@keras.saving.register_keras_serializable(package="test_precision")
class Twice(keras.layers.Layer):
    """Layers inside that compute in float32, whatever it is told: it hands no dtype on."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inside = [keras.layers.Conv2D(8, 1), keras.layers.Conv2D(8, 1)]

    def call(self, x):
        for layer in self.inside:
            x = layer(x)
        return x


class Unregistered(Twice):
    def get_config(self):
        raise NotImplementedError


def attention():
    flat = keras.layers.Reshape((49, 8))
    of_itself = keras.layers.MultiHeadAttention(2, 4)
    return lambda x: keras.layers.Reshape((7, 7, 8))(of_itself(flat(x), flat(x)))


def shared_model():
    """A nested model that is called twice, which stays closed."""
    inner = keras.Input((None, None, 8))
    model = keras.Model(inner, keras.layers.Conv2D(8, 1)(inner))
    return lambda x: model(model(x))


def wrapped():
    return keras.layers.SpectralNormalization(keras.layers.Conv2D(8, 1))


INSIDE = {
    attention: "bfloat16",
    shared_model: "bfloat16",
    wrapped: "bfloat16",
    Twice: "float32",
}


@pytest.mark.parametrize("layer", INSIDE)
def test_what_is_inside_a_layer_computes_as_after_loading(layer, tmp_path, pixels_and_labels):
    """In 16 bits if the layer says so; a loaded model, and one set back, give the same bits."""
    images = pixels_and_labels[0][:8]
    network = networks.from_backbone(model_of(keras.layers.Conv2D(8, 3, 2), layer()), 2, 3)
    model = as_if_trained(mixmo_tf.MixMo(network))
    exact = model.member_logits(images)
    before = random.getstate()
    networks.set_precision(network, "mixed_bfloat16")
    assert random.getstate() == before
    assert not computes_in_float32(network)
    inside = set(network._flatten_layers(include_self=False)) - set(network.layers)
    of_kernels = {part.compute_dtype for part in inside if hasattr(part, "kernel")}
    assert of_kernels == {INSIDE[layer]}
    rough = mixmo_tf.MixMo(network).member_logits(images)
    assert 0 < np.abs(rough - exact).max() < 0.2
    model.save(tmp_path / "x.keras")
    loaded = mixmo_tf.load(tmp_path / "x.keras")
    assert_same(loaded.member_logits(images), rough)
    networks.set_precision(loaded.network, "float32")
    assert computes_in_float32(loaded.network)
    assert_same(mixmo_tf.MixMo(loaded.network).member_logits(images), exact)


def test_a_layer_that_cannot_be_saved_has_its_precision(pixels_and_labels):
    def encoder(member, image):
        return keras.layers.Conv2D(8, 3, name=f"encoder_{member}")(image)

    network = networks.build("own", encoder, Unregistered(), 2, 3, (16, 16, 3), "he_normal")
    networks.set_precision(network, "mixed_float16")
    dtypes = {layer.compute_dtype for layer in network.layers if isinstance(layer, Unregistered)}
    assert dtypes == {"float16"} and uses_float16(network)
    assert mixmo_tf.MixMo(network).predict(pixels_and_labels[0][:2], verbose=0).shape == (2, 3)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision must be one of float32, mixed_bfloat16"):
        networks.set_precision(tiny_network(), "float64")
