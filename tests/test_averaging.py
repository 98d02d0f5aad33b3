"""Averaged weights: by hand, in what predicts, in what is saved, and under what ends a run."""

import contextlib

import keras
import numpy as np
import pytest
from conftest import assert_same, assert_same_on_replicas, tiny_model, two_replicas
from test_finite import batches
from test_loop import EPOCHS, STEPS, Killed, at, examples, kill

from mixmo_tf.models.executions import NotFiniteError
from mixmo_tf.training import WarmupCosine, checkpoints, logs, loop

TODAY = {"trivial_augment": True, "random_erasing": 0.5, "label_smoothing": 0.1, "msda": "cutmix"}


def sgd(**averages):
    rate = WarmupCosine(0.05, 4, EPOCHS * STEPS)
    return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, use_ema=True, **averages)


def new_model(optimizer, **options):
    """With all of today's recipe."""
    model = tiny_model(**TODAY, **options)
    model.compile(optimizer, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def traced():
    """A model whose steps TensorFlow traces once, and the state that it began with."""
    model = new_model(sgd(ema_momentum=0.75))
    return model, model.state()


@pytest.fixture
def model(traced):
    traced[0].set_state(traced[1])
    return traced[0]


class Noted(keras.callbacks.Callback):
    """The network's variables after each step."""

    def on_train_begin(self, logs=None):
        self.of_steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.of_steps.append(self.model.network.get_weights())


def averages_of(of_steps, momentum):
    """By the rule itself, in float64."""
    average = [np.float64(values) for values in of_steps[0]]
    for values in of_steps[1:]:
        average = [momentum * a + (1 - momentum) * v for a, v in zip(average, values, strict=True)]
    return average


@pytest.mark.parametrize("kind", ["one device", "two replicas", "float16"])
def test_averages_by_hand(kind, pixels_and_labels, model):
    """After `fit` the network holds those of weights and statistics; the next one goes on."""
    if kind == "float16":
        scaled = keras.optimizers.LossScaleOptimizer(sgd(ema_momentum=0.75), initial_scale=8.0)
        model = new_model(scaled)
    elif kind == "two replicas":
        with two_replicas().scope():
            model = new_model(sgd(ema_momentum=0.75))
    noted = Noted()
    model.fit(batches(pixels_and_labels), verbose=0, callbacks=[noted])
    assert len(noted.of_steps) == 5
    for ours, theirs in zip(
        model.network.get_weights(), averages_of(noted.of_steps, 0.75), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    model.averages.swap(into_network=False)
    assert_same(model.network.get_weights(), noted.of_steps[-1])  # bit for bit
    assert_same_on_replicas(model)


def test_a_second_fit_goes_on_from_the_raw_weights(model, pixels_and_labels, traced):
    images, labels = pixels_and_labels
    model.fit(images, labels, batch_size=8, epochs=2, verbose=0)
    at_once = model.state()
    model.set_state(traced[1])
    for _ in range(2):
        model.fit(images, labels, batch_size=8, verbose=0)
    assert_same(model.state(), at_once)


def test_what_is_evaluated_and_saved(model, pixels_and_labels, tmp_path):
    """Each epoch's validation, and what is loaded, are of the averages; training is not."""
    data = batches(pixels_and_labels)
    noted = Noted()
    history = model.fit(data, epochs=2, verbose=0, validation_data=data, callbacks=[noted]).history
    evaluated = model.evaluate(data, verbose=0, return_dict=True)
    assert history["val_loss"][-1] == pytest.approx(evaluated["loss"], rel=1e-6)
    predicted = model.predict(pixels_and_labels[0], verbose=0)
    checkpoints.save_model(model, tmp_path / "model.keras")
    loaded = checkpoints.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(pixels_and_labels[0], verbose=0), predicted)
    assert_same(loaded.state(), model.state())
    assert loaded.averages.are_in_network
    plain = checkpoints.load_model(tmp_path / "model.keras", compile=False)
    assert_same(plain.network.get_weights(), model.network.get_weights())

    model.averages.swap(into_network=False)  # as in the middle of training
    assert_same(model.network.get_weights(), noted.of_steps[-1])
    raw = model.predict(pixels_and_labels[0], verbose=0)
    assert not np.array_equal(raw, predicted)
    assert model.evaluate(data, verbose=0, return_dict=True) == pytest.approx(evaluated)
    np.testing.assert_array_equal(model.predict(pixels_and_labels[0], verbose=0), raw)


def test_averages_before_the_first_step_are_the_weights(model, pixels_and_labels):
    before = model.network.get_weights()
    model.evaluate(batches(pixels_and_labels), verbose=0)
    model.averages.swap(into_network=True)
    assert_same(model.network.get_weights(), before)
    assert not model.averages.are_in_network


def test_a_step_that_is_not_finite_moves_no_average(model, pixels_and_labels, traced):
    model.fit(batches(pixels_and_labels).take(2), verbose=0)
    good = model.state()
    model.set_state(traced[1])
    with pytest.raises(NotFiniteError, match="at step 3"):
        model.fit(batches(pixels_and_labels, bad=2), verbose=0)
    assert_same(model.state(), good)


def test_weights_that_are_overwritten_are_refused_where_keras_cannot():
    with two_replicas().scope():
        model = tiny_model()
        with pytest.raises(
            ValueError, match="ema_overwrite_frequency must be None with 2 replicas, got 3"
        ):
            model.compile(sgd(ema_overwrite_frequency=3))


def train(path, model):
    """What the command train does with all of today's recipe."""
    path.mkdir(exist_ok=True)
    if newest := checkpoints.load_newest(path / "checkpoints"):
        model.set_state(newest.state())
    loop.train(
        model, examples(42, 0), examples(12, 1), path, epochs=EPOCHS, batch_size=8,
        checkpoint_steps=2, keep_best=True, pictures=False,
    )  # fmt: skip
    model.averages.swap(into_network=True)
    return model.state()


@pytest.mark.parametrize(
    "hook, moment", [("on_train_batch_end", 8), ("on_epoch_end", 2), ("on_epoch_end", 3)]
)
def test_killed_with_all_of_todays_recipe(hook, moment, model, traced, tmp_path, monkeypatch):
    """In the middle of an epoch, and after one was validated: equal bit for bit."""
    quiet = train(tmp_path / "quiet", model)
    model.set_state(traced[1])
    with monkeypatch.context() as patch:
        patch.setattr(logs.TensorBoardLogs, hook, at(moment, kill))
        with pytest.raises(Killed):
            train(tmp_path / "killed", model)
    model.set_state(traced[1])
    assert_same(train(tmp_path / "killed", model), quiet)
    histories = [(tmp_path / name / "history.csv").read_text() for name in ("quiet", "killed")]
    assert histories[0] == histories[1]
    best = [checkpoints.load_model(tmp_path / name / "best.keras") for name in ("quiet", "killed")]
    assert_same(*(each.state() for each in best))
    assert all(each.averages.are_in_network for each in best)
    newest = checkpoints.load_newest(tmp_path / "killed/checkpoints")
    assert not newest.averages.are_in_network


def test_without_use_ema_nothing_is_kept(pixels_and_labels):
    model = tiny_model()
    assert model.averages.variables == [] and not model.averages.are_in_network
    before = model.state()
    with model.averages.shown(), contextlib.nullcontext():
        assert_same(model.state(), before)
