"""A step that is not finite changes nothing, and ends `fit` with one line that names it."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model, two_replicas

import mixmo_tf
from mixmo_tf.training import checkpoints
from mixmo_tf.training.checkpoints import NotFiniteError

SGD = {"learning_rate": 0.05, "momentum": 0.9}
MESSAGE = "^the loss or a gradient became NaN or infinite at step {}$"


def compiled(model, **options):
    """The model, compiled with the optimizer of these tests."""
    model.compile(keras.optimizers.SGD(**SGD), metrics=["accuracy"], **options)
    return model


def batches(pixels_and_labels, bad=None, value=np.nan):
    """Five batches of eight float images; `value` is a pixel of batch `bad`."""
    images, labels = pixels_and_labels[0].astype(np.float32), pixels_and_labels[1]
    if bad is not None:
        images[8 * bad + 7, 5, 5, 1] = value
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)


def assert_same(state, other):
    for ours, theirs in zip(state, other, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "scope, options",
    [
        (contextlib.nullcontext, {}),
        (contextlib.nullcontext, {"steps_per_execution": 4}),
        (contextlib.nullcontext, {"jit_compile": True}),
        (tf.distribute.OneDeviceStrategy("CPU:0").scope, {}),
        (lambda: two_replicas().scope(), {}),
        (lambda: two_replicas().scope(), {"steps_per_execution": 4, "jit_compile": True}),
    ],
    ids=["plain", "execution of 4", "xla", "one device", "two", "two, execution of 4, xla"],
)
def test_the_model_is_as_before_the_bad_step(scope, options, pixels_and_labels):
    """Of two replicas only the second sees the NaN."""
    with scope():
        model, good = compiled(tiny_model(), **options), compiled(tiny_model(), **options)
    with pytest.raises(NotFiniteError, match=MESSAGE.format(3)):
        model.fit(batches(pixels_and_labels, bad=2), verbose=0)
    good.fit(batches(pixels_and_labels).take(2), verbose=0)
    assert int(model.step.numpy()) == int(model.optimizer.iterations.numpy()) == 2
    assert_same(model.state(), good.state())
    for each in (model, good):  # and it trains on
        each.fit(batches(pixels_and_labels), verbose=0)
    assert_same(model.state(), good.state())


def test_batches_of_a_generator(pixels_and_labels):
    model, good = (compiled(tiny_model(), steps_per_execution=3) for _ in range(2))
    with pytest.raises(NotFiniteError, match=MESSAGE.format(2)):
        model.fit((batch for batch in batches(pixels_and_labels, bad=1)), verbose=0)
    good.fit((batch for batch in batches(pixels_and_labels).take(1)), verbose=0)
    assert_same(model.state(), good.state())


def test_moving_statistics_that_overflow(pixels_and_labels):
    """The loss and the gradients are finite: what is normalised by an infinite variance is 0."""
    model = compiled(tiny_model(num_members=1, batch_repetitions=1, augmentation="none"))
    with pytest.raises(NotFiniteError, match=MESSAGE.format(1)):
        model.fit(batches(pixels_and_labels, bad=0, value=1e24), verbose=0)
    assert_same(model.state(), compiled(tiny_model(num_members=1, batch_repetitions=1)).state())


def test_a_gradient_that_is_infinite_where_the_loss_is_finite():
    """The square root at 0: a batch of grey images, which are zeros once normalised."""

    def encoder(member, image):
        return keras.layers.Conv2D(4, 3, use_bias=False, name=f"encoder_{member}")(image)

    def core(x):
        return keras.layers.GlobalAveragePooling2D()(keras.ops.sqrt(keras.ops.abs(x)))

    network = mixmo_tf.networks.build(
        "root", encoder, core, 2, 4, (16, 16, 3), keras.initializers.RandomNormal(stddev=0.01)
    )
    model = compiled(mixmo_tf.MixMo(network, augmentation="none"))
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
    model = tiny_model(l2=10.0)  # whose gradient, scaled, is beyond the largest float32
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
