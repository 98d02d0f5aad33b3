"""`fit` and `evaluate` under MirroredStrategy, on two logical CPU devices."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import tiny_model

from mixmo_tf import draws, seeds


def two_replicas():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def first_step_of_each_replica(model, images, labels):
    """What `loss_and_gradients` of a single device gives on each of two replicas' shares."""
    shares = zip(np.split(images, 2), np.split(labels, 2))
    return [
        model.loss_and_gradients(
            tf.constant(x), tf.constant(y), None, seeds.step_seed(0, 0, replica), 0.5
        )
        for replica, (x, y) in enumerate(shares)
    ]


@pytest.fixture(scope="module", params=[False, True], ids=["xla_off", "xla_on"])
def trained(request):
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 40)
    images = random.integers(0, 60, (40, 16, 16, 3)) + 60 * labels[:, None, None, None]
    images = images.astype(np.uint8)
    strategy = two_replicas()
    with strategy.scope():
        model = tiny_model(jit_compile=request.param, learning_rate=0.1)
    before = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    model.fit(images, labels, batch_size=8, epochs=3, verbose=0)
    assert int(model.step.numpy()) == 15
    assert all(np.any(b != v) for b, v in zip(before, model.trainable_variables))
    return strategy, model, images, labels


def test_every_variable_is_equal_on_both_replicas(trained):
    strategy, model, *_ = trained
    optimizer = model.optimizer.variables
    assert len(optimizer) >= len(model.trainable_variables)
    for variable in [*model.variables, *optimizer]:
        first, second = strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(first, second)


def test_training_logs_are_those_of_both_replicas():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (16, 16, 16, 3)).astype(np.uint8)
    labels = random.integers(0, 4, 16)
    with two_replicas().scope():
        model = tiny_model()
    single = tiny_model()
    history = model.fit(images, labels, batch_size=16, verbose=0, shuffle=False).history
    losses = [loss for loss, *_ in first_step_of_each_replica(single, images, labels)]
    assert history["loss"][0] == pytest.approx(np.mean(losses), rel=1e-5)
    assert abs(losses[0] - losses[1]) > 0.01


def test_sums_of_an_epoch_are_saved_and_restored(trained, tmp_path):
    strategy, model, images, labels = trained
    model.fit(images, labels, batch_size=8, verbose=0)
    sums = model.epoch_sums()
    assert sums[1] == 2 * 5  # each replica counts its share of 5 steps
    model.save(tmp_path / "x.keras")
    with strategy.scope():
        loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.epoch_sums() == sums
    loaded.continue_epoch(sums)
    assert loaded.epoch_sums() == sums


def test_statistics_are_those_of_both_replicas(trained):
    _, model, images, labels = trained
    for variable in model.network.non_trainable_variables:
        assert np.all(np.isfinite(variable))
    moving_mean = model.network.non_trainable_variables[0]
    assert np.abs(moving_mean).max() > 0.1


def test_evaluate_and_predict_agree_with_a_single_device(trained):
    _, model, images, labels = trained
    single = tiny_model()
    single.set_weights(model.get_weights())
    for num_images in (40, 37, 33, 5, 1):  # 33: the last batch leaves one replica empty
        x, y = images[:num_images], labels[:num_images]
        ours = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
        theirs = single.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
        assert ours == pytest.approx(theirs, rel=1e-5), num_images
        np.testing.assert_allclose(
            model.predict(x, batch_size=8, verbose=0),
            single.predict(x, batch_size=8, verbose=0),
            atol=1e-6,
        )


def test_a_dataset_with_an_incomplete_batch_trains(trained):
    _, model, images, labels = trained
    step = int(model.step.numpy())
    dataset = tf.data.Dataset.from_tensor_slices((images[:33], labels[:33])).batch(8)
    history = model.fit(dataset, verbose=0, validation_data=dataset).history
    assert int(model.step.numpy()) == step + 4
    assert np.isfinite(history["loss"][0]) and np.isfinite(history["val_loss"][0])


def test_a_batch_that_cannot_be_shared_alike_is_refused(trained):
    _, model, images, labels = trained
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 2 replicas, got 5"):
        model.fit(images, labels, batch_size=5, verbose=0)


def test_replicas_draw_for_themselves():
    model = tiny_model()

    @tf.function
    def step_seed():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return seeds.step_seed(0, 3, replica)

    strategy = two_replicas()
    first, second = strategy.experimental_local_results(strategy.run(step_seed))
    ours, theirs = (draws.draw(model, 4, seed, 0.5) for seed in (first, second))
    for name in ("rows", "offsets", "flips"):
        pair = (getattr(drawn.views, name) for drawn in (ours, theirs))
        assert not np.array_equal(*pair), name
    assert not np.array_equal(ours.masks, theirs.masks)


def test_one_step_is_the_mean_of_the_replicas_gradients():
    """The gradient that two replicas apply is that of the mean of their losses."""
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (8, 16, 16, 3)).astype(np.uint8)
    labels = random.integers(0, 4, 8)
    strategy = two_replicas()
    with strategy.scope():
        model = tiny_model(l2=0.01)
    single = tiny_model(l2=0.01)
    model.fit(images, labels, batch_size=8, verbose=0, shuffle=False)
    halves = [gradients for *_, gradients in first_step_of_each_replica(single, images, labels)]
    single.optimizer.apply([(a + b) / 2 for a, b in zip(*halves)], single.trainable_variables)
    for ours, theirs in zip(model.trainable_variables, single.trainable_variables):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
