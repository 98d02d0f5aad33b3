"""Averaged weights: by hand, in what predicts, in what is saved, and under what ends a run."""

import h5py
import keras
import numpy as np
import pytest
from small_models import (
    as_if_trained,
    assert_same,
    assert_same_on_replicas,
    tiny_model,
    two_replicas,
)
from stopped_runs import EPOCHS, STEPS, Killed, at, examples, kill

from mixmo_tf import load
from mixmo_tf.experiments import EvaluationSettings
from mixmo_tf.models import averaging
from mixmo_tf.models.executions import NotFiniteError
from mixmo_tf.training import WarmupCosine, checkpoints, logs, loop, model_archive

TODAY = {"trivial_augment": True, "random_erasing": 0.5, "label_smoothing": 0.1, "msda": "cutmix"}
IMAGES = examples(42, 0)
MOMENTUM = 0.75


def sgd(**averages):
    rate = WarmupCosine(0.05, 4, EPOCHS * STEPS)
    averages = {"use_ema": True, "ema_momentum": MOMENTUM, **averages}
    return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, **averages)


@pytest.fixture(scope="module")
def traced():
    """A model of all of today's recipe, whose steps are traced once, and how it began."""
    model = tiny_model(**TODAY)
    model.compile(sgd(), metrics=["accuracy"])
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


def fit(model, steps=STEPS):
    """So many steps from where the model stands; what the network held after each."""
    noted = Noted()
    batches = IMAGES.training_batches(8, model.seed, int(model.step.numpy()))
    model.fit(batches, steps_per_epoch=steps, verbose=0, callbacks=[noted])
    return noted.of_steps


