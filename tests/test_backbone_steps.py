"""What is random in a backbone, or penalises its weights, in the steps of a training."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from backbones import CONV, IMAGES, cnn, model_of
from small_models import FEW_DRAWS, assert_same, two_replicas

import mixmo_tf
from mixmo_tf import draws, networks
from mixmo_tf.networks import from_backbone

layers = keras.layers
SIMPLE = {**FEW_DRAWS, "batch_repetitions": 1}


def random_model(seed=0, **options):
    keras.utils.set_random_seed(0)
    model = mixmo_tf.MixMo(from_backbone(cnn(), 2, 4), seed=seed, **SIMPLE)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), **options)
    return model


def test_a_run_that_goes_on_drops_what_it_would_have_dropped(tmp_path):
    labels = np.arange(8) % 4
    model = random_model()
    start = model.state()
    model.fit(IMAGES, labels, batch_size=4, epochs=2, verbose=0)
    whole = model.get_weights()
    model.set_state(start)
    model.fit(IMAGES, labels, batch_size=4, epochs=1, verbose=0)
    model.save(tmp_path / "part.keras")
    keras.utils.set_random_seed(5)
    again = keras.saving.load_model(tmp_path / "part.keras")
    again.fit(IMAGES, labels, batch_size=4, epochs=2, initial_epoch=1, verbose=0)
    assert_same(again.get_weights(), whole)


def test_what_is_dropped_is_the_steps_and_the_replicas_own():
    model = random_model()
    members, masks = (
        [tf.constant(IMAGES / np.float32(255))] * 2,
        draws.even_masks(8, 2, model.mask_size),
    )
    forward = functools.partial(model.forward, members, masks)
    first = forward(True, seed=tf.constant([1, 2]))
    np.testing.assert_array_equal(first, forward(True, seed=tf.constant([1, 2])))
    assert np.any(first != forward(True, seed=tf.constant([1, 3])))
    np.testing.assert_array_equal(forward(False), forward(False, seed=tf.constant([1, 3])))
    with two_replicas().scope():
        model = random_model()
    model.fit(IMAGES, np.arange(8) % 4, batch_size=4, verbose=0)
    assert int(model.step.numpy()) == 2


def test_xla_drops_the_same():
    backbone = model_of(CONV(), layers.SpatialDropout2D(0.5), layers.GaussianNoise(0.1))
    model = mixmo_tf.MixMo(from_backbone(backbone, 2, 4), **SIMPLE)
    model.compile("sgd")
    step = IMAGES, tf.constant(np.arange(8) % 4), None, tf.constant([1, 2]), 0.5
    value, *_, gradients = model.loss_and_gradients(*step)
    compiled = tf.function(model.loss_and_gradients, autograph=False, jit_compile=True)(*step)
    assert float(compiled[0]) == pytest.approx(float(value), rel=1e-5)
    for ours, theirs in zip(compiled[-1], gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    networks.set_precision(model.network, "mixed_bfloat16")
    in_16_bits, *_ = model.loss_and_gradients(*step)
    assert float(in_16_bits) == pytest.approx(float(value), rel=0.03)


def test_the_regularisers_penalties_join_the_loss():
    """l2 of 0.01 on both encoders' kernels, which is twice 0.01·Σ(W/2)²; and an `add_loss`."""

    @keras.saving.register_keras_serializable(package="test_backbone")
    class Busy(layers.Layer):
        def call(self, x):
            self.add_loss(tf.reduce_sum(x) * 0 + 5.0)
            return x

    backbone = cnn()
    image = keras.Input((16, 16, 3))
    wrapped = keras.Model(image, Busy()(backbone(image)), name="busy")
    for each, added in ((backbone, 0.0), (keras.Model(image, wrapped.output), 5.0)):
        at = "features" if not added else None
        network = from_backbone(each, 2, 4, features_at=at)
        model = mixmo_tf.MixMo(network, l2=0.5)
        model.compile("sgd")
        members, masks = [tf.constant(IMAGES / np.float32(255))] * 2, draws.even_masks(8, 2, (7, 7))
        model.forward(members, masks, training=True)
        squares = sum(np.sum(np.square(w)) for w in model.trainable_variables)
        (kernel, _) = backbone.get_layer("first").get_weights()
        expected = 7 + 0.5 * squares + 2 * 0.01 * np.sum(np.square(kernel / 2)) + added
        assert float(model.objective(tf.constant(7.0))) == pytest.approx(expected, rel=1e-6)


def test_heads_see_an_unmixed_map_of_which_as_much_is_dropped():
    last = layers.Conv2D(5, 3, name="last")
    backbone = model_of(CONV(kernel_regularizer="l2"), layers.SpatialDropout2D(0.5), last)
    network = from_backbone(backbone, 2, 4)
    model = mixmo_tf.MixMo(network, unmixing="full", batch_repetitions=1)
    model.compile("sgd")

    images = [tf.constant(IMAGES / np.float32(255))] * 2
    masks, fade = draws.even_masks(8, 2, model.mask_size), tf.constant(1.0)
    first, again, other = (
        model._unmixed(images, masks, fade, tf.constant([0, seed])) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    labels = tf.constant(np.arange(8) % 4)
    value, *_, gradients = model.loss_and_gradients(
        IMAGES, labels, None, tf.constant([0, 1]), 0.5, fade
    )
    assert np.isfinite(value) and all(np.all(np.isfinite(each)) for each in gradients)
