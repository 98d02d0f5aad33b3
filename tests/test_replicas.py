"""`fit` and `evaluate` under MirroredStrategy, on two logical CPU devices."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import (
    FEW_DRAWS,
    assert_same,
    assert_same_on_replicas,
    ready_model,
    tiny_model,
    two_replicas,
)

from mixmo_tf import data, networks, seeds
from mixmo_tf.data import stream
from mixmo_tf.distribution import replicas


def random_batch(seed, count):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)
    return images, random.integers(0, 4, count)


ARGUMENTS = {"mixing": "linear", "alpha": 0.0, "l2": 0.01}


@pytest.fixture(scope="module")
def replicated():
    """A model on two replicas, which are traced once, and the state that it began with."""
    with two_replicas().scope():
        model = tiny_model(learning_rate=0.1, **ARGUMENTS)
    return model, model.state()


@pytest.fixture(scope="module")
def trained(replicated, pixels_and_labels):
    images, labels = pixels_and_labels
    model, start = replicated
    model.set_state(start)
    before = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    model.fit(images, labels, batch_size=8, epochs=3, verbose=0)
    assert int(model.step.numpy()) == 15
    assert all(np.any(b != v) for b, v in zip(before, model.trainable_variables, strict=True))
    return model, images, labels


def test_every_variable_is_equal_on_both_replicas(trained):
    model, *_ = trained
    assert len(model.optimizer.variables) >= len(model.trainable_variables)
    assert_same_on_replicas(model)


def test_a_step_is_the_mean_of_those_of_the_replicas(replicated):
    """Each replica's is that of a single device that sees its share alone.

    Loss, batch-norm statistics, and the gradient, which is of the mean of their losses.
    """
    images, labels = random_batch(0, 8)
    model, start = replicated
    model.set_state(start)
    history = model.fit(images, labels, batch_size=8, verbose=0, shuffle=False).history
    single = ready_model(learning_rate=0.1, **ARGUMENTS)
    start, losses, statistics, gradients = single.state(), [], [], []
    for replica, (x, y) in enumerate(zip(np.split(images, 2), np.split(labels, 2), strict=True)):
        single.set_state(start)
        seed = seeds.step_seed(0, 0, replica)
        loss, *_, of_replica = single.loss_and_gradients(
            tf.constant(x), tf.constant(y), None, seed, 0.5
        )
        losses.append(loss)
        statistics.append([v.numpy() for v in single.network.non_trainable_variables])
        gradients.append(of_replica)
    assert history["loss"][0] == pytest.approx(np.mean(losses), rel=1e-5)
    assert abs(losses[0] - losses[1]) > 0.01
    ours = model.network.non_trainable_variables
    for variable, first, second in zip(ours, *statistics, strict=True):
        np.testing.assert_allclose(variable, (first + second) / 2, atol=1e-6)
        assert np.abs(first - second).max() > 1e-3
    single.set_state(start)
    single.optimizer.apply(
        [(a + b) / 2 for a, b in zip(*gradients, strict=True)], single.trainable_variables
    )
    for ours, theirs in zip(model.trainable_variables, single.trainable_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_evaluate_and_predict_agree_with_a_single_device(trained):
    model, images, labels = trained
    single = tiny_model(**FEW_DRAWS)
    single.compile(metrics=["accuracy"], run_eagerly=True)
    single.set_weights(model.get_weights())
    for num_images in (37, 33, 1):  # of the last batch: 5, and 1, which leaves one replica empty
        x, y = images[:num_images], labels[:num_images]
        ours = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
        theirs = single.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
        assert ours == pytest.approx(theirs, rel=1e-5, nan_ok=True), num_images
        np.testing.assert_allclose(
            model.predict(x, batch_size=8, verbose=0),
            single.predict(x, batch_size=8, verbose=0),
            atol=1e-6,
        )


def test_a_dataset_with_an_incomplete_batch_trains(trained):
    model, images, labels = trained
    step = int(model.step.numpy())
    dataset = tf.data.Dataset.from_tensor_slices((images[:33], labels[:33])).batch(8)
    dataset = dataset.with_options(stream.without_autotune())  # or its end is waited for
    history = model.fit(dataset, verbose=0, validation_data=dataset).history
    assert int(model.step.numpy()) == step + 4
    evaluated = model.evaluate(images[:33], labels[:33], batch_size=8, verbose=0, return_dict=True)
    assert history["val_loss"][0] == pytest.approx(evaluated["loss"], rel=1e-5)


def test_a_batch_that_cannot_be_shared_alike_is_refused(trained):
    model, images, labels = trained
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 2 replicas, got 5"):
        model.fit(images, labels, batch_size=5, verbose=0)


def test_what_the_chief_has_comes_bit_for_bit(monkeypatch):
    """Of every dtype, and what a sum of floats would change: the sign of -0.0, a NaN's bits."""
    odd = np.array([0x80000000, 0x7FC00123, 0xFF800000, 1], np.uint32).view(np.float32)
    arrays = [
        odd, np.array(-0.0), np.iinfo(np.int64).min, np.array([[True, False, True]]),
        np.arange(5, dtype=np.int8), np.zeros([0, 3]), np.float16([[0.1], [2.0]]),
    ]  # fmt: skip
    strategy = two_replicas()
    monkeypatch.setattr(replicas, "num_workers", lambda strategy: 2)  # whose chief is replica 0
    for found, array in zip(replicas.from_chief(strategy, arrays), arrays, strict=True):
        array = np.asarray(array)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.tobytes() == array.tobytes()
    assert replicas.from_chief(strategy, []) == []


