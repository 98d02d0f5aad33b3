"""A step that is not finite changes nothing, and ends `fit` with one line that names it."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import (
    FEW_DRAWS,
    ONE_MEMBER,
    assert_same,
    assert_same_on_replicas,
    tiny_model,
    two_replicas,
)

import mixmo_tf
from mixmo_tf.training import checkpoints
from mixmo_tf.training.checkpoints import NotFiniteError

SGD = {"learning_rate": 0.05, "momentum": 0.9}
MESSAGE = "^the loss or a gradient became NaN or infinite at step {}$"


def batches(pixels_and_labels, bad=None, value=np.nan):
    """Five batches of eight float images; `value` is a pixel of batch `bad`."""
    images, labels = pixels_and_labels[0].astype(np.float32), pixels_and_labels[1]
    if bad is not None:
        images[8 * bad + 7, 5, 5, 1] = value
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)


def fitted(model, state, data):
    """The model's state after training on the data from `state` on, with the steps it has."""
    model.set_state(state)
    model.fit(data, verbose=0)
    return model.state()


@pytest.mark.parametrize(
    "scope, arguments, options",
    [
        (contextlib.nullcontext, FEW_DRAWS, {}),
        (contextlib.nullcontext, ONE_MEMBER, {"steps_per_execution": 4}),
        (tf.distribute.OneDeviceStrategy("CPU:0").scope, ONE_MEMBER, {}),
        (lambda: two_replicas().scope(), ONE_MEMBER, {}),
        (
            lambda: two_replicas().scope(),
            ONE_MEMBER,
            {"steps_per_execution": 4, "jit_compile": True},
        ),
    ],
    ids=["plain", "execution of 4", "one device", "two", "two, execution of 4, xla"],
)
def test_the_model_is_as_before_the_bad_step(scope, arguments, options, pixels_and_labels):
    """Of two replicas only the second sees the NaN."""
    with scope():
        model = tiny_model(**arguments)
        model.compile(keras.optimizers.SGD(**SGD), metrics=["accuracy"], **options)
    start, all_good = model.state(), batches(pixels_and_labels)
    good = fitted(model, start, all_good.take(2))
    trained_on = fitted(model, good, all_good)
    model.set_state(start)
    with pytest.raises(NotFiniteError, match=MESSAGE.format(3)):
        model.fit(batches(pixels_and_labels, bad=2), verbose=0)
    assert int(model.step.numpy()) == int(model.optimizer.iterations.numpy()) == 2
    assert_same(model.state(), good)
    model.fit(all_good, verbose=0)  # it trains on
    assert_same(model.state(), trained_on)
    assert_same_on_replicas(model)


def test_batches_of_a_generator(pixels_and_labels):
    model = tiny_model(**FEW_DRAWS)
    model.compile(keras.optimizers.SGD(**SGD), metrics=["accuracy"], steps_per_execution=3)
    start = model.state()
    with pytest.raises(NotFiniteError, match=MESSAGE.format(2)):
        model.fit((batch for batch in batches(pixels_and_labels, bad=1)), verbose=0)
    found = model.state()
    assert_same(found, fitted(model, start, (b for b in batches(pixels_and_labels).take(1))))


def test_moving_statistics_that_overflow(pixels_and_labels):
    """The loss and the gradients are finite: what is normalised by an infinite variance is 0."""
    model = tiny_model(**ONE_MEMBER)
    before = model.state()
    with pytest.raises(NotFiniteError, match=MESSAGE.format(1)):
        model.fit(batches(pixels_and_labels, bad=0, value=1e24), verbose=0)
    assert_same(model.state(), before)


def test_a_gradient_that_is_infinite_where_the_loss_is_finite():
    """The square root at 0: a batch of grey images, which are zeros once normalised."""

    def encoder(member, image):
        return keras.layers.Conv2D(4, 3, use_bias=False, name=f"encoder_{member}")(image)

    def core(x):
        return keras.layers.GlobalAveragePooling2D()(keras.ops.sqrt(keras.ops.abs(x)))

    network = mixmo_tf.networks.build(
        "root", encoder, core, 2, 4, (16, 16, 3), keras.initializers.RandomNormal(stddev=0.01)
    )
    model = mixmo_tf.MixMo(network, **FEW_DRAWS)
    model.compile(keras.optimizers.SGD(**SGD))
    images = np.full((8, 16, 16, 3), 127.5, np.float32)
    labels = np.arange(8) % 4
    loss, *_, gradients = model.loss_and_gradients(
        tf.constant(images), tf.constant(labels), None, tf.constant([0, 0]), 0.5
    )
    assert np.isfinite(loss) and not all(np.isfinite(g).all() for g in gradients)
    before = model.state()
    with pytest.raises(NotFiniteError, match=MESSAGE.format(1)):
        model.fit(images, labels, batch_size=8, verbose=0)
    assert_same(model.state(), before)


def test_an_overflow_of_a_scaled_loss_is_left_out_as_ever(pixels_and_labels):
    # its gradient, scaled, is beyond the largest float32
    model = tiny_model(l2=10.0, **ONE_MEMBER)
    inner = keras.optimizers.SGD(**SGD)
    model.compile(keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**127))
    before = [weight.numpy() for weight in model.network.trainable_variables]
    model.fit(batches(pixels_and_labels).take(2), verbose=0)
    assert int(model.step.numpy()) == 2  # both were left out, and the scale was halved twice
    assert_same([w.numpy() for w in model.network.trainable_variables], before)
    assert float(model.optimizer.dynamic_scale) == 2.0**125
    with pytest.raises(
        NotFiniteError, match=MESSAGE.format(3)
    ):  # a loss that is NaN is another matter
        model.fit(batches(pixels_and_labels, bad=0), verbose=0)


def test_the_error_is_the_one_that_a_run_ends_with():
    assert checkpoints.NotFiniteError is NotFiniteError
