"""A core that is frozen at first, and then takes a part of each update."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import assert_same, assert_same_on_replicas, tiny_network, two_replicas

import mixmo_tf
from mixmo_tf import networks
from mixmo_tf.data import Info
from mixmo_tf.experiments import Settings, recipe
from mixmo_tf.models import core_update
from mixmo_tf.networks import parts

RATE, FACTOR = 0.5, 0.25


def compiled(optimizer, freeze_steps=0, factor=1.0, **options):
    keras.utils.set_random_seed(0)
    network = tiny_network(num_members=1)
    model = mixmo_tf.MixMo(network, batch_repetitions=1, augmentation="none", l2=1e-3)
    asked = {"freeze_steps": freeze_steps, "core_learning_rate_factor": factor}
    model.compile(optimizer, **asked, **options)
    return model


def ready(optimizer, **asked):
    """As `compiled` with what is asked, the same model for all, for tests that do not `fit` it."""
    model, weights = made()
    model.set_weights(weights)
    model.compile(optimizer, **asked)
    return model


@functools.cache
def made():
    model = compiled("sgd")
    return model, model.get_weights()


def sgd():
    return keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)


def batches(pixels_and_labels):
    images, labels = pixels_and_labels
    data = tf.data.Dataset.from_tensor_slices((images, labels.astype(np.int64)))
    return data.batch(8).repeat(2)


def core_of(model):
    """All that is the core's: weights, batch-norm statistics, slots of the optimizer."""
    variables = [v for layer in parts.core(model.network) for v in layer.variables]
    paths = [v.path.replace("/", "_") for v in variables if v.trainable]
    slots = [s for s in model.optimizer.variables if any(p in s.path for p in paths)]
    assert len(variables) == 4 and len(slots) == 2  # of one batch norm
    return [v.numpy() for v in [*variables, *slots]]


def by_hand(momentum, nesterov, gradients):
    """The sum of SGD's updates of one weight, and each of them."""
    velocity, updates = 0.0, []
    for gradient in gradients:
        velocity = momentum * velocity - RATE * gradient
        updates.append(momentum * velocity - RATE * gradient if nesterov else velocity)
    return sum(updates)


@pytest.mark.parametrize("momentum, nesterov", [(0.0, False), (0.5, False), (0.5, True)])
@pytest.mark.parametrize("scaled", [False, True])
def test_the_core_takes_its_part_of_every_update(momentum, nesterov, scaled):
    optimizer = keras.optimizers.SGD(RATE, momentum=momentum, nesterov=nesterov)
    scale = 1.0
    if scaled:  # as with float16
        scale, optimizer = 2.0**15, keras.optimizers.LossScaleOptimizer(optimizer)
    model = ready(optimizer, core_learning_rate_factor=FACTOR)
    gamma, head = model.network.get_layer(index=2).gamma, model.network.get_layer("head_0").bias
    for gradient in (1.0, -2.0, 4.0):
        given = [scale * gradient * tf.ones(v.shape) for v in model.trainable_variables]
        core_update.apply_gradients(model, given)
    whole = by_hand(momentum, nesterov, (1.0, -2.0, 4.0))
    np.testing.assert_allclose(head, whole, rtol=1e-6)
    np.testing.assert_allclose(gamma, 1 + FACTOR * whole, rtol=1e-6)


@pytest.mark.parametrize("name", core_update.SCALING)
def test_every_optimizer_that_is_named_takes_a_part(name):
    """Two models with the same gradients: Δ and Δ/4, in the first step and in the next one."""
    updates = []
    for factor in (1.0, FACTOR):
        optimizer = getattr(keras.optimizers, name)(RATE)
        model = ready(optimizer, core_learning_rate_factor=factor)
        beta = model.network.get_layer(index=2).beta
        found = []
        for gradient in (1.0, 3.0):
            before = beta.numpy()
            given = [gradient * tf.ones(v.shape) for v in model.trainable_variables]
            core_update.apply_gradients(model, given)
            found.append(beta.numpy() - before)
            if name == "AdamW":
                beta.assign(tf.zeros_like(beta))  # whose decay depends on the weight
        updates.append(found)
    whole, part = map(np.stack, updates)
    assert np.abs(whole).min() > 0.01
    np.testing.assert_allclose(part, FACTOR * whole, rtol=1e-4)