def test_replicas_draw_for_themselves():
    model = ready_model()

    @tf.function
    def step_seed():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return seeds.step_seed(0, 3, replica)

    strategy = two_replicas()
    first, second = strategy.experimental_local_results(strategy.run(step_seed))
    ours, theirs = (model.draw(4, seed, 0.5) for seed in (first, second))
    for name in ("rows", "offsets", "flips"):
        pair = (getattr(drawn.views, name) for drawn in (ours, theirs))
        assert not np.array_equal(*pair), name
    assert not np.array_equal(ours.masks, theirs.masks)


def test_a_run_of_replicas_goes_on_as_if_never_stopped(trained, tmp_path):
    """Weights and optimizer come from a file, the stream and the draws from the step.

    So do the sums of the epoch in which it was saved.
    """
    images, labels = random_batch(0, 40)
    examples = data.Examples(images, labels, data.Info("x", 40, (16, 16, 3), tuple("abcd")))

    class Save(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.step.numpy()) == 7:
                saved_sums.append(self.model.epoch_sums())
                self.model.save(tmp_path / "x.keras")

    (model, *_), saved_sums = trained, []
    batches = examples.training_batches(8, model.seed)
    model.step.assign(0)
    model.fit(batches, steps_per_epoch=5, epochs=2, verbose=0, callbacks=[Save()])
    whole = model.state()
    with model.distribute_strategy.scope():
        loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert [loaded.epoch_sums()] == saved_sums
    assert saved_sums[0][1] == 2 * 2  # each replica counts its share of 2 steps
    loaded.continue_epoch([3 * each for each in saved_sums[0]])
    assert loaded.epoch_sums()[1] == 3 * 4
    loaded.continue_epoch(saved_sums[0])
    assert [loaded.epoch_sums()] == saved_sums
    model.set_state(loaded.state())
    model.fit(examples.training_batches(8, 0, start_step=7), steps_per_epoch=3, verbose=0)
    sums = len(model.epoch_sums())  # of the epoch; they come last, and began anew
    assert_same(model.state()[:-sums], whole[:-sums])
    assert int(model.step.numpy()) == 10


@pytest.mark.parametrize("batch_norm", ["frozen", "synchronized"])
def test_a_step_of_two_replicas_is_that_of_one_device(batch_norm, monkeypatch):
    """The same draws, given to one device whole and to two replicas by halves.

    The one device, and with a frozen batch norm the replicas too, run eagerly.
    """
    images, labels = random_batch(1, 8)
    single = tiny_model(l2=0.01, augmentation="none")
    halves = [single.draw(4, seeds.step_seed(7, 0, i), 1.0) for i in range(2)]

    def of_replica(num_images, seed, mixing_probability):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        views, masks = (
            tf.nest.map_structure(lambda a, b: tf.where(replica == 0, a, b), *pair)
            for pair in (
                [tuple(half.views[:3]) for half in halves],  # without what is off
                [half.masks for half in halves],
            )
        )
        return halves[0]._replace(views=type(halves[0].views)(*views), masks=masks)

    def of_both(num_images, seed, mixing_probability):
        first, second = halves
        views = second.views._replace(rows=second.views.rows + 4)
        views = [tf.concat(pair, axis=0) for pair in zip(first.views[:3], views[:3], strict=True)]
        masks = tf.concat([first.masks, second.masks], axis=0)
        return first._replace(views=type(first.views)(*views), masks=masks)

    with two_replicas().scope():
        model = tiny_model(l2=0.01, augmentation="none")
    for each, drawn in ((single, of_both), (model, of_replica)):
        if batch_norm == "frozen":
            for layer in each.network.layers:
                layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
        else:
            networks.synchronize_batch_norm(each.network)
        with each.distribute_strategy.scope():
            each.compile(
                keras.optimizers.SGD(0.05, momentum=0.9),
                jit_compile=False,
                run_eagerly=each is single or batch_norm == "frozen",
            )
        monkeypatch.setattr(each, "draw", drawn)
        each.fit(images, labels, batch_size=8, verbose=0, shuffle=False)
    assert not np.array_equal(*(half.masks for half in halves))
    for ours, theirs in zip(model.get_weights(), single.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_xla_does_not_compile_synchronized_batch_norm():
    model = tiny_model()
    networks.synchronize_batch_norm(model.network)
    with pytest.raises(ValueError, match="jit_compile must be False with synchronized batch norm"):
        model.compile(jit_compile=True)
    model.compile(jit_compile="auto")
    assert not model.uses_xla
