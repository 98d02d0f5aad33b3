"""The fused batch norm gives Keras' numbers, and hands on to Keras what it cannot do."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from mixmo_tf.networks.batch_norm import (
    BatchNormalization,
    is_synchronized,
    synchronize_batch_norm,
)

KNOWS_RENORM = "renorm" in inspect.signature(keras.layers.BatchNormalization).parameters
CASES = {  # arguments, shape and dtype of the inputs
    "four axes": ({}, (6, 5, 4, 3), "float32"),
    "axis 3": ({"axis": 3}, (6, 5, 4, 3), "float32"),
    "axis 1": ({"axis": 1}, (6, 5, 4, 3), "float32"),
    "axis 2 of 4 alike": ({"axis": 2}, (4, 4, 4, 4), "float32"),
    "axis -2": ({"axis": -2}, (6, 5, 4, 3), "float32"),
    "two axes": ({}, (6, 3), "float32"),
    "three axes": ({}, (6, 5, 3), "float32"),
    "five axes": ({}, (2, 5, 4, 3, 3), "float32"),
    "no scale": ({"scale": False}, (6, 5, 4, 3), "float32"),
    "no centre": ({"center": False}, (6, 5, 4, 3), "float32"),
    "neither": ({"scale": False, "center": False}, (6, 5, 4, 3), "float32"),
    "frozen": ({"trainable": False}, (6, 5, 4, 3), "float32"),
    "float64": ({"dtype": "float64"}, (6, 5, 4, 3), "float64"),
    "float16": ({"dtype": "mixed_float16"}, (6, 5, 4, 3), "float16"),
    "bfloat16": ({"dtype": "mixed_bfloat16"}, (6, 5, 4, 3), "bfloat16"),
    "weights of 16 bits": ({"dtype": "float16"}, (6, 5, 4, 3), "float16"),
    "one value": ({}, (1, 1, 1, 3), "float32"),
    "renorm": ({"renorm": True}, (6, 5, 4, 3), "float32"),
}


def trained(layer, inputs, **call):
    """Outputs, gradients and weights of a layer, after two steps that moved its statistics."""
    for _ in range(2):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True, **call)
            loss = tf.reduce_sum(tf.square(tf.cast(outputs, tf.float32) - 0.5))
        gradients = tape.gradient(loss, [inputs, *layer.trainable_variables])
    return [outputs, *gradients, *layer.get_weights(), layer(inputs, training=False)]


def assert_alike(arguments, inputs, tolerance, **call):
    results = []
    for kind in (BatchNormalization, keras.layers.BatchNormalization):
        layer = kind(momentum=0.8, **arguments)
        layer.build(inputs.shape)
        for i, weight in enumerate(layer.trainable_variables):
            weight.assign(0.5 + 0.1 * i + np.arange(np.prod(weight.shape)).reshape(weight.shape))
        results.append(trained(layer, inputs, **call))
    for ours, theirs in zip(*results, strict=True):
        assert ours.dtype == theirs.dtype
        ours, theirs = (np.asarray(tf.cast(each, tf.float64)) for each in (ours, theirs))
        scale = max(np.abs(theirs).max(), 1)
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=tolerance)


@pytest.mark.parametrize("case", CASES)
def test_every_layer_gives_the_numbers_of_keras(case):
    arguments, shape, dtype = CASES[case]
    if "renorm" in arguments and not KNOWS_RENORM:
        pytest.skip("this Keras has no renorm")
    inputs = tf.cast(np.random.default_rng(0).normal(2, 3, shape), dtype)
    assert_alike(arguments, inputs, {"float16": 5e-3, "bfloat16": 3e-2}.get(dtype, 1e-5))


def test_a_mask_is_not_ignored():
    random = np.random.default_rng(0)
    inputs = tf.constant(random.normal(2, 3, (6, 5, 4, 3)), tf.float32)
    mask = tf.constant(random.integers(0, 2, (6, 5, 4)), tf.bool)
    assert_alike({}, inputs, 1e-5, mask=mask)


def test_what_the_kernel_can_do_runs_on_it(monkeypatch):
    layer, inputs = BatchNormalization(), tf.ones((2, 3, 3, 4))
    layer(inputs)
    monkeypatch.setattr(keras.layers.BatchNormalization, "call", None)
    layer(inputs, training=True)
    with pytest.raises(TypeError):
        layer(inputs, training=False)


def test_it_is_synchronised_inside_a_layer_too():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()], name="inner")
    image = keras.Input((4,))
    network = keras.Model(image, inner(inner(image)))
    assert not is_synchronized(network)
    synchronize_batch_norm(network)
    assert inner.layers[0].synchronized and is_synchronized(network)