@pytest.mark.parametrize("options", [{"steps_per_execution": 4}, {"jit_compile": True}])
def test_a_frozen_core_stays_bit_for_bit(options, pixels_and_labels, frozen_then_trained):
    """Seven steps, which end within an epoch and an execution; then it moves."""
    model = compiled(sgd(), 7, FACTOR, **options)
    before = core_of(model)
    model.fit(batches(pixels_and_labels).take(7), verbose=0)
    assert_same(core_of(model), before)
    model.set_state(frozen_then_trained[0])
    model.fit(batches(pixels_and_labels).take(10), verbose=0)
    assert all(np.any(a != b) for a, b in zip(core_of(model), before, strict=True))
    assert all(layer.trainable for layer in model.network.layers)
    if "jit_compile" not in options:
        assert_same(model.state(), frozen_then_trained[1])
    for ours, theirs in zip(model.state(), frozen_then_trained[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def frozen_then_trained(pixels_and_labels):
    """The state before ten steps, in seven of which the core is frozen, and after them."""
    model = compiled(sgd(), 7, FACTOR)
    before = model.state()
    model.fit(batches(pixels_and_labels).take(10), verbose=0)
    return before, model.state()


def test_on_two_replicas(pixels_and_labels):
    with two_replicas().scope():
        model = compiled(sgd(), 4, FACTOR, steps_per_execution=3)
    before = core_of(model)
    model.fit(batches(pixels_and_labels).take(4), verbose=0)
    assert_same(core_of(model), before)
    model.fit(batches(pixels_and_labels).take(2), verbose=0)
    assert all(np.any(a != b) for a, b in zip(core_of(model), before, strict=True))
    assert_same_on_replicas(model)


@keras.saving.register_keras_serializable(package="test_core_update")
class Nested(keras.layers.Layer):
    """A dense layer, and a batch norm that never trains."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.norm = keras.layers.Dense(4), keras.layers.BatchNormalization()
        self.norm.trainable = False

    def build(self, shape):
        self.dense.build(shape)
        self.norm.build((*shape[:-1], 4))

    def call(self, x, training=None):
        return self.norm(self.dense(x), training=training)


def test_what_never_trains_does_not_after_it_was_frozen_with_the_core(pixels_and_labels):
    image = keras.Input((16, 16, 3))
    x = Nested(name="nested")(keras.layers.Conv2D(4, 3, 4, use_bias=False)(image))
    network = networks.from_backbone(keras.Model(image, x), 1, 4)
    nested = network.get_layer("nested")
    nested.dense.bias.trainable = False
    model = mixmo_tf.MixMo(network, batch_repetitions=1, augmentation="none")
    model.compile(sgd(), freeze_steps=1, run_eagerly=True)
    before = [v.numpy() for v in (nested.dense.bias, *nested.norm.variables)]
    model.fit(batches(pixels_and_labels).take(3), verbose=0)
    assert_same([v.numpy() for v in (nested.dense.bias, *nested.norm.variables)], before)
    assert len(model.trainable_variables) == 1 + 1 + 2  # of encoder, dense and head


def test_a_frozen_core_normalises_as_in_a_prediction(pixels_and_labels):
    """The loss of a step, before its update, is what `evaluate` gives."""
    model = compiled(sgd(), 1, run_eagerly=True)
    norm = model.network.get_layer(index=2)
    norm.moving_mean.assign(tf.fill(norm.moving_mean.shape, 0.5))
    norm.moving_variance.assign(tf.fill(norm.moving_variance.shape, 3.0))
    images, labels = (each[:8] for each in pixels_and_labels)
    expected = model.evaluate(images, labels, verbose=0, return_dict=True)["loss"]
    fitted = model.fit(images, labels, batch_size=8, verbose=0)
    assert fitted.history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_a_saved_model_goes_on(tmp_path, pixels_and_labels, frozen_then_trained):
    model = compiled(sgd(), 7, FACTOR)
    model.set_state(frozen_then_trained[0])
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    loaded.fit(batches(pixels_and_labels).take(10), verbose=0)
    assert_same(loaded.state(), frozen_then_trained[1])


def test_averages_are_those_of_the_weights_as_they_are():
    """Of the core with its part of each update, and of a head with the whole of it."""
    optimizer = keras.optimizers.SGD(RATE, use_ema=True, ema_momentum=0.75)
    model = ready(optimizer, core_learning_rate_factor=FACTOR)
    weights = [model.network.get_layer(index=2).beta, model.network.get_layer("head_0").bias]
    expected, (beta, head) = [], model.averages.of_weights(set(map(id, weights)))
    for gradient in (1.0, -2.0, 4.0):
        given = [gradient * tf.ones(v.shape) for v in model.trainable_variables]
        core_update.apply_gradients(model, given)
        now = [weight.numpy()[0] for weight in weights]
        of_before = expected[-1] if expected else now  # the first average is the weight
        expected.append([0.75 * a + 0.25 * w for a, w in zip(of_before, now, strict=True)])
    assert [average.numpy()[0] for _, average in (beta, head)] == pytest.approx(expected[-1])
    assert expected[-1][0] == pytest.approx(FACTOR * expected[-1][1])


def test_averages_of_a_frozen_core_are_its_weights(pixels_and_labels):
    """Bit for bit, as its batch-norm statistics are; `fit` ends with averages in the network."""
    optimizer = keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.7)
    model = compiled(optimizer, 9, run_eagerly=True)
    norm = model.network.get_layer(index=2)
    random = np.random.default_rng(0)
    norm.set_weights([random.uniform(0.5, 1.5, v.shape) for v in norm.variables])
    before = norm.get_weights()
    model.fit(batches(pixels_and_labels).take(9), verbose=0)
    assert model.averages.are_in_network
    assert_same(norm.get_weights(), before)


def test_which_steps_are_frozen():
    some, all_of_them = core_update.CoreUpdate(7, 0.1), core_update.CoreUpdate(0, 0.0)
    assert [some.is_frozen(step) for step in (0, 6, 7)] == [True, True, False]
    assert [some.alike(step, 4) for step in (0, 5, 7)] == [4, 2, 4]
    assert all_of_them.is_frozen(100) and all_of_them.alike(100, 4) == 4
    assert [each.freezes for each in (some, all_of_them)] == [True, True]
    assert not core_update.CoreUpdate(0, 0.1).freezes


@pytest.mark.parametrize(
    "optimizer, freeze_steps, factor, message",
    [
        ("sgd", -1, 1, "freeze_steps must be >= 0, got -1"),
        ("sgd", 0, -1, "core_learning_rate_factor must be >= 0, got -1"),
        ("adam", 3, 1, "optimizer must be one of SGD, RMSprop, Adagrad, Lion for freeze_steps=3, "
                       "got Adam"),
        ("adam", 0, 0, "one of SGD, RMSprop, Adagrad, Lion for core_learning_rate_factor=0, got"),
        ("ftrl", 0, 0.5, "optimizer must be one of SGD, .*, Nadam for core_learning_rate_factor="
                         "0.5, got Ftrl"),
        (keras.optimizers.SGD(use_ema=True, ema_overwrite_frequency=3), 1, 1,
         "ema_overwrite_frequency of the optimizer must be None for freeze_steps=1, got 3"),
    ],
)  # fmt: skip
def test_what_is_not_possible_is_named(optimizer, freeze_steps, factor, message):
    with pytest.raises(ValueError, match=message):
        core_update.checked(freeze_steps, factor, optimizer)


def test_settings_count_in_epochs(shallow):
    settings = Settings(
        freeze_epochs=3, core_learning_rate_factor=0.1, batch_size=8, filters=2, width=1
    )
    model = recipe.build_model(settings, Info("made here", 42, (16, 16, 3), tuple("abcd")))
    assert model.core_update == core_update.CoreUpdate(3 * 5, 0.1)