def assert_averages_by_hand(model):
    """After `fit` the network holds those of weights and statistics, by the rule in float64."""
    first, *others = fit(model)
    assert len(others) == STEPS - 1
    averages = [np.float64(values) for values in first]
    for values in others:
        pairs = zip(averages, values, strict=True)
        averages = [MOMENTUM * average + (1 - MOMENTUM) * value for average, value in pairs]
    for ours, theirs in zip(model.network.get_weights(), averages, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    model.averages.swap(into_network=False)
    assert_same(model.network.get_weights(), others[-1])  # bit for bit


def evaluation(model):
    return model.evaluate(IMAGES.batches(14), verbose=0, return_dict=True)


def saved_folder(model, folder):
    model.save(folder / "saved", zipped=False)
    return folder / "saved"


def test_averages_by_hand(model):
    assert_averages_by_hand(model)


def test_averages_on_two_replicas():
    with two_replicas().scope():
        model = tiny_model(mixing="linear", alpha=0.0, augmentation="none")
        model.compile(sgd())
        with pytest.raises(
            ValueError, match="ema_overwrite_frequency must be None with 2 replicas, got 3"
        ):
            tiny_model().compile(sgd(ema_overwrite_frequency=3))
    assert_averages_by_hand(model)
    assert_same_on_replicas(model)
    for average in model.averages.variables:
        first, second = model.distribute_strategy.experimental_local_results(average.value)
        np.testing.assert_array_equal(first, second)


def test_a_second_fit_goes_on_from_the_raw_weights(model, traced):
    at_once = fit(model, 4)[-1], model.network.get_weights()
    model.set_state(traced[1])
    fit(model, 2)
    assert_same(fit(model, 2)[-1], at_once[0])
    assert_same(model.network.get_weights(), at_once[1])


def test_what_is_evaluated_and_saved(model, tmp_path):
    """The averages; in the middle of training too, when what predicts is raw."""
    raw = fit(model)[-1]
    evaluated = evaluation(model)
    averaged = model.network.get_weights()
    checkpoints.save_model(model, tmp_path / "model.keras")
    loaded = checkpoints.load_model(tmp_path / "model.keras")
    assert_same(loaded.state(), model.state())
    assert loaded.averages.are_in_network
    plain = checkpoints.load_model(tmp_path / "model.keras", compile=False)
    assert_same(plain.network.get_weights(), averaged)

    model.averages.swap(into_network=False)
    assert not np.array_equal(raw[0], averaged[0])
    assert evaluation(model) == evaluated
    assert_same(model.network.get_weights(), raw)


def test_whatever_is_loaded_the_averages_predict(model, tmp_path):
    """Of a checkpoint too, with its optimizer or without; and `fit` goes on from the raw ones."""
    fit(model)
    averaged, evaluated = model.network.get_weights(), evaluation(model)
    model.averages.swap(into_network=False)
    raw, state = model.network.get_weights(), model.state()
    file = tmp_path / "step_00000005.keras"
    checkpoints.save_model(model, file)
    for compile in (True, False):
        loaded = checkpoints.load_model(file, compile)
        assert_same(loaded.network.get_weights(), averaged)
        assert evaluation(loaded) == evaluated
        loaded.averages.swap(into_network=False)
        assert_same(loaded.network.get_weights(), raw)
        assert_same(loaded.state(), state)
    model.save(tmp_path / "shared", zipped=False)
    assert_same(load(tmp_path / "shared").network.get_weights(), averaged)
    (one,) = EvaluationSettings(model=[file]).load([file])
    assert_same(one.network.get_weights(), averaged)


class Unregistered(keras.optimizers.SGD):
    pass


def test_raw_weights_come_with_a_warning(tmp_path):
    """Where the averages cannot be had, as the optimizer that keeps them is not registered."""
    model = as_if_trained(tiny_model())
    model.compile(Unregistered(0.1, use_ema=True))
    model.optimizer.iterations.assign(3)
    model.save(tmp_path / "x.keras")
    with pytest.warns(UserWarning, match="the optimizer of .*x.keras cannot be loaded, and with"):
        loaded = checkpoints.load_model(tmp_path / "x.keras", compile=False)
    assert_same(loaded.network.get_weights(), model.network.get_weights())
    with pytest.raises(ValueError, match="x.keras is not a readable .keras file: Could not locate"):
        checkpoints.load_model(tmp_path / "x.keras")


def test_a_file_without_averages_is_as_it_was(tmp_path):
    """Of a model that keeps none, or of a version that did not save those of the statistics."""
    model = as_if_trained(tiny_model())
    model.save(tmp_path / "none.keras")
    assert not model_archive.has_averages_aside(tmp_path / "none.keras")
    model.compile(sgd())
    model.optimizer.iterations.assign(3)
    with h5py.File(saved_folder(model, tmp_path) / "model.weights.h5", "r+") as file:
        for name in [name for name in file["vars"] if name.startswith("average")]:
            del file["vars"][name]
    loaded = checkpoints.load_model(tmp_path / "saved")
    assert_same(loaded.network.get_weights(), model.network.get_weights())


def test_averages_before_the_first_step_are_the_weights(model):
    before = model.network.get_weights()
    with model.averages.shown():
        assert_same(model.network.get_weights(), before)
        assert not model.averages.are_in_network


def test_a_step_that_is_not_finite_moves_no_average(model):
    fit(model, 2)
    model.averages.swap(into_network=False)
    kernel = model.network.trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    before = model.state()
    with pytest.raises(NotFiniteError, match="at step 3"):
        fit(model, 2)
    model.averages.swap(into_network=False)
    sums = len(model.epoch_sums())  # of the epoch; they come last, and began anew
    assert_same(model.state()[:-sums], before[:-sums])


def test_the_average_of_what_never_trains_is_itself():
    """Rounding would move it: 0.9·w + 0.1·w is not always w in float32."""
    weight, still = keras.Variable(1.0), keras.Variable(np.linspace(0.1, 3, 50))
    before = still.numpy()
    optimizer = sgd(ema_momentum=0.9)
    optimizer.build([weight])
    averages = averaging.Averages(optimizer, [weight], [still])
    for _ in range(3):
        optimizer.apply_gradients([(keras.ops.ones([]), weight)])
        averages.update()
    averages.swap(into_network=True)
    assert averages.are_in_network
    assert_same([still.numpy()], [before])


def test_the_average_of_what_stands_still_for_now_is_itself():
    """A core that is frozen: the optimizer averages its weights too, which would round them."""
    weight, frozen, statistic = (keras.Variable(np.linspace(0.1, 3, 50)) for _ in range(3))
    before = frozen.numpy()
    optimizer = sgd(ema_momentum=0.9)
    optimizer.build([weight, frozen])
    averages = averaging.Averages(optimizer, [weight, frozen], [statistic])
    for step in range(3):
        statistic.assign(before + step)  # set on purpose: said to be still, it is not averaged
        gradients = keras.ops.ones(50), keras.ops.zeros(50)
        optimizer.apply_gradients(zip(gradients, (weight, frozen), strict=True))
        averages.update(still=frozenset(map(id, (frozen, statistic))))
    averages.swap(into_network=True)
    assert_same([frozen.numpy(), statistic.numpy()], [before, before + 2])


def test_an_optimizer_that_scales_the_loss_has_its_averages_within():
    model = tiny_model()
    assert not model.averages.variables
    model.compile(keras.optimizers.LossScaleOptimizer(sgd()))
    assert len(model.averages.variables) == 1 + len(model.statistics())


def train(path, model):
    """What the command train does with all of today's recipe."""
    path.mkdir(exist_ok=True)
    if newest := checkpoints.load_newest(path / "checkpoints"):
        model.set_state(newest.state())
    loop.train(
        model, IMAGES, examples(12, 1), path, epochs=EPOCHS, batch_size=8,
        checkpoint_steps=4, keep_best=True, pictures=False,
    )  # fmt: skip
    return model.state()


def test_killed_with_all_of_todays_recipe(model, traced, tmp_path, monkeypatch):
    """In the middle of an epoch, then after the next was validated: equal bit for bit."""
    quiet, path = tmp_path / "quiet", tmp_path / "killed"
    state = train(quiet, model)
    for hook, moment in (("on_train_batch_end", 8), ("on_epoch_end", 2)):
        model.set_state(traced[1])
        with monkeypatch.context() as patch:
            patch.setattr(logs.TensorBoardLogs, hook, at(moment, kill))
            with pytest.raises(Killed):
                train(path, model)
    model.set_state(traced[1])
    assert_same(train(path, model), state)
    assert (path / "history.csv").read_text() == (quiet / "history.csv").read_text()
    ours, theirs = (checkpoints.load_model(each / "best.keras") for each in (path, quiet))
    assert_same(ours.state(), theirs.state())
    assert ours.averages.are_in_network and not model_archive.has_averages_aside(
        path / "best.keras"
    )
    assert all(map(model_archive.has_averages_aside, checkpoints.files(path / "checkpoints")))
