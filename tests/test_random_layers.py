"""Dropout and noise from a given seed: what they change, how often, and that they know Keras'."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf.networks import random_layers
from mixmo_tf.networks.random_layers import SeededAlphaDropout, SeededDropout, SeededNoise

layers = keras.layers
ONES = np.ones((4, 30, 30, 8), np.float32)
SEED, OTHER = tf.constant([3, 4]), tf.constant([3, 5])


@pytest.mark.parametrize("noise_shape", [None, (None, 1, 1, None), (None, 1, 1, 1)])
def test_dropout_keeps_the_share_and_the_mean(noise_shape):
    layer = SeededDropout(0.25, noise_shape, number=1)
    images = np.ones((800, 2, 3, 5), np.float32)
    changed = np.array(layer(images, SEED, training=True))
    assert set(np.unique(changed)) == {np.float32(0), np.float32(1 / 0.75)}
    assert changed.mean() == pytest.approx(1, abs=0.08)
    if noise_shape:  # one draw for what the shape says
        assert np.all(changed == changed[:, :1, :1])
        assert (noise_shape[3] == 1) == bool(np.all(changed == changed[..., :1]))


def test_noise_has_its_deviation_and_alpha_dropout_keeps_mean_and_variance():
    normal = np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)
    added = np.array(SeededNoise(0.3, number=0)(normal, SEED, training=True)) - normal
    assert added.std() == pytest.approx(0.3, rel=0.02) and abs(added.mean()) < 0.01
    times = np.array(SeededNoise(0.3, True, number=0)(2 * ONES, SEED, training=True))
    assert times.std() == pytest.approx(0.6, rel=0.02) and times.mean() == pytest.approx(2, 0.01)
    alpha = np.array(SeededAlphaDropout(0.2, number=0)(normal, SEED, training=True))
    assert alpha.std() == pytest.approx(1, abs=0.02) and abs(alpha.mean()) < 0.02


def test_the_draw_depends_on_seed_and_number_and_training_alone():
    layer, other = SeededDropout(0.5, number=1), SeededDropout(0.5, number=2)
    first = np.array(layer(ONES, SEED, training=True))
    np.testing.assert_array_equal(first, layer(ONES, SEED, training=True))
    assert np.any(first != layer(ONES, OTHER, training=True))
    assert np.any(first != other(ONES, SEED, training=True))
    for training in (False, None):
        np.testing.assert_array_equal(layer(ONES, SEED, training=training), ONES)
    compiled = tf.function(lambda x: layer(x, SEED, training=True), jit_compile=True)
    np.testing.assert_array_equal(first, compiled(ONES))


def test_everything_can_be_dropped_and_halves_stay_halves():
    gone = SeededDropout(1.0, number=0)
    with tf.GradientTape() as tape:
        x = tf.constant(ONES)
        tape.watch(x)
        changed = gone(x, SEED, training=True)
    assert not np.any(changed) and not np.any(tape.gradient(changed, x))
    half = SeededDropout(0.5, number=0, dtype="mixed_float16")(ONES, SEED, training=True)
    assert half.dtype == tf.float16


@pytest.mark.parametrize(
    "layer, config",
    [
        (layers.Dropout(0.3, (None, 1)), {"rate": 0.3, "noise_shape": (None, 1)}),
        (layers.SpatialDropout1D(0.2), {"rate": 0.2, "noise_shape": (None, 1, None)}),
        (layers.SpatialDropout2D(0.2), {"rate": 0.2, "noise_shape": (None, 1, 1, None)}),
        (layers.AlphaDropout(0.1), {"rate": 0.1, "noise_shape": None}),
        (layers.GaussianNoise(0.4), {"stddev": 0.4, "multiplies": False}),
        (layers.GaussianDropout(0.2), {"stddev": 0.5, "multiplies": True}),
    ],
)
def test_layers_of_keras_have_their_counterparts(layer, config):
    made = random_layers.seeded(layer)(name="mine", number=7)
    found = made.get_config()
    assert {name: found[name] for name in config} == config and made.name == "mine"
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert again.get_config() == found and random_layers.is_random(again)


def test_stochastic_depth_drops_whole_rows():
    from keras.src.applications.convnext import StochasticDepth  # which no public name leads to

    theirs = StochasticDepth(0.4)
    theirs(keras.Input((5, 6, 7)))
    made = random_layers.seeded(theirs)(name="depth", number=0)
    assert made.rate == 0.4 and made.noise_shape == (None, 1, 1, 1)


def test_other_layers_have_none():
    for layer in (layers.ReLU(), layers.RandomFlip(), layers.MultiHeadAttention(1, 2, dropout=0.1)):
        assert random_layers.seeded(layer) is None
